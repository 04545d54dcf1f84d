"""Are more proposals always better? (Paper section 5.5, figure 3.)

One detector, the recipe's, tested with the first 100 to 2000 proposals of each image. The paper
sweeps from 1000 to 10000 and trains a detector for each number; here the training has all
proposals that the search found. Their order is random, so fewer proposals are a random choice.

Average recall (Hosang et al. 2016) is how well the best proposals cover the objects: it can only
rise with their number, mAP need not.
"""

from keras_frcnn.ablations.ablation import RECIPE, Ablation, Row, Variant
from keras_frcnn.ablations.measure import first_proposals, measure
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.pictures.charts import line_chart
from keras_frcnn.proposals.recall import average_recall

COUNTS = (100, 200, 300, 500, 700, 1000, 1500, 2000)


def rows(name, detector, settings, test, metric) -> list[Row]:
    """A row for each number of proposals."""
    measured = measure(detector, test, metric, {str(n): first_proposals(n) for n in COUNTS})
    return [
        {
            "proposals": n,
            "mean proposals an image": sum(min(len(p), n) for p in test.proposals)
            / len(test.proposals),
            "average recall": average_recall(
                ImageSet(test.dataset, [p[:n] for p in test.proposals])
            ),
            "mAP": measured.evaluations[str(n)].mean_ap,
        }
        for n in COUNTS
    ]


def draw(title: str, table: list[Row]):
    """mAP and average recall over the number of proposals."""
    lines = {name: [row[name] for row in table] for name in ("mAP", "average recall")}
    return line_chart(title, "proposals an image, at most", [r["proposals"] for r in table], lines)


ABLATION = Ablation(
    "proposals", "Number of proposals", lambda settings: [Variant(RECIPE)], rows, draw
)
