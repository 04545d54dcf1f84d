"""Detections on Beam: those of `detect` with a run, and of the export itself with an export."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_frcnn.bulk.jobs import bulk_detections, bulk_proposals, read_bulk_detections
from keras_frcnn.cli.__main__ import main
from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.data.images import open_image
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.evaluate import detect_all
from keras_frcnn.export.client import detections_of, inputs_of
from keras_frcnn.export.saved_model import export_saved_model
from keras_frcnn.proposals.parquet import from_parquet, unpacked_boxes
from keras_frcnn.proposals.selective_search import SelectiveSearch
from keras_frcnn.runs.checkpoints import checkpoint_path
from keras_frcnn.runs.directory import load_detector, save_settings
from tests.bulk.conftest import FAILED, needs_processes
from tests.export.conftest import MEANS, small_faster, small_model
from tests.tiny import tiny_settings, tiny_trunk

THREADS = ["--direct_running_mode", "multi_threading", "--direct_num_workers", "2"]
PROCESSES = ["--direct_running_mode", "multi_processing", "--direct_num_workers", "2"]
CLASSES = ("cat", "dog", "żółw")
SIDES = {"min_side": (96,), "max_side": 160}
ANCHORS = {"anchor_scales": (2, 4, 8), "pre_nms_test": 200, "proposals_test": 60}


@pytest.fixture(scope="module", autouse=True)
def trunk():
    """The trunk of the runs, which exports do not depend on."""
    with tiny_trunk():
        yield


def run_of(folder, model, **settings):
    """A run directory with a model as its one checkpoint."""
    folder.mkdir()
    save_settings(folder, tiny_settings(class_names=CLASSES, **SIDES, **settings))
    path = checkpoint_path(folder, 1)
    path.parent.mkdir()
    model.save(path)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A run and an export of each kind of detector."""
    folder = tmp_path_factory.mktemp("models")
    fast, faster = small_model(), small_faster()
    sides = {"min_side": 96, "max_side": 160}
    return {
        "fast run": run_of(folder / "fast", fast),
        "faster run": run_of(folder / "faster", faster, detector="faster_rcnn", **ANCHORS),
        "fast export": export_saved_model(Detector(fast, MEANS, **sides), folder / "a", CLASSES),
        "faster export": export_saved_model(
            ProposingDetector(faster, MEANS, **sides), folder / "b", CLASSES
        ),
    }


@pytest.fixture(scope="module")
def proposals(listed, tmp_path_factory):
    out = tmp_path_factory.mktemp("proposals") / "out"
    bulk_proposals(str(listed), str(out), SelectiveSearch(min_size=5), 3)
    return out


@pytest.fixture(scope="module")
def boxes(proposals):
    """The proposals of each image, by its path."""
    rows = []
    for path in proposals.glob("proposals-*.parquet"):
        rows += from_parquet(path.read_bytes(), "")
    return {row.path: unpacked_boxes(row, "") for row in rows}


def lines_of(folder):
    text = "".join(p.read_text() for p in sorted(folder.glob("detections-*.jsonl")))
    return {entry["path"]: entry for entry in map(json.loads, text.splitlines())}


def run_it(model, kind, out, listed, proposals, options):
    given = {"proposals": str(proposals)} if "fast " in f"{kind} " else {"images": str(listed)}
    return bulk_detections(str(model), str(out), images_per_shard=3, options=options, **given)


@pytest.mark.parametrize("kind", ["fast", "faster"])
def test_a_run_detects_as_detect_does_to_the_bit(kind, models, listed, proposals, boxes, tmp_path):
    run, out = models[f"{kind} run"], tmp_path / "out"
    result = run_it(run, kind, out, listed, proposals, THREADS)
    assert result.counters["images"] == 7
    detector, _ = load_detector(run)
    lines = lines_of(out)
    assert lines.keys() == boxes.keys()
    for path, line in lines.items():
        image = open_image(path)
        own = detector.detect(image, *((boxes[path],) if kind == "fast" else ()))
        assert len(own) > 3
        assert line["detections"] == json.loads(json.dumps(own.to_json(CLASSES)))
        assert (
            np.float32([d["score"] for d in line["detections"]]).tobytes() == own.scores.tobytes()
        )
        assert np.float32([d["box"] for d in line["detections"]]).tobytes() == own.boxes.tobytes()
        assert (line["height"], line["width"]) == image.shape[:2]
    if kind == "faster":
        assert {Path(f["path"]).name for f in result.failures} == set(FAILED)


@pytest.mark.parametrize(
    "options",
    [THREADS, pytest.param(PROCESSES, marks=[pytest.mark.slow, needs_processes])],
    ids=["threads", "processes"],
)
@pytest.mark.parametrize("kind", ["fast", "faster"])
def test_an_export_answers_as_it_does_by_itself_to_the_bit(
    kind, options, models, listed, proposals, boxes, tmp_path
):
    export, out = models[f"{kind} export"], tmp_path / "out"
    result = run_it(export, kind, out, listed, proposals, options)
    assert result.counters == {
        "images": 7,
        "failed": 0 if kind == "fast" else 3,
        "shards": 4,
    }
    served = tf.saved_model.load(str(export))
    lines = lines_of(out)
    assert lines.keys() == boxes.keys()
    for path, line in lines.items():
        content = Path(path).read_bytes()
        inputs = inputs_of(content, boxes[path] if kind == "fast" else None)
        outputs = served.signatures["serving_default"](
            **{name: tf.constant(value) for name, value in inputs.items()}
        )
        found = detections_of(
            {name: value.numpy() for name, value in outputs.items()},
            *open_image(path).shape[:2],
            "",
        )
        assert len(found) > 3
        assert line["detections"] == found.to_json(CLASSES)


def test_what_detect_writes(models, photos, tmp_path):
    """The whole command, against the table of `keras-frcnn detect`."""
    run = models["faster run"]
    pattern = f"{photos}/*.jpg"
    names = [str(photos / name) for name in ("a.jpg", "b c.jpg", "side.jpg")]
    assert main(["detect", str(run), *names, "--out", str(tmp_path / "own")]) == 0
    bulk = ["beam", "detect", "--model", str(run), "--input", pattern]
    assert main([*bulk, "--output", str(tmp_path / "out"), "--images-per-shard", "2"]) == 1
    own = json.loads((tmp_path / "own" / "detections.json").read_text())
    assert {path: line["detections"] for path, line in lines_of(tmp_path / "out").items()} == own


def test_changed_images_and_models_are_told(models, photos, tmp_path):
    image = tmp_path / "a.png"
    image.write_bytes((photos / "e.png").read_bytes())
    (tmp_path / "b.png").write_bytes((photos / "grey.png").read_bytes())
    searched, found = str(tmp_path / "searched"), str(tmp_path / "found")
    bulk_proposals(f"{tmp_path}/*.png", searched)
    Image.new("RGB", (80, 60)).save(image)
    result = bulk_detections(str(models["fast run"]), found, proposals=searched)
    assert [f["error"] for f in result.failures] == [
        f"{image}: has changed since its proposals were found"
    ]
    with pytest.raises(InputError, match="another method or model"):
        bulk_detections(str(models["fast export"]), found, proposals=searched)
    (Path(searched) / "proposals-00000-of-00001.parquet").unlink()
    with pytest.raises(InputError, match="holds no shards of proposals"):
        bulk_detections(str(models["fast run"]), str(tmp_path / "new"), proposals=searched)


def test_what_does_not_go_together_is_named(models, listed, proposals, tmp_path):
    out = str(tmp_path / "out")
    with pytest.raises(InputError, match="takes proposals; name the proposals, and no images"):
        bulk_detections(str(models["fast export"]), out, images=str(listed))
    with pytest.raises(InputError, match="makes its own proposals; name the images, and no prop"):
        bulk_detections(
            str(models["faster run"]), out, images=str(listed), proposals=str(proposals)
        )
    with pytest.raises(InputError, match="neither a run nor the folder of an export"):
        bulk_detections(str(tmp_path), out, images=str(listed))
    with pytest.raises(InputError, match="no checkpoint yet"):
        run = tmp_path / "begun"
        run.mkdir()
        save_settings(run, tiny_settings())
        bulk_detections(str(run), out, proposals=str(proposals))


def data_set(lines):
    """The images as a data set, with one object each, where something was found."""
    records = []
    for path, line in sorted(lines.items()):
        best = line["detections"][0]
        records.append(
            ImageRecord(
                Path(path).name,
                path,
                line["height"],
                line["width"],
                boxes=np.float32([best["box"]]),
                labels=np.int32([CLASSES.index(best["class"]) + 1]),
                is_difficult=np.array([False]),
            )
        )
    return Dataset("photos", CLASSES, tuple(records))


def test_detections_of_a_data_set_are_those_of_its_images(
    models, listed, proposals, boxes, tmp_path
):
    run, out = models["fast run"], tmp_path / "out"
    run_it(run, "fast", out, listed, proposals, [])
    dataset = data_set(lines_of(out))
    found = read_bulk_detections(str(out), dataset)
    regions = [boxes[record.path] for record in dataset.images]
    upright = [r for r in range(len(found)) if "side" not in dataset.images[r].path]
    own = list(detect_all(load_detector(run)[0], ImageSet(dataset, regions)))
    for i in upright:
        for name in ("boxes", "scores", "classes"):
            np.testing.assert_array_equal(getattr(found[i], name), getattr(own[i], name))
    some = dataclasses.replace(dataset, images=dataset.images[2:4])
    for one, other in zip(read_bulk_detections(str(out), some), found[2:4], strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
    others = dataclasses.replace(dataset, images=(ImageRecord("x.jpg", "x.jpg", 60, 80),))
    with pytest.raises(InputError, match="names no image of photos"):
        read_bulk_detections(str(out), others)
    (out / "detections-00000-of-00004.jsonl").unlink()
    with pytest.raises(InputError, match="1 of 4 shards of detections are missing"):
        read_bulk_detections(str(out), dataset)
    (out / "detections-00000-of-00004.jsonl").write_text('{"path": "a"}\n')
    with pytest.raises(InputError, match="is no file of detections"):
        read_bulk_detections(str(out), dataset)
