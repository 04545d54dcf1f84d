"""What a report tells, as plain data.

Shape letters: N images, K object classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.detection.detections import Detections
from keras_frcnn.evaluation.coco import CocoEvaluation, evaluate_coco
from keras_frcnn.evaluation.confusion import confusion_matrix
from keras_frcnn.evaluation.error_gains import Gains, error_gains
from keras_frcnn.evaluation.errors import KINDS, Errors, find_errors
from keras_frcnn.evaluation.voc import Evaluation, evaluate
from keras_frcnn.monitoring.csv_log import CsvLog
from keras_frcnn.proposals.recall import RankedRecall, ranked_recall
from keras_frcnn.runs.directory import load_settings
from keras_frcnn.settings import Settings

MIN_SCORE = 0.5  # of the confusion matrix, and of what makes an image bad
RECALL_COUNTS = (10, 30, 100, 300, 1000, 2000)

Rows = list[dict[str, float]]  # of a log, by column; what a row lacks is left out


@dataclass(frozen=True, eq=False)
class Content:
    """All of a report but its pictures."""

    name: str
    dataset: Dataset
    detections: list[Detections]  # [N]
    voc: Evaluation
    coco: CocoEvaluation
    confusion: np.ndarray  # int64 [K + 1, K + 1]
    errors: Errors
    gains: Gains
    recall: RankedRecall | None  # of the proposals; None where they are not known
    seconds: dict[str, float]  # of an image by stage; empty where nothing was timed
    badness: np.ndarray  # float64 [N], see `image_badness`
    settings: Settings | None = None
    log: dict[str, Rows] = field(default_factory=dict)  # by training: "", or the step of four
    validation: Rows = field(default_factory=list)


def report_content(
    name: str,
    images: ImageSet,
    detections: Sequence[Detections],
    metric: str = "area",
    run: Path | None = None,
    seconds: dict[str, float] | None = None,
) -> Content:
    """Evaluate detections in every way that a report shows.

    Args:
        name: what the report is of.
        images: with the proposals that the detections came from, where these are known.
        detections: one `Detections` an image.
        metric: of `voc.evaluate`.
        run: whose settings and logs are shown; None for detections from elsewhere.
        seconds: of an image by stage.

    Raises:
        InputError: the detections do not fit the data set, or the run cannot be read.
    """
    dataset, detections = images.dataset, list(detections)
    errors = find_errors(detections, images)
    recall = None
    if images.proposals is not None:
        most = max(map(len, images.proposals), default=0)
        recall = ranked_recall(images, [n for n in RECALL_COUNTS if n < most] + [max(most, 1)])
    return Content(
        name=name,
        dataset=dataset,
        detections=detections,
        voc=evaluate(detections, dataset, metric),
        coco=evaluate_coco(detections, dataset),
        confusion=confusion_matrix(detections, dataset, MIN_SCORE),
        errors=errors,
        gains=error_gains(errors, detections, dataset, metric),
        recall=recall,
        seconds=seconds or {},
        badness=image_badness(errors, detections),
        settings=load_settings(run) if run else None,
        log=_logs(run) if run else {},
        validation=_rows(run / "validation.csv") if run else [],
    )


def image_badness(errors: Errors, detections: Sequence[Detections]) -> np.ndarray:
    """How much is wrong in each image: float64 [N].

    The sum of the scores of its wrong detections from `MIN_SCORE` on, and 1 for each object that
    is missed or found by detections of lower scores only.
    """
    badness = np.zeros(len(detections))
    for i, found in enumerate(detections):
        is_sure = found.scores >= MIN_SCORE
        badness[i] = found.scores[(errors.kinds[i] >= 0) & is_sure].sum()
        unsure = (errors.kinds[i] == -1) & ~is_sure
        badness[i] += errors.is_missed[i].sum() + unsure.sum()
    return badness


def verdicts(errors: Errors, image: int) -> list[str]:
    """What each detection of an image is: right, ignored or a kind of error."""
    names = {-1: "right", -2: "ignored"} | dict(enumerate(KINDS))
    return [names[kind] for kind in errors.kinds[image].tolist()]


def _logs(run: Path) -> dict[str, Rows]:
    """The log of a training, or those of its steps."""
    logs = {"": _rows(run / "log.csv")}
    if not logs[""]:
        logs = {path.parent.name: _rows(path) for path in sorted(run.glob("*/log.csv"))}
    return {name: rows for name, rows in logs.items() if rows}


def _rows(path: Path) -> Rows:
    """The numbers of a log; nothing where there is none."""
    return [
        {column: float(text) for column, text in row.items() if text} for row in CsvLog(path).rows()
    ]
