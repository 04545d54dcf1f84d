"""Trainings with a validation: what a run that was stopped, killed or finished has of it."""

import csv
import signal
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.errors import InputError, Interrupted
from keras_frcnn.evaluation.evaluate import evaluate_detector
from keras_frcnn.files import write_json
from keras_frcnn.monitoring.validation import ValidationSet, forget_best_after
from keras_frcnn.runs.checkpoints import checkpoint_paths, checkpoint_step
from keras_frcnn.runs.directory import detector_of
from keras_frcnn.training.build import build_and_compile
from keras_frcnn.training.fit import train
from tests.images import random_proposals
from tests.monitoring.records import best, rows
from tests.tiny import tiny_settings

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs the package tensorboard"
)
pytestmark = pytest.mark.usefixtures("trunk")


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
