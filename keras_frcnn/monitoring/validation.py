"""The mAP on a validation split while a model trains, and the best model kept."""

import json
import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from tqdm import tqdm

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.detection.detector import Detector
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.evaluate import describe_limit, detect_all, examine_all
from keras_frcnn.evaluation.metrics import known
from keras_frcnn.evaluation.voc import evaluate
from keras_frcnn.files import replacing, write_json
from keras_frcnn.monitoring.csv_log import CsvLog
from keras_frcnn.monitoring.tensorboard import EventFile
from keras_frcnn.pictures.charts import draw_precision_recall
from keras_frcnn.proposals.recall import total_recall
from keras_frcnn.runs.fingerprint import fingerprint
from keras_frcnn.runs.interrupts import Interrupts


@dataclass(frozen=True)
class ValidationSet:
    """What a training is validated with: images, and the metric of the mAP (`voc.evaluate`).

    Raises:
        InputError: there is no object to find.
    """

    images: ImageSet
    metric: str = "area"

    def __post_init__(self):
        dataset = self.images.dataset
        if all(record.is_difficult.all() for record in dataset.images):
            raise InputError(f"{dataset.name}: has no object to validate with")


class Validation:
    """Every so many steps and at the end: mAP on a validation split, and the best model kept.

    RUN/validation.csv   step, mAP and AP of each class; of a detector that makes its own proposals
                         also their recall
    RUN/best.keras       the model of the highest mAP so far, the first of equals
    RUN/best.json        its step, mAP and AP, on which data and by which metric

    A step is validated after its checkpoint is saved: a run that is killed or stopped during a
    validation resumes with the model of that step, and `begin` makes it.

    Args:
        run: the run directory. A best model that is there already is one to surpass.
        detector: around the model in training, whose weights it shares.
        validation_set: what to validate with.
        every: steps between validations.
        steps: mini-batches of the whole run.
        events: for mAP, AP, proposal recall and precision-recall curves.
        interrupts: a signal ends a validation after the image at hand, without a row.

    Raises:
        InputError: the best model is of another split or metric and cannot be compared.
    """

    def __init__(
        self,
        run: Path,
        detector: Detector,
        validation_set: ValidationSet,
        every: int,
        steps: int,
        events: EventFile,
        interrupts: Interrupts,
    ):
        self.images, self.metric = validation_set.images, validation_set.metric
        self.dataset = self.images.dataset
        self.run = run
        self.detector = detector
        self.every = every
        self.steps = steps
        self.events = events
        self.interrupts = interrupts
        self.log = CsvLog(run / "validation.csv")
        self.digest = fingerprint(self.images).digest()
        self.best = best_record(run)
        if self.best:
            self._check_comparable(self.best)

    def begin(self, step: int) -> None:
        """Get ready for training from `step` on.

        Validations that will be done again are forgotten; the one of `step` is made if it is due
        and missing, because a signal ended it or because the run had no validation before.
        """
        self.log.forget_after(step)
        if self.images.proposals is not None:
            recall = total_recall(self.images)
            self.events.scalars(step, {"validation/proposal_recall": recall})
        if step and self.is_due(step) and not is_validated(self.run, step):
            self.validate(step)

    def validate(self, step: int) -> None:
        """Evaluate the model and keep it if it is the best so far; nothing if a signal comes."""
        proposals = []
        if self.images.proposals is None:
            found = self._examined(proposals)
        else:
            found = detect_all(self.detector, self.images, keep_bar=False)
        detections = list(takewhile(lambda _: self.interrupts.received is None, found))
        if len(detections) < len(self.dataset.images):
            return
        result = evaluate(detections, self.dataset, self.metric)
        ap = {name: known(x) for name, x in zip(result.class_names, result.ap, strict=True)}
        is_best = not self.best or result.mean_ap > self.best["mAP"]
        if is_best:
            with replacing(self.run / "best.keras") as partial:
                self.detector.model.save(partial)
            self.best = {
                "step": step,
                "data": self.dataset.name,
                "data_digest": self.digest,
                "metric": self.metric,
                "mAP": result.mean_ap,
                "AP": ap,
            }
            write_json(self.run / "best.json", self.best)
        row = {"step": step, "mAP": result.mean_ap, **{f"AP {k}": ap[k] for k in ap}}
        if proposals:  # those of the detector, which change as it trains
            row["proposal_recall"] = total_recall(ImageSet(self.dataset, proposals))
            self.events.scalars(step, {"validation/proposal_recall": row["proposal_recall"]})
        self.log.append(row)
        curves = {f"validation/AP/{name}": x for name, x in ap.items() if x is not None}
        self.events.scalars(step, {"validation/mAP": result.mean_ap, **curves})
        self.events.image(step, "validation/precision_recall", draw_precision_recall(result))
        self.events.flush()
        best = "the best so far" if is_best else f"best: {self.best['mAP']:.4f}"
        # Over a progress bar, if there is one.
        if said := describe_limit(detections, self.detector.max_detections):
            tqdm.write(said)
        tqdm.write(f"step {step}: mAP {result.mean_ap:.4f} on {self.dataset.name} ({best})")

    def _examined(self, proposals: list):
        """The detections in each image; the proposals they come from are added to the list."""
        for found, boxes in examine_all(self.detector, self.images, keep_bar=False):
            proposals.append(boxes)
            yield found

    def is_due(self, step: int) -> bool:
        """Whether the model after `step` mini-batches is to be validated."""
        return step % self.every == 0 or step == self.steps

    def _check_comparable(self, best: dict) -> None:
        if best["data_digest"] is None:  # of version 0.1, which knew the data set by its name
            is_same = best["data"] == self.dataset.name
        else:
            is_same = best["data_digest"] == self.digest
        if not is_same or best["metric"] != self.metric:
            what = "" if is_same else ", or other content of it,"
            raise InputError(
                f"{self.run}: its best model was chosen on {best['data']}{what} by "
                f"{best['metric']}, not on {self.dataset.name} by {self.metric}; validate as "
                "before, or remove best.json"
            )


def is_validated(run: Path, step: int) -> bool:
    """Whether the log of the run has a validation of its model after `step` mini-batches."""
    return any(int(row["step"]) == step for row in CsvLog(run / "validation.csv").rows())


def forget_best_after(run: Path, step: int) -> None:
    """Remove the best model of a run if it is of a step after `step`, which will be done again.

    So is one without a record of its step: of a process that was killed between the two.
    """
    best = best_record(run)
    if best is not None and best["step"] <= step:
        return
    if best is not None:
        print(
            f"{run}: its best model is of step {best['step']} and the training goes on from "
            f"{step}; it is chosen anew",
            file=sys.stderr,
        )
    (run / "best.json").unlink(missing_ok=True)
    (run / "best.keras").unlink(missing_ok=True)


def best_record(run: Path) -> dict | None:
    """What `best.json` says of the best model of a run; None where there is none."""
    path = run / "best.json"
    if not path.is_file():
        return None
    try:
        best = json.loads(path.read_text("utf-8"))
        record = {key: best[key] for key in ("step", "data", "metric", "mAP", "AP")}
        if type(record["step"]) is not int or not (record["step"] >= 0 and 0 <= record["mAP"] <= 1):
            raise ValueError("step and mAP are no step and mAP")
        return {**record, "data_digest": best.get("data_digest")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: cannot be read as the record of the best model; remove it and best.keras to "
            "have the best chosen anew"
        ) from error
