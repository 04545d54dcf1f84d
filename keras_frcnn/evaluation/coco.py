"""Average precision of boxes and of masks by the rules of COCO, computed by pycocotools.

Shape letters: K object classes.

What is difficult is a crowd to COCO: it is not missed, and detections that lie in it by more than
the threshold of their own area count neither way.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from keras_frcnn import run_length
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.voc import check_detections

# The detections of an image and class that count. COCO's photographs have fewer objects; where one
# has more, as cells under a microscope, so many would be missed however good the detector.
MOST, MOST_OF_MANY = 100, 1000

# Of pycocotools' `stats`, in its order; the last of the numbers of detections is that of all.
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

    Sizes are areas of boxes, for masks of masks: small below 32^2 pixels, large from 96^2 on.
    """

    class_names: tuple[str, ...]
    statistics: dict[str, float]  # by the names of `STATISTICS`
    class_ap: np.ndarray  # float64 [K]: the mean over IoU 0.50, 0.55, ... 0.95
    class_ap50: np.ndarray  # float64 [K]
    of_masks: bool = False
    most: int = MOST  # detections of an image and class that count

    @property
    def mean_ap(self) -> float:
        """COCO's AP: the mean over classes and IoU 0.50, 0.55, ... 0.95."""
        return self.statistics["AP"]


def evaluate_coco(
    detections: Sequence[Detections], dataset: Dataset, of_masks: bool = False
) -> CocoEvaluation:
    """Evaluate the detections of all images of a data set, in its order.

    At most the 100 best detections of an image and class count, 1000 where an image has more
    objects than that. A detection is right from the IoU on, where VOC asks for more.

    Args:
        of_masks: compare masks in place of boxes. An object without one is a crowd in the place of
            its box.

    Raises:
        InputError: the detections do not fit the data set (`voc.check_detections`), or they or the
            objects have no masks and these are asked for.
    """
    from pycocotools.cocoeval import COCOeval

    check_detections(detections, dataset)
    if of_masks:
        check_masks(detections, dataset)
    many = any(len(record.labels) > MOST for record in dataset.images)
    most = MOST_OF_MANY if many else MOST
    # A class at a time: all at once, pycocotools keeps a quarter of a megabyte for every image.
    labels = range(1, len(dataset.class_names) + 1)
    of_classes = [_evaluate_class(k, detections, dataset, of_masks, most) for k in labels]
    whole = COCOeval(iouType="segm" if of_masks else "bbox")
    whole.params.maxDets = [1, 10, most]
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
    if many and not np.isnan(precision).all():  # the first asks for 100 detections in any case
        statistics[0] = float(np.nanmean(precision))
    return CocoEvaluation(
        dataset.class_names,
        dict(zip(STATISTICS, statistics, strict=True)),
        precision.mean(axis=0),
        precision[0],
        of_masks,
        most,
    )


def check_masks(detections: Sequence[Detections], dataset: Dataset) -> None:
    """Refuse to compare masks where there are none, or of another size than the image.

    Raises:
        InputError: it is so.
    """
    if not dataset.has_masks:
        raise InputError(f"{dataset.name}: its objects have no masks to compare with")
    for record, found in zip(dataset.images, detections, strict=True):
        if len(found) and found.masks is None:
            raise InputError(f"detections in {record.filename}: have no masks")
        if len(found) and tuple(found.image_size) != (record.height, record.width):
            height, width = found.image_size
            raise InputError(
                f"detections in {record.filename}: their masks have {width} x {height} pixels, the "
                f"image {record.width} x {record.height}"
            )


def filled_boxes(detections: Sequence[Detections], dataset: Dataset) -> list[Detections]:
    """The same detections with their boxes as masks: what a mask branch has to be better than."""
    return [
        replace(
            found,
            masks=tuple(run_length.from_box(b, r.height, r.width) for b in found.boxes),
            image_size=(r.height, r.width),
        )
        for found, r in zip(detections, dataset.images, strict=True)
    ]


def _evaluate_class(
    label: int, detections: Sequence[Detections], dataset: Dataset, of_masks: bool, most: int
) -> dict[str, np.ndarray]:
    """What pycocotools accumulates of one class, its precision and recall among it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    objects, found = [], []
    for i, (record, d) in enumerate(zip(dataset.images, detections, strict=True)):
        annotation = partial(_annotation, i, label, (record.height, record.width))
        for n in np.flatnonzero(record.labels == label):
            is_crowd = int(record.is_difficult[n])
            if not of_masks:
                objects.append(annotation(record.boxes[n], iscrowd=is_crowd))
            elif record.masks and (mask := record.masks[n]) is not None:
                objects.append(annotation(None, mask, iscrowd=is_crowd))
            else:
                mask = run_length.from_box(record.boxes[n], record.height, record.width)
                objects.append(annotation(None, mask, iscrowd=1))
        for n in np.flatnonzero(d.classes == label):
            score = float(d.scores[n])
            if of_masks:
                found.append(annotation(None, d.masks[n], score=score))
            else:
                found.append(annotation(d.boxes[n], score=score))
    numbers = sorted({annotation["image_id"] for annotation in (*objects, *found)})
    records = {i: dataset.images[i] for i in numbers}
    images = [{"id": i, "height": r.height, "width": r.width} for i, r in records.items()]
    sides = []
    with contextlib.redirect_stdout(io.StringIO()):  # it tells how long each part takes
        for annotations in (objects, found):
            side = COCO()
            for number, annotation in enumerate(annotations, start=1):
                annotation["id"] = number
            side.dataset = {
                "images": images,
                "categories": [{"id": label}],
                "annotations": annotations,
            }
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, "segm" if of_masks else "bbox")
        evaluation.params.maxDets = [1, 10, most]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


def _annotation(
    image_id: int,
    label: int,
    size: tuple[int, int],
    box: np.ndarray | None,
    mask: bytes | None = None,
    **more,
) -> dict:
    """An entry with a box or with a mask: both would have the sizes of masks be those of boxes."""
    entry = {"image_id": image_id, "category_id": label, "iscrowd": 0}
    if mask is not None:
        rle = run_length.as_rle(mask, *size)
        return {**entry, "segmentation": rle, "area": run_length.area(mask, *size), **more}
    x1, y1, x2, y2 = box.tolist()
    width, height = x2 - x1, y2 - y1
    return {**entry, "bbox": [x1, y1, width, height], "area": width * height, **more}


def format_coco(evaluation: CocoEvaluation) -> str:
    """The numbers in three lines."""

    def line(*names: str) -> str:
        values = {name: evaluation.statistics[name] for name in names}
        return ", ".join(
            f"{name} {'-' if np.isnan(x) else f'{x:.4f}'}" for name, x in values.items()
        )

    most = evaluation.most
    return (
        f"{'Masks' if evaluation.of_masks else 'COCO'}: {line(*STATISTICS[:3])} "
        "(IoU 0.50:0.95, 0.50, 0.75)\n"
        f"      {line(*STATISTICS[3:6])} (area below 32^2, to 96^2, above)\n"
        f"      {line(*STATISTICS[6:8])}, {line(STATISTICS[8]).replace('100', str(most), 1)} "
        f"(recall of 1, 10, {most} detections a class)"
    )
