"""Validation while training: which model is kept, what is written, how a resumed run goes on."""

import csv
import json
import signal
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.errors import InputError, Interrupted
from keras_frcnn.evaluation.evaluate import evaluate_detector
from keras_frcnn.evaluation.voc import Evaluation
from keras_frcnn.files import write_json
from keras_frcnn.monitoring.tensorboard import EventFile
from keras_frcnn.monitoring.validation import Validation, ValidationSet, forget_best_after
from keras_frcnn.runs.checkpoints import checkpoint_paths, checkpoint_step
from keras_frcnn.runs.directory import detector_of
from keras_frcnn.runs.fingerprint import fingerprint
from keras_frcnn.runs.interrupts import Interrupts
from keras_frcnn.training.build import build_and_compile
from keras_frcnn.training.fit import train
from tests.images import colored_rectangles, random_proposals
from tests.tiny import tiny_settings

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs the package tensorboard"
)


pytestmark = pytest.mark.usefixtures("trunk")


def rows(run):
    with (run / "validation.csv").open() as file:
        return list(csv.DictReader(file))


def best(run):
    return json.loads((run / "best.json").read_text())


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


def test_a_run_with_validation(dataset, tmp_path, capsys):
    """What a whole run leaves behind, against an evaluation of the files afterwards."""
    run = tmp_path / "run"
    proposals = random_proposals(dataset)
    settings = tiny_settings(steps=220, rate=0.02)
    watched = {"validation": ValidationSet(ImageSet(dataset, proposals)), "validate_every": 100}
    model = train(run, ImageSet(dataset, proposals), settings, **watched)
    assert [row["step"] for row in rows(run)] == ["100", "200", "220"]

    def mean_ap(model):
        return evaluate_detector(detector_of(model, settings), ImageSet(dataset, proposals))[
            1
        ].mean_ap

    best_row = max(rows(run), key=lambda row: float(row["mAP"]))
    assert float(best_row["mAP"]) > 0.1
    kept = keras.saving.load_model(run / "best.keras", compile=False)
    assert mean_ap(kept) == pytest.approx(float(best_row["mAP"]), abs=1e-6)
    assert mean_ap(model) == pytest.approx(float(rows(run)[-1]["mAP"]), abs=1e-6)
    assert best(run)["step"] == int(best_row["step"])

    events = event_accumulator.EventAccumulator(str(run / "tensorboard")).Reload()
    mean_aps = [(e.step, e.value) for e in events.Scalars("validation/mAP")]
    expected = [(int(row["step"]), pytest.approx(float(row["mAP"]))) for row in rows(run)]
    assert mean_aps == expected
    assert [e.step for e in events.Images("validation/stages")] == [100, 200]
    assert [e.step for e in events.Images("validation/precision_recall")] == [100, 200, 220]
    with (run / "log.csv").open() as file:
        logged = list(csv.DictReader(file))
    for tag in set(logged[0]) - {"step"}:
        points = [(e.step, e.value) for e in events.Scalars(tag)]
        assert points == [
            (int(row["step"]), pytest.approx(float(row[tag]), rel=1e-5)) for row in logged
        ], tag
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines if line.startswith("step")] == [
        "step 100/220", "step 200/220", "step 220/220",
    ]  # fmt: skip


def test_a_killed_run_goes_on_without_doubled_steps(dataset, tmp_path, capsys):
    run = tmp_path / "run"
    images = ImageSet(dataset, random_proposals(dataset))
    watched = {"validate_every": 40, "checkpoint_every": 50, "validation": ValidationSet(images)}
    train(run, images, tiny_settings(steps=120, keep_checkpoints=9), **watched)
    assert sorted(map(checkpoint_step, checkpoint_paths(run))) == [40, 50, 80, 100, 120]
    for path in checkpoint_paths(run)[:-2]:  # as if killed before those after step 50
        path.unlink()
    record = best(run)
    write_json(run / "best.json", {**record, "step": 80, "mAP": 1.0})  # will be done again
    train(run, images, tiny_settings(steps=160), resume=True, **watched)
    assert (
        "its best model is of step 80 and the training goes on from 50" in capsys.readouterr().err
    )
    assert [row["step"] for row in rows(run)] == ["40", "80", "120", "160"]
    assert best(run)["mAP"] == max(float(row["mAP"]) for row in rows(run)[1:])
    events = event_accumulator.EventAccumulator(str(run / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("validation/mAP")] == [40, 80, 120, 160]
    assert [e.step for e in events.Images("validation/stages")] == [40, 80, 120, 160]
    assert [e.step for e in events.Scalars("loss")] == [100, 160]


def test_a_new_training_does_not_inherit_a_best_model(dataset, tmp_path, capsys):
    """Of an attempt that was killed before its first checkpoint."""
    run = tmp_path / "run"
    images = ImageSet(dataset, random_proposals(dataset))
    run.mkdir()
    (run / "best.keras").write_bytes(b"of another training")
    record = {"step": 3, "data": "rectangles", "metric": "area", "mAP": 0.9, "AP": {}}
    write_json(run / "best.json", record)
    train(run, images, tiny_settings(steps=1))
    assert not (run / "best.json").exists() and not (run / "best.keras").exists()
    assert "best model is of step 3" in capsys.readouterr().err


def test_a_best_model_of_steps_that_are_kept_stays(tmp_path):
    (tmp_path / "best.keras").write_bytes(b"model")
    record = {"step": 3, "data": "rectangles", "metric": "area", "mAP": 0.9, "AP": {}}
    write_json(tmp_path / "best.json", record)
    forget_best_after(tmp_path, 3)
    assert best(tmp_path) == record and (tmp_path / "best.keras").exists()
    (tmp_path / "best.json").unlink()  # killed between the two
    forget_best_after(tmp_path, 3)
    assert not (tmp_path / "best.keras").exists()


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


def test_other_classes_are_refused_before_the_training(dataset, tmp_path):
    images = ImageSet(dataset, random_proposals(dataset))
    turned = replace(dataset, class_names=("two", "one"))
    validation = ValidationSet(ImageSet(turned, images.proposals))
    with pytest.raises(InputError, match=r"classes one, two, .* another order: two, one"):
        train(tmp_path / "run", images, tiny_settings(), validation)
    with pytest.raises(InputError, match=r"classes one, two, .* another order: two, one"):
        train(tmp_path / "run", validation.images, tiny_settings())
    assert not (tmp_path / "run").exists()


def test_signals_in_validations_of_a_training(dataset, tmp_path, monkeypatch):
    """The model is saved at once, and nothing else is done before its validation is made up for."""
    run, images = tmp_path / "run", ImageSet(dataset, random_proposals(dataset))
    watched = {"validate_every": 10, "checkpoint_every": 100, "validation": ValidationSet(images)}

    def go(stop_at, resume=True):
        """Train, and send a signal when image number `stop_at` of all validations is read."""

        def read(path, orientation):
            seen.append(path)
            if len(seen) == stop_at:
                signal.raise_signal(signal.SIGTERM)
            return read_image(path, orientation)

        seen = []
        monkeypatch.setattr("keras_frcnn.evaluation.evaluate.read_image", read)
        train(run, images, tiny_settings(steps=15), resume=resume, **watched)
        return len(seen)

    def done():
        steps = sorted(checkpoint_step(path) for path in checkpoint_paths(run))
        return steps, [row["step"] for row in rows(run)]

    for resume in (False, True):  # in the validation after step 10, and where it is made up for
        with pytest.raises(Interrupted, match="step 10 of 15 is saved"):
            go(2, resume)
        assert done() == ([10], [])
    with pytest.raises(Interrupted, match="step 15 of 15 is saved"):
        go(len(dataset.images) + 2)
    assert done() == ([10, 15], ["10"])
    assert go(0) == len(dataset.images)
    assert done() == ([10, 15], ["10", "15"])
    assert go(0) == 0  # nothing is missing now


def test_a_finished_run_is_validated_when_asked_for(dataset, tmp_path):
    run, proposals = tmp_path / "run", random_proposals(dataset)
    train(run, ImageSet(dataset, proposals), tiny_settings(steps=5))
    validation = ValidationSet(ImageSet(dataset, proposals))
    train(
        run,
        ImageSet(dataset, proposals),
        tiny_settings(steps=5),
        resume=True,
        validation=validation,
    )
    assert [row["step"] for row in rows(run)] == ["5"] and best(run)["step"] == 5


def test_validation_does_not_change_the_training(dataset, tmp_path):
    proposals = random_proposals(dataset)
    settings = tiny_settings(steps=5, dropout=0.5)
    plain = train(tmp_path / "plain", ImageSet(dataset, proposals), settings)
    watched = {"validation": ValidationSet(ImageSet(dataset, proposals)), "validate_every": 2}
    model = train(tmp_path / "watched", ImageSet(dataset, proposals), settings, **watched)
    for a, b in zip(plain.weights, model.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=a.path)
    assert len(rows(tmp_path / "watched")) == 3


def test_images_of_all_sizes_are_detected_by_one_trace(dataset):
    proposals = random_proposals(dataset)
    model = build_and_compile(ImageSet(dataset, proposals), tiny_settings())
    detector = detector_of(model, tiny_settings())
    for _ in range(2):
        evaluate_detector(detector, ImageSet(dataset, [p[: 5 + len(p) // 2] for p in proposals]))
        evaluate_detector(detector, ImageSet(dataset, proposals))
    assert detector._traced.experimental_get_tracing_count() == 1


def test_a_detector_follows_the_model_in_training(dataset):
    """The weights are shared: no copy, no reading back."""
    proposals = random_proposals(dataset)
    model = build_and_compile(ImageSet(dataset, proposals), tiny_settings())
    detector = detector_of(model, tiny_settings())
    image = np.full((60, 70, 3), 120, np.uint8)
    detector.detect(image, proposals[0])
    head = model.get_layer("cls_score")
    head.kernel.assign(np.zeros(head.kernel.shape))
    head.bias.assign([0.0, 0.0, 5.0])
    found = detector.detect(image, proposals[0])
    assert set(found.classes) == {2}
    np.testing.assert_allclose(found.scores, np.exp(5) / (np.exp(5) + 2), rtol=1e-5)
