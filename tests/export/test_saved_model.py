import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.detection import Detector
from keras_frcnn.errors import InputError
from keras_frcnn.export.saved_model import export_saved_model
from keras_frcnn.model import fast_rcnn

CLASSES = ("cat", "dog", "żółw")

# What a user of the export has: TensorFlow and NumPy. The import of this package is made to fail.
SERVE_ALONE = """
import sys
sys.modules["keras_frcnn"] = None
import numpy as np, tensorflow as tf
folder, arrays, results = sys.argv[1:]
given = np.load(arrays)
served = tf.saved_model.load(folder).signatures["serving_default"]
out = served(images=tf.constant(given["images"]), proposals=tf.constant(given["proposals"]))
np.savez(results, **{k: v.numpy() for k, v in out.items()})
"""


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(3)
    model = fast_rcnn(3, "squeezenet", fc_units=(32, 32))
    head = model.get_layer("cls_score")
    head.kernel.assign(head.kernel * 30)  # scores that pass the threshold
    return Detector(model, (103.939, 116.779, 123.68), min_side=96, max_side=160)


@pytest.fixture(scope="module")
def exported(detector, tmp_path_factory):
    return export_saved_model(detector, CLASSES, tmp_path_factory.mktemp("models") / "with space")


def inputs(count=2, rois=60):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 90, 120, 3), dtype=np.uint8)
    corners = np.sort(rng.uniform(0, 1, (count, rois, 2, 2)) * [120, 90], axis=2)
    return images, corners.reshape(count, rois, 4).astype(np.float32)


def test_serves_without_this_package_what_the_model_detects(detector, exported, tmp_path):
    images, proposals = inputs()
    proposals[1, -7:] = -1
    np.savez(tmp_path / "in.npz", images=images, proposals=proposals)
    arguments = [str(exported), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-c", SERVE_ALONE, *arguments], check=True, cwd=tmp_path, env=environment
    )
    out = np.load(tmp_path / "out.npz")
    for i in range(2):
        real = proposals[i][proposals[i, :, 0] >= 0]
        expected = detector.detect(images[i], real)
        count = int(out["num_detections"][i])
        assert count == len(expected) > 0
        ymin, xmin, ymax, xmax = out["detection_boxes"][i, :count].T
        boxes = np.stack([xmin * 120, ymin * 90, xmax * 120, ymax * 90], axis=1)
        np.testing.assert_allclose(boxes, expected.boxes, atol=1e-2)
        np.testing.assert_allclose(out["detection_scores"][i, :count], expected.scores, atol=1e-4)
        np.testing.assert_array_equal(out["detection_classes"][i, :count], expected.classes)


def test_mixed_precision_detector_exports(tmp_path):
    keras.utils.set_random_seed(3)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = fast_rcnn(3, "squeezenet", fc_units=(32, 32))
    finally:
        keras.config.set_dtype_policy(policy)
    head = model.get_layer("cls_score")
    head.kernel.assign(head.kernel * 30)
    half = Detector(model, (103.939, 116.779, 123.68), min_side=96, max_side=160)
    folder = export_saved_model(half, CLASSES, tmp_path / "models")
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    images, proposals = inputs(count=1)
    out = served(images=images, proposals=proposals)
    expected = half.detect(images[0], proposals[0])
    assert out["detection_scores"].dtype == tf.float32
    # bfloat16 has 8 bits: scores agree to a few parts in a thousand.
    np.testing.assert_allclose(
        out["detection_scores"][0, : len(expected)], expected.scores, atol=0.01
    )


def test_graph_holds_only_tensorflows_own_ops(exported):
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    graph = message.meta_graphs[0].graph_def
    ops = {node.op for node in graph.node}
    ops |= {node.op for function in graph.library.function for node in function.node_def}
    assert not {op for op in ops if "Frcnn" in op or "PyFunc" in op}


def test_unknown_sizes_and_no_proposals(exported):
    served = tf.saved_model.load(str(exported)).signatures["serving_default"]
    for height, width in ((1, 1), (40, 700)):
        out = served(
            images=tf.zeros([3, height, width, 3], tf.uint8), proposals=tf.zeros([3, 0, 4])
        )
        assert out["detection_boxes"].shape == (3, 100, 4)
        assert not out["num_detections"].numpy().any()


def test_class_names_travel_along(exported):
    text = (exported / "assets.extra" / "classes.json").read_text(encoding="utf-8")
    assert json.loads(text) == list(CLASSES)


def test_an_existing_version_is_not_overwritten(detector, exported):
    before = sorted(p.name for p in exported.parent.iterdir())
    with pytest.raises(InputError, match="exists"):
        export_saved_model(detector, CLASSES, exported.parent)
    assert sorted(p.name for p in exported.parent.iterdir()) == before == ["1"]


def test_unwritable_target_is_named(detector, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        export_saved_model(detector, CLASSES, tmp_path / "file" / "models")
