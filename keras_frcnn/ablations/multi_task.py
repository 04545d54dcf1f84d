"""Does multi-task training help? (Paper section 5.1, table 6.)

Three trainings: with the classification loss only (lambda = 0); stage-wise, where a box regressor
is then trained on that detector with all else frozen; and multi-task, the recipe. The first and
the last are tested without box regression, which compares how well they classify, and the last
two with it. Stage-wise training without it would be the first again.
"""

from keras_frcnn.ablations.ablation import RECIPE, Ablation, Row, Variant
from keras_frcnn.ablations.measure import as_it_is, measure, without_box_regression
from keras_frcnn.errors import InputError
from keras_frcnn.pictures.charts import bar_chart
from keras_frcnn.settings import Settings

WITHOUT, WITH = {"no": without_box_regression}, {"yes": as_it_is}

# By the names of the variants: how it is trained, and its tests by the word for box regression.
_CASES = {
    "classification-only": ("classification loss only", WITHOUT),
    "stage-wise": ("stage-wise", WITH),
    RECIPE: ("multi-task", WITHOUT | WITH),
}


def variants(settings: Settings) -> list[Variant]:
    """The three trainings."""
    if not settings.box_loss_weight:
        raise InputError("box_loss_weight: is 0, so the recipe is no multi-task training")
    return [
        Variant("classification-only", {"box_loss_weight": 0.0}),
        Variant("stage-wise", {"finetune_from": "bbox_pred"}, initial="classification-only"),
        Variant(RECIPE),
    ]


def rows(name, detector, settings, test, metric) -> list[Row]:
    """A row for each way of testing."""
    training, ways = _CASES[name]
    measured = measure(detector, test, metric, ways)
    return [
        {"training": training, "box regression at test": way, "mAP": evaluation.mean_ap}
        for way, evaluation in measured.evaluations.items()
    ]


def draw(title: str, table: list[Row]):
    """A bar for each row."""
    regression = {"no": "without box regression", "yes": "with box regression"}
    labels = [f"{r['training']}, {regression[r['box regression at test']]}" for r in table]
    return bar_chart(title, "mAP", dict(zip(labels, (r["mAP"] for r in table), strict=True)))


ABLATION = Ablation("multi-task", "Multi-task training", variants, rows, draw)
