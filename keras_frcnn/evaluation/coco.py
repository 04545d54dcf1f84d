"""Average precision by the rules of COCO, computed by pycocotools.

Shape letters: K object classes.

What is difficult is a crowd to COCO: it is not missed, and detections that lie in it by more than
the threshold of their own area count neither way.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detections import Detections
from keras_frcnn.evaluation.voc import check_detections

# Of pycocotools' `stats`, in its order.
STATISTICS = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR_1",
    "AR_10",
    "AR_100",
    "AR_small",
    "AR_medium",
    "AR_large",
)


@dataclass(frozen=True, eq=False)
class CocoEvaluation:
    """COCO's twelve numbers; NaN where there are no objects of the kind.

    Sizes are areas of boxes: small below 32^2 pixels, large from 96^2 on.
    """

    class_names: tuple[str, ...]
    statistics: dict[str, float]  # by the names of `STATISTICS`
    class_ap: np.ndarray  # float64 [K]: the mean over IoU 0.50, 0.55, ... 0.95
    class_ap50: np.ndarray  # float64 [K]

    @property
    def mean_ap(self) -> float:
        """COCO's AP: the mean over classes and IoU 0.50, 0.55, ... 0.95."""
        return self.statistics["AP"]


def evaluate_coco(detections: Sequence[Detections], dataset: Dataset) -> CocoEvaluation:
    """Evaluate the detections of all images of a data set, in its order.

    At most the 100 best detections of an image and class count. A detection is right from the IoU
    on, where VOC asks for more.

    Raises:
        InputError: the detections do not fit the data set (`voc.check_detections`).
    """
    from pycocotools.cocoeval import COCOeval

    check_detections(detections, dataset)
    # A class at a time: all at once, pycocotools keeps a quarter of a megabyte for every image.
    labels = range(1, len(dataset.class_names) + 1)
    of_classes = [_evaluate_class(k, detections, dataset) for k in labels]
    whole = COCOeval(iouType="bbox")
    whole.eval = {
        name: np.concatenate([of_class[name] for of_class in of_classes], axis)
        for name, axis in (("precision", 2), ("recall", 1))
    }
    with contextlib.redirect_stdout(io.StringIO()):
        whole.summarize()
    # [thresholds, recalls, K, areas, numbers of detections]; -1 where there are no objects.
    precision = whole.eval["precision"][:, :, :, 0, -1]
    precision = np.where(precision < 0, np.nan, precision).mean(axis=1)
    statistics = [float(x) if x >= 0 else float("nan") for x in whole.stats]
    return CocoEvaluation(
        dataset.class_names,
        dict(zip(STATISTICS, statistics, strict=True)),
        precision.mean(axis=0),
        precision[0],
    )


def _evaluate_class(
    label: int, detections: Sequence[Detections], dataset: Dataset
) -> dict[str, np.ndarray]:
    """What pycocotools accumulates of one class, its precision and recall among it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    objects, found = [], []
    for i, (record, d) in enumerate(zip(dataset.images, detections, strict=True)):
        of_class = record.labels == label
        difficult = record.is_difficult[of_class].tolist()
        for box, is_crowd in zip(record.boxes[of_class].tolist(), difficult, strict=True):
            objects.append(_annotation(i, box, label, iscrowd=int(is_crowd)))
        of_class = d.classes == label
        scores = d.scores[of_class].tolist()
        for box, score in zip(d.boxes[of_class].tolist(), scores, strict=True):
            found.append(_annotation(i, box, label, score=score))
    images = sorted({annotation["image_id"] for annotation in (*objects, *found)})
    sides = []
    with contextlib.redirect_stdout(io.StringIO()):  # it tells how long each part takes
        for annotations in (objects, found):
            side = COCO()
            for number, annotation in enumerate(annotations, start=1):
                annotation["id"] = number
            side.dataset = {
                "images": [{"id": i} for i in images],
                "categories": [{"id": label}],
                "annotations": annotations,
            }
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


def _annotation(image_id: int, box: Sequence[float], label: int, **more) -> dict:
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    entry = {"image_id": image_id, "category_id": label, "bbox": [x1, y1, width, height]}
    return {**entry, "area": width * height, "iscrowd": 0, **more}


def format_coco(evaluation: CocoEvaluation) -> str:
    """The numbers in three lines."""

    def line(*names: str) -> str:
        values = {name: evaluation.statistics[name] for name in names}
        return ", ".join(
            f"{name} {'-' if np.isnan(x) else f'{x:.4f}'}" for name, x in values.items()
        )

    return (
        f"COCO: {line(*STATISTICS[:3])} (IoU 0.50:0.95, 0.50, 0.75)\n"
        f"      {line(*STATISTICS[3:6])} (area below 32^2, to 96^2, above)\n"
        f"      {line(*STATISTICS[6:9])} (recall of 1, 10, 100 detections a class)"
    )
