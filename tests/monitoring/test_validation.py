"""Validation while training: which model is kept, what is written, how a resumed run goes on."""

import json
import signal
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.voc import Evaluation
from keras_frcnn.files import write_json
from keras_frcnn.monitoring.tensorboard import EventFile
from keras_frcnn.monitoring.validation import Validation, ValidationSet
from keras_frcnn.runs.fingerprint import fingerprint
from keras_frcnn.runs.interrupts import Interrupts
from tests.images import colored_rectangles, random_proposals
from tests.monitoring.records import best, rows

pytestmark = pytest.mark.usefixtures("trunk")


class Scripted:
    """A `Validation` whose evaluations come from a list, around a model that is really saved.

    A mean AP of None is a signal, which comes when the first image is done.
    """

    def __init__(self, run, dataset, monkeypatch, mean_aps, metric="area", every=10):
        aps = iter(mean_aps)
        interrupts = Interrupts()

        def detect_all(detector, images, keep_bar):
            self.detecting = next(aps)
            for k in range(len(images.dataset.images)):
                assert k < 2 or self.detecting is not None, "goes on although a signal came"
                if k == 1 and self.detecting is None:
                    interrupts.received = signal.SIGTERM
                yield ()

        def evaluate(detections, data, metric):
            ap = self.detecting
            curve = (np.array([1.0]),) * 2
            return Evaluation(
                metric,
                0.5,
                data.class_names,
                np.array([ap, np.nan]),
                np.array([3, 0]),
                curve,
                curve,
            )

        monkeypatch.setattr("keras_frcnn.monitoring.validation.detect_all", detect_all)
        monkeypatch.setattr("keras_frcnn.monitoring.validation.evaluate", evaluate)
        self.model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="weight")])
        self.model.compile("sgd", "mse")
        validation_set = ValidationSet(ImageSet(dataset, random_proposals(dataset)), metric)
        self.validation = Validation(
            run, SimpleNamespace(model=self.model, max_detections=100), validation_set, every, 95,
            EventFile(run / "tensorboard"), interrupts,
        )  # fmt: skip

    def go(self, first, last):
        """Take the steps from `first` to `last`; the weight of the model counts them."""
        self.validation.begin(first - 1)
        for step in range(first, last + 1):
            self.model.get_layer("weight").kernel.assign([[step]])
            if self.validation.is_due(step):
                self.validation.validate(step)

    @staticmethod
    def kept(run):
        return float(keras.saving.load_model(run / "best.keras").get_layer("weight").kernel[0, 0])


def test_the_first_of_the_best_is_kept(dataset, tmp_path, monkeypatch, capsys):
    Scripted(tmp_path, dataset, monkeypatch, [0.25, 0.5, 0.5, 0.125]).go(1, 40)
    assert Scripted.kept(tmp_path) == 20
    digest = fingerprint(ImageSet(dataset, random_proposals(dataset))).digest()
    assert best(tmp_path) == {
        "step": 20,
        "data": "rectangles",
        "data_digest": digest,
        "metric": "area",
        "mAP": 0.5,
        "AP": {"one": 0.5, "two": None},
    }
    assert [(row["step"], row["mAP"]) for row in rows(tmp_path)] == [
        ("10", "0.25"), ("20", "0.5"), ("30", "0.5"), ("40", "0.125"),
    ]  # fmt: skip
    assert rows(tmp_path)[0]["AP one"] == "0.25" and rows(tmp_path)[0]["AP two"] == ""
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "step 20: mAP 0.5000 on rectangles (the best so far)"
    assert printed[3] == "step 40: mAP 0.1250 on rectangles (best: 0.5000)"


def test_the_last_step_is_validated(dataset, tmp_path, monkeypatch):
    Scripted(tmp_path, dataset, monkeypatch, [0.25, 0.5]).go(86, 95)
    assert [row["step"] for row in rows(tmp_path)] == ["90", "95"]
    assert Scripted.kept(tmp_path) == 95


def test_a_resumed_run_remembers_the_best(dataset, tmp_path, monkeypatch):
    Scripted(tmp_path, dataset, monkeypatch, [0.5, 0.25, 0.125]).go(1, 30)
    resumed = Scripted(tmp_path, dataset, monkeypatch, [0.375, 0.4375, 0.75])
    resumed.go(16, 30)  # killed after step 30, resumed from step 15
    assert [(row["step"], row["mAP"]) for row in rows(tmp_path)] == [
        ("10", "0.5"), ("20", "0.375"), ("30", "0.4375"),
    ]  # fmt: skip
    assert Scripted.kept(tmp_path) == 10 and best(tmp_path)["step"] == 10
    resumed.go(31, 40)
    assert Scripted.kept(tmp_path) == 40 and best(tmp_path)["mAP"] == 0.75


def test_a_best_model_that_cannot_be_written_leaves_the_one_before(dataset, tmp_path, monkeypatch):
    scripted = Scripted(tmp_path, dataset, monkeypatch, [0.25, 0.5])
    scripted.go(1, 10)

    def save(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    scripted.model.save = save
    with pytest.raises(InputError, match=r"best\.keras.*No space left"):
        scripted.go(11, 20)
    assert Scripted.kept(tmp_path) == 10 and best(tmp_path)["step"] == 10
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]


def test_a_signal_ends_a_validation_which_the_resumed_run_makes(dataset, tmp_path, monkeypatch):
    Scripted(tmp_path, dataset, monkeypatch, [0.25, None]).go(1, 20)
    assert [row["step"] for row in rows(tmp_path)] == ["10"]
    assert Scripted.kept(tmp_path) == 10
    Scripted(tmp_path, dataset, monkeypatch, [None]).go(21, 20)  # and another signal
    assert [row["step"] for row in rows(tmp_path)] == ["10"]
    Scripted(tmp_path, dataset, monkeypatch, [0.5, 0.75]).go(21, 30)
    assert [(row["step"], row["mAP"]) for row in rows(tmp_path)] == [
        ("10", "0.25"), ("20", "0.5"), ("30", "0.75"),
    ]  # fmt: skip
    Scripted(tmp_path, dataset, monkeypatch, []).go(31, 30)  # nothing is missing now


def test_bests_of_another_metric_are_not_compared(dataset, tmp_path, monkeypatch):
    Scripted(tmp_path, dataset, monkeypatch, [0.5]).go(1, 10)
    with pytest.raises(InputError, match="on rectangles by area, not on rectangles by 11point"):
        Scripted(tmp_path, dataset, monkeypatch, [], metric="11point")


@pytest.mark.parametrize(
    "content",
    [
        '{"step": 3',
        "[" * 100_000,
        *(
            json.dumps({"step": 3, "data": "d", "metric": "area", "mAP": 0.5, "AP": {}, **changes})
            for changes in (
                *({"mAP": bad} for bad in (float("nan"), "0.5", None, -1, 10**400)),
                *({"step": bad} for bad in ("3", -1)),
            )
        ),
    ],
)
def test_a_damaged_record_is_named(dataset, tmp_path, monkeypatch, content):
    (tmp_path / "best.json").write_text(content)
    with pytest.raises(InputError, match=r"best\.json: cannot be read"):
        Scripted(tmp_path, dataset, monkeypatch, [])


def test_a_split_without_objects_is_refused(tmp_path, monkeypatch):
    data = colored_rectangles(tmp_path, [(30, 30), (30, 30)], [[], [(0, 0, 9, 9)]], [[], [True]])
    with pytest.raises(InputError, match="rectangles: has no object"):
        Scripted(tmp_path, data, monkeypatch, [])


def test_the_same_images_under_another_name_are_comparable(dataset, tmp_path, monkeypatch):
    Scripted(tmp_path, dataset, monkeypatch, [0.5]).go(1, 10)
    moved = replace(dataset, name="elsewhere")
    Scripted(tmp_path, moved, monkeypatch, [0.25]).go(11, 20)
    assert best(tmp_path)["step"] == 10
    fewer = replace(dataset, images=dataset.images[:2])
    with pytest.raises(InputError, match="or other content of it"):
        Scripted(tmp_path, fewer, monkeypatch, [])
    old = {k: v for k, v in best(tmp_path).items() if k != "data_digest"}  # of version 0.1
    write_json(tmp_path / "best.json", old)
    Scripted(tmp_path, fewer, monkeypatch, [])
    with pytest.raises(InputError, match="on rectangles, or other"):
        Scripted(tmp_path, moved, monkeypatch, [])
