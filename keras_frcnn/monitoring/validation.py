"""The mAP on a validation split while a model trains, and the best model kept."""

import json
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detector import Detector
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.evaluate import detect_all, known
from keras_frcnn.evaluation.voc import evaluate
from keras_frcnn.files import replacing, write_json
from keras_frcnn.monitoring.csv_log import CsvLog
from keras_frcnn.monitoring.tensorboard import EventFile
from keras_frcnn.pictures.curves import draw_precision_recall
from keras_frcnn.proposals.recall import total_recall
from keras_frcnn.runs.interrupts import Interrupts


class Validation(keras.callbacks.Callback):
    """Every so many steps and at the end: mAP on a validation split, and the best model kept.

    RUN/validation.csv   step, mAP and AP of each class
    RUN/best.keras       the model of the highest mAP so far, the first of equals
    RUN/best.json        its step, mAP and AP, on which data and by which metric

    A signal ends a validation after the image at hand, without a row; `begin` makes it when the
    run is resumed. Checkpoints are to be saved after the callbacks of a step: a run that is killed
    during a validation then resumes before it and does it again.

    Args:
        run: the run directory. A best model that is there already is one to surpass.
        detector: around the model in training, whose weights it shares.
        dataset, proposals: the validation split, float32 [P, 4] in pixels for each image.
        every: steps between validations.
        steps: mini-batches of the whole run.
        metric: see `evaluate`.
        events: for mAP, AP, proposal recall and precision-recall curves.
        interrupts: the signals that end a validation.

    Raises:
        InputError: the split has no object to find, or the best model is of another split or
            metric and cannot be compared.
    """

    def __init__(
        self,
        run: Path,
        detector: Detector,
        dataset: Dataset,
        proposals: Sequence[np.ndarray],
        every: int,
        steps: int,
        metric: str,
        events: EventFile,
        interrupts: Interrupts,
    ):
        super().__init__()
        if all(record.is_difficult.all() for record in dataset.images):
            raise InputError(f"{dataset.name}: has no object to validate with")
        self.run = run
        self.detector = detector
        self.dataset = dataset
        self.proposals = proposals
        self.every = every
        self.steps = steps
        self.metric = metric
        self.events = events
        self.interrupts = interrupts
        self.log = CsvLog(run / "validation.csv")
        self.best = best_record(run)
        if self.best and (self.best["data"], self.best["metric"]) != (dataset.name, metric):
            raise InputError(
                f"{run}: its best model was chosen on {self.best['data']} by {self.best['metric']},"
                f" not on {dataset.name} by {metric}; validate as before, or remove best.json"
            )

    def begin(self, step: int) -> None:
        """Get ready for training from `step` on.

        Validations that will be done again are forgotten; the one of `step` is made if it is due
        and missing, because a signal ended it or because the run had no validation before.
        """
        self.log.forget_after(step)
        recall = total_recall(self.proposals, self.dataset)
        self.events.scalars(step, {"validation/proposal_recall": recall})
        if step and self._is_due(step) and not is_validated(self.run, step):
            self.validate(step)

    def on_train_batch_end(self, batch, logs=None):
        """Validate when the time has come."""
        step = int(self.model.optimizer.iterations.numpy())
        if self._is_due(step):
            self.validate(step)

    def validate(self, step: int) -> None:
        """Evaluate the model and keep it if it is the best so far; nothing if a signal comes."""
        found = detect_all(self.detector, self.dataset, self.proposals, keep_bar=False)
        detections = list(takewhile(lambda _: self.interrupts.received is None, found))
        if len(detections) < len(self.dataset.images):
            return
        result = evaluate(detections, self.dataset, self.metric)
        ap = {name: known(x) for name, x in zip(result.class_names, result.ap, strict=True)}
        is_best = not self.best or result.mean_ap > self.best["mAP"]
        if is_best:
            with replacing(self.run / "best.keras") as partial:
                self.model.save(partial)
            self.best = {
                "step": step,
                "data": self.dataset.name,
                "metric": self.metric,
                "mAP": result.mean_ap,
                "AP": ap,
            }
            write_json(self.run / "best.json", self.best)
        self.log.append({"step": step, "mAP": result.mean_ap, **{f"AP {k}": ap[k] for k in ap}})
        curves = {f"validation/AP/{name}": x for name, x in ap.items() if x is not None}
        self.events.scalars(step, {"validation/mAP": result.mean_ap, **curves})
        self.events.image(step, "validation/precision_recall", draw_precision_recall(result))
        self.events.flush()
        best = "the best so far" if is_best else f"best: {self.best['mAP']:.4f}"
        # Over a progress bar, if there is one.
        tqdm.write(f"step {step}: mAP {result.mean_ap:.4f} on {self.dataset.name} ({best})")

    def _is_due(self, step):
        return step % self.every == 0 or step == self.steps


def is_validated(run: Path, step: int) -> bool:
    """Whether the log of the run has a validation of its model after `step` mini-batches."""
    return any(int(row["step"]) == step for row in CsvLog(run / "validation.csv").rows())


def best_record(run: Path) -> dict | None:
    """What `best.json` says of the best model of a run; None where there is none."""
    path = run / "best.json"
    if not path.is_file():
        return None
    try:
        best = json.loads(path.read_text("utf-8"))
        return {key: best[key] for key in ("step", "data", "metric", "mAP", "AP")}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as the record of the best model") from error
