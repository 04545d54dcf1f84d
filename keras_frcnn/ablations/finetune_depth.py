"""Which layers to fine-tune? (Paper section 4.5, table 5.)

Everything from some layer on is trained, the layers before keep the loaded weights: only the
fully connected layers (as SPPnet did), from the second or the first max pooling of the trunk on,
and all layers. The paper's VGG16 stops at conv2_1, for want of GPU memory.
"""

from keras_frcnn.ablations.ablation import Ablation, Row, Variant
from keras_frcnn.ablations.measure import as_it_is, measure
from keras_frcnn.errors import InputError
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.pictures.charts import bar_chart
from keras_frcnn.settings import Settings

# By trunk: fc6, the layers after its second and first max pooling, and the first of all. Of the
# others the parts are the stages between halvings, and the first three are taken.
FIRST_LAYERS = {
    "vgg16": ("fc6", "conv3_1", "conv2_1", "conv1_1"),
    "vgg_cnn_m_1024": ("fc6", "conv3", "conv2", "conv1"),
    "squeezenet": ("fc6", "fire4", "fire2", "conv1"),
}


def variants(settings: Settings) -> list[Variant]:
    """A training for each first layer."""
    if settings.weights is None and settings.initial is None:
        raise InputError(
            "weights: there is nothing to fine-tune in random ones; give a recipe with weights, or "
            "--weights FILE"
        )
    stages = list(TRUNKS[settings.trunk].parts)[2::-1]
    layers = FIRST_LAYERS.get(settings.trunk, ("fc6", *stages))
    return [Variant(f"from-{first}", {"finetune_from": first}) for first in layers]


def rows(name, detector, settings, test, metric) -> list[Row]:
    """One row."""
    measured = measure(detector, test, metric, {name: as_it_is})
    trained = sum(int(w.shape.num_elements()) for w in detector.model.trainable_weights)
    return [
        {
            "trained from": settings.finetune_from,
            "trained weights": trained,
            "mAP": measured.evaluations[name].mean_ap,
        }
    ]


def draw(title: str, table: list[Row]):
    """A bar for each row."""
    return bar_chart(title, "mAP", {f"from {r['trained from']}": r["mAP"] for r in table})


ABLATION = Ablation("finetune-depth", "Fine-tuned layers", variants, rows, draw)
