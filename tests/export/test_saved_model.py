import json
import os
import resource
import subprocess
import sys

import fsspec
import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_frcnn
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.multiscale import MultiScaleDetector
from keras_frcnn.errors import InputError
from keras_frcnn.export.saved_model import (
    check_portable,
    export_saved_model,
    fingerprint,
    used_ops,
)
from keras_frcnn.models.fast_rcnn import FastRCNN
from tests.export.conftest import CLASSES, MEANS, small_model
from tests.export.requests import encoded, padded, photograph, proposals_in

# What a user of the export has: TensorFlow and NumPy. The import of this package is made to fail.
SERVE_ALONE = """
import sys
sys.modules["keras_frcnn"] = sys.modules["keras"] = None
import numpy as np, tensorflow as tf
folder, arrays, results = sys.argv[1:]
given = np.load(arrays)
served = tf.saved_model.load(folder).signatures["detect_pixels"]
out = served(**{k: tf.constant(v) for k, v in given.items()})
np.savez(results, **{k: v.numpy() for k, v in out.items()})
"""


def assert_detections(out, i, expected, height, width, atol=1e-4):
    """Row i of a signature's output holds `expected`, in pixels of the image, and zeros."""
    count = int(out["num_detections"][i])
    assert count == len(expected)
    ymin, xmin, ymax, xmax = np.asarray(out["detection_boxes"][i, :count]).T
    boxes = expected.boxes / [width, height, width, height]
    np.testing.assert_allclose(np.stack([xmin, ymin, xmax, ymax], 1), boxes, atol=atol)
    np.testing.assert_allclose(out["detection_scores"][i, :count], expected.scores, atol=atol)
    np.testing.assert_array_equal(out["detection_classes"][i, :count], expected.classes)
    for name in ("detection_boxes", "detection_scores", "detection_classes"):
        assert not np.any(out[name][i, count:])


def test_serves_without_this_package_what_the_model_detects(case, tmp_path):
    images = np.stack([photograph(90, 120, seed) for seed in range(2)])
    boxes = [proposals_in(90, 120, 60), proposals_in(90, 120, 53, seed=1)]
    np.savez(tmp_path / "in.npz", images=images, **case.given(*boxes))
    arguments = [str(case.folder), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-c", SERVE_ALONE, *arguments], check=True, cwd=tmp_path, env=environment
    )
    out = np.load(tmp_path / "out.npz")
    for i in range(2):
        expected = case.detect(images[i], boxes[i])
        assert len(expected) > 0
        assert_detections(out, i, expected, 90, 120)


@pytest.mark.parametrize(
    ("sizes", "counts"),
    [
        ([(90, 120)], [3000]),
        ([(1, 1), (40, 700)], [1, 9]),
        ([(90, 120)] * 3 + [(200, 30), (1, 50), (90, 121), (7, 7)], [50, 0, 1, 20, 5, 300, 2]),
        ([(3000, 4000)], [40]),
        ([(50, 60)], [0]),
    ],
)
def test_files_of_different_sizes_in_one_batch(case, sizes, counts):
    images = [photograph(*size, seed) for seed, size in enumerate(sizes)]
    proposals = [
        proposals_in(*size, n, seed)
        for seed, (size, n) in enumerate(zip(sizes, counts, strict=True))
    ]
    out = case.served["serving_default"](
        image_bytes=tf.constant([encoded(image) for image in images]), **case.given(*proposals)
    )
    for i, (image, boxes) in enumerate(zip(images, proposals, strict=True)):
        assert_detections(out, i, case.detect(image, boxes), *image.shape[:2])
    assert out["detection_boxes"].shape == (len(sizes), 100, 4)


def test_jpeg_is_decoded_as_everywhere_in_this_package(detector, served, tmp_path):
    from keras_frcnn.data.images import open_image

    (tmp_path / "a.jpg").write_bytes(encoded(photograph(90, 120), "JPEG", quality=90))
    boxes = proposals_in(90, 120, 80)
    out = served["serving_default"](
        image_bytes=tf.constant([(tmp_path / "a.jpg").read_bytes()]), proposals=boxes[None]
    )
    assert_detections(out, 0, detector.detect(open_image(tmp_path / "a.jpg"), boxes), 90, 120)


def test_raw_gives_every_proposal_before_suppression(detector, served):
    images = [photograph(90, 120), photograph(50, 40, seed=1)]
    proposals = [proposals_in(90, 120, 30), proposals_in(50, 40, 20, seed=1)]
    out = served["raw"](
        image_bytes=tf.constant([encoded(image) for image in images]), proposals=padded(proposals)
    )
    assert out["raw_detection_scores"].shape == (2, 30, 4)
    assert out["raw_detection_boxes"].shape == (2, 30, 3, 4)
    assert not np.any(out["raw_detection_scores"][1, 20:])
    assert not np.any(out["raw_detection_boxes"][1, 20:])
    for i, (image, boxes) in enumerate(zip(images, proposals, strict=True)):
        p, deltas = (x[0].numpy() for x in detector.predict(image[None], boxes[None]))
        np.testing.assert_allclose(out["raw_detection_scores"][i, : len(boxes)], p, atol=1e-4)
        size = boxes[:, None, 2:] - boxes[:, None, :2]
        center = boxes[:, None, :2] + size / 2 + deltas[..., :2] * size
        half = size * np.exp(deltas[..., 2:]) / 2
        height, width = image.shape[:2]
        expected = np.concatenate([center - half, center + half], -1) / ([width, height] * 2)
        expected = np.clip(expected, 0, 1)[..., [1, 0, 3, 2]]
        found = out["raw_detection_boxes"][i, : len(boxes)]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_portable_graph_holds_only_tensorflows_own_ops(case):
    assert not {op for op in used_ops(case.folder) if "Frcnn" in op or "PyFunc" in op}


def test_only_matrices_are_variables(case):
    found = tf.train.list_variables(str(case.folder / "variables" / "variables"))
    shapes = sorted(tuple(shape) for _, shape in found if len(shape))
    dense = ("fc6", "fc7", "cls_score", "bbox_deltas")
    assert shapes == sorted(tuple(case.detector.model.get_layer(n).kernel.shape) for n in dense)


def test_custom_op_gives_the_same_and_is_refused_as_portable(case, tmp_path):
    folder = export_saved_model(case.detector, tmp_path, CLASSES, ops="custom")
    assert "KerasFrcnn>RoiPool" in used_ops(folder)
    with pytest.raises(RuntimeError, match="KerasFrcnn>RoiPool"):
        check_portable(folder)
    inputs = {"images": photograph(90, 120)[None], **case.given(proposals_in(90, 120, 60))}
    custom = tf.saved_model.load(str(folder)).signatures["detect_pixels"](**inputs)
    for name, value in case.served["detect_pixels"](**inputs).items():
        np.testing.assert_allclose(custom[name], value, atol=1e-5)


def test_python_functions_are_not_portable(tmp_path):
    module = tf.Module()
    module.f = tf.function(
        lambda x: tf.numpy_function(np.sin, [x], tf.float32),
        input_signature=[tf.TensorSpec([], tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path))
    with pytest.raises(RuntimeError, match="PyFunc"):
        check_portable(tmp_path)


def test_compressed_export(case, tmp_path):
    folder = export_saved_model(case.detector, tmp_path, CLASSES, svd={"ranks": {"fc6": 32}})
    model = json.loads((folder / "assets.extra" / "model.json").read_text())
    assert model["export"]["svd"] == {"fc6": 32}
    image, boxes = photograph(90, 120), proposals_in(90, 120, 60)
    out = tf.saved_model.load(str(folder)).signatures["detect_pixels"](
        images=image[None], **case.given(boxes)
    )
    # Of full rank: what the uncompressed detector finds.
    assert_detections(out, 0, case.detect(image, boxes), 90, 120)


def test_what_travels_with_the_model(case):
    model = json.loads((case.folder / "assets.extra" / "model.json").read_text("utf-8"))
    assert model["class_names"] == list(CLASSES)
    assert model["detector"]["min_side"] == 96 and model["detector"]["max_detections"] == 100
    is_fast = case.detector.needs_proposals
    assert model["detector"]["kind"] == ("fast_rcnn" if is_fast else "faster_rcnn")
    assert is_fast or model["detector"]["options"]["test"] == 60
    assert model["export"] == {
        "ops": "portable",
        "precision": "float32",
        "svd": {},
        "max_pixels": 12_000_000,
        "max_proposals": 20_000 if is_fast else None,
    }
    assert model["versions"]["keras_frcnn"] == keras_frcnn.__version__
    assert model["versions"]["tensorflow"] == tf.__version__
    assert model["weights_sha256"] == fingerprint(case.detector.model)


def test_fingerprint_is_of_the_weights():
    model = small_model()
    first = fingerprint(model)
    assert first == fingerprint(small_model())
    bias = model.get_layer("fc7").bias
    bias.assign(bias + 1e-6)
    assert fingerprint(model) != first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_names": CLASSES[:2]}, "class_names: 2 names for a model of 3"),
        ({"version": 0}, "version"),
        ({"overwrite": True}, "which version"),
        ({"ops": "fast"}, "fast"),
        ({"precision": "int8"}, "int8"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"max_proposals": 0}, "max_proposals"),
        ({"svd": {"ranks": {"fc6": 33}}}, "fc6 must be from 1 to 32"),
    ],
)
def test_impossible_arguments_are_named(case, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        export_saved_model(case.detector, **{"class_names": CLASSES, "to": tmp_path, **arguments})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kilobytes", [0, 10])
def test_a_full_disk_is_an_error_of_one_line(detector, tmp_path, kilobytes):
    """In place of a full disk, files may not become larger."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1000, limits[1]))
    try:
        with pytest.raises(InputError, match=f"cannot write to {tmp_path}: .*File too large") as e:
            export_saved_model(detector, tmp_path, CLASSES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(e.value)
    assert not list(tmp_path.iterdir())


def test_bfloat16_export_of_float32_training_detects_as_mixed_precision(tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = FastRCNN(list("abc"), "tiny", None, fc_units=(32, 32))
    finally:
        keras.config.set_dtype_policy(policy)
    full = small_model()
    mixed.set_weights(full.get_weights())
    expected = Detector(mixed, MEANS, min_side=96, max_side=160)
    detector = Detector(full, MEANS, min_side=96, max_side=160)
    folder = export_saved_model(detector, tmp_path, CLASSES, precision="bfloat16")
    image, boxes = photograph(90, 120), proposals_in(90, 120, 60)
    out = tf.saved_model.load(str(folder)).signatures["raw"](
        image_bytes=tf.constant([encoded(image)]), proposals=boxes[None]
    )
    probabilities, _ = tf.function(expected.predict)(image[None], boxes[None])
    assert out["raw_detection_scores"].dtype == tf.float32
    # bfloat16 has 8 bits, and the last layer of this model is scaled up 30 times.
    np.testing.assert_allclose(out["raw_detection_scores"], probabilities, atol=0.03)
    variables = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    types = variables.get_variable_to_dtype_map()
    shapes = variables.get_variable_to_shape_map()
    fc6 = [
        types[name] for name, shape in shapes.items() if shape == full.get_layer("fc6").kernel.shape
    ]
    assert fc6 == [tf.bfloat16]


def test_a_detector_of_several_scales_is_refused(detector, tmp_path):
    several = MultiScaleDetector(detector.model, MEANS, (64, 96), 160)
    with pytest.raises(InputError, match="has one scale"):
        export_saved_model(several, tmp_path, CLASSES)
    assert not list(tmp_path.iterdir())


def test_class_names_come_with_the_model(tmp_path):
    model = FastRCNN(["cat", "dog"], "tiny", None, fc_units=(8, 8), min_side=96, max_side=160)
    folder = export_saved_model(Detector(model), tmp_path, svd={"ranks": {"fc6": 4}})
    content = json.loads((folder / "assets.extra" / "model.json").read_text())
    assert content["class_names"] == ["cat", "dog"]
    assert content["detector"]["min_side"] == 96


def test_a_version_at_a_url(tmp_path):
    files, url = fsspec.filesystem("memory"), f"memory://{tmp_path.name}/models"
    detector = Detector(small_model(), MEANS, min_side=64, max_side=100, class_names=CLASSES)
    try:
        for version in (1, 2):
            written = export_saved_model(detector, url)
            assert written == f"{url}/{version}"
        files.get(f"/{tmp_path.name}/models/2", str(tmp_path / "got"), recursive=True)
        image, boxes = photograph(50, 60), proposals_in(50, 60, 30)
        served = tf.saved_model.load(str(tmp_path / "got")).signatures["detect_pixels"]
        out = served(images=tf.constant(image[None]), proposals=tf.constant(boxes[None]))
        assert_detections(out, 0, detector.detect(image, boxes), 50, 60)
        for options, message in (({"version": 2}, "2 exists"), ({"overwrite": True}, "overwrite")):
            with pytest.raises(InputError, match=message):
                export_saved_model(detector, url, **options)
    finally:
        files.store.clear()
