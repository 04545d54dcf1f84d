"""Scale invariance: to brute force or finesse? (Paper section 5.2, table 7.)

A detector trained and tested at one scale, the recipe's, against one trained at five. That one is
tested at the middle scale and with all five, where each proposal is seen at the scale at which it
is nearest to 224 x 224 pixels. The time is that of the network for an image in memory.
"""

from keras_frcnn.ablations.ablation import RECIPE, Ablation, Row, Variant
from keras_frcnn.ablations.measure import as_it_is, measure
from keras_frcnn.detection.multiscale import MultiScaleDetector
from keras_frcnn.errors import InputError
from keras_frcnn.pictures.charts import bar_chart
from keras_frcnn.settings import Settings

# Shorter sides for a recipe of 600, the longer at most twice the recipe's.
PAPER_SCALES = (480, 576, 688, 864, 1200)


def variants(settings: Settings) -> list[Variant]:
    """The recipe, and the same at five scales."""
    if len(settings.min_side) > 1:
        raise InputError(
            f"min_side: the recipe has several ({', '.join(map(str, settings.min_side))}) and "
            "cannot be the single-scale training; give one, such as --min-side 600"
        )
    sides = tuple(round(side * settings.min_side[0] / 600) for side in PAPER_SCALES)
    return [
        Variant(RECIPE),
        Variant("multi-scale", {"min_side": sides, "max_side": 2 * settings.max_side}),
    ]


def rows(name, detector, settings, test, metric) -> list[Row]:
    """A row for each way of testing the detector."""
    trained = len(settings.min_side)
    detectors = {1: detector}
    if trained > 1:
        detectors[trained] = MultiScaleDetector(
            detector.model, detector.pixel_means, settings.min_side, settings.max_side
        )
    table = []
    for tested, scaled in detectors.items():
        measured = measure(scaled, test, metric, {name: as_it_is})
        table.append(
            {
                "scales in training": trained,
                "scales at test": tested,
                "seconds an image": measured.seconds,
                "mAP": measured.evaluations[name].mean_ap,
            }
        )
    return table


def draw(title: str, table: list[Row]):
    """A bar for each row."""
    labels = [
        f"trained at {r['scales in training']}, tested at {r['scales at test']} "
        f"({r['seconds an image']:.2f} s an image)"
        for r in table
    ]
    return bar_chart(title, "mAP", dict(zip(labels, (r["mAP"] for r in table), strict=True)))


ABLATION = Ablation("scales", "Single scale and multi-scale", variants, rows, draw)
