"""What is kept of an evaluation: `metrics.json`."""

from pathlib import Path

import numpy as np

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.evaluation.coco import CocoEvaluation
from keras_frcnn.evaluation.voc import Evaluation
from keras_frcnn.files import write_json

METRICS_FILE = "metrics.json"


def save_metrics(
    folder: Path, dataset: Dataset, result: Evaluation, coco: CocoEvaluation | None = None
) -> None:
    """Write `metrics.json`."""
    content = {
        "data": dataset.name,
        "metric": result.metric,
        "mAP": known(result.mean_ap),
        "AP": dict(zip(dataset.class_names, map(known, result.ap), strict=True)),
    }
    if coco:
        content["COCO"] = {name: known(value) for name, value in coco.statistics.items()}
        content["COCO_AP"] = dict(zip(dataset.class_names, map(known, coco.class_ap), strict=True))
    write_json(folder / METRICS_FILE, content)


def known(ap: float) -> float | None:
    """None, null in JSON, for the AP of a class without objects: JSON has no NaN."""
    return None if np.isnan(ap) else float(ap)
