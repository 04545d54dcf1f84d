"""What is kept of an evaluation: `metrics.json`."""

from pathlib import Path

import numpy as np

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.evaluation.coco import CocoEvaluation
from keras_frcnn.evaluation.voc import Evaluation
from keras_frcnn.files import write_json

METRICS_FILE = "metrics.json"


def save_metrics(
    folder: Path,
    dataset: Dataset,
    result: Evaluation,
    coco: CocoEvaluation | None = None,
    masks: CocoEvaluation | None = None,
    filled: CocoEvaluation | None = None,
) -> None:
    """Write `metrics.json`: of boxes by the rules of VOC and COCO, of masks by COCO's.

    `filled` is of the detections' boxes taken as masks.
    """
    content = {
        "data": dataset.name,
        "metric": result.metric,
        "mAP": known(result.mean_ap),
        "AP": dict(zip(dataset.class_names, map(known, result.ap), strict=True)),
    }
    if coco:
        content["COCO"] = {name: known(value) for name, value in coco.statistics.items()}
        content["COCO_AP"] = dict(zip(dataset.class_names, map(known, coco.class_ap), strict=True))
    for name, evaluation in (("masks", masks), ("filled_boxes", filled)):
        if evaluation:
            statistics = {n: known(value) for n, value in evaluation.statistics.items()}
            content[f"COCO_{name}"] = statistics | {"most_detections": evaluation.most}
    if masks:
        names = zip(dataset.class_names, map(known, masks.class_ap), strict=True)
        content["COCO_masks_AP"] = dict(names)
    write_json(folder / METRICS_FILE, content)


def known(ap: float) -> float | None:
    """None, null in JSON, for the AP of a class without objects: JSON has no NaN."""
    return None if np.isnan(ap) else float(ap)
