"""The export of a detector that makes its own proposals: what it answers about images alone."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.data.images import open_image
from keras_frcnn.detection.multiscale import MultiScaleDetector
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.errors import InputError
from keras_frcnn.export import inputs
from keras_frcnn.export.precision import with_precision
from keras_frcnn.export.saved_model import export_saved_model
from keras_frcnn.models.faster_rcnn import FasterRCNN
from tests.export.conftest import CLASSES, MAX_PIXELS, OPTIONS, small_faster, spread
from tests.export.requests import encoded, photograph
from tests.export.test_inputs import GOOD, png_of_one_colour
from tests.shared_data import shared_data

PHOTOGRAPHS = "voc2007_subset/VOCdevkit/VOC2007"
WEIGHTS = "weights/squeezenet1.1_imagenet_notop.h5"

# What a user of the export has: TensorFlow and NumPy. The import of this package is made to fail.
DETECT_ALONE = """
import sys
sys.modules["keras_frcnn"] = sys.modules["keras"] = None
import numpy as np, tensorflow as tf
results, folder, *paths = sys.argv[1:]
served = tf.saved_model.load(folder).signatures
found = {}
for i, path in enumerate(paths):
    image = tf.stack([tf.io.read_file(path)])
    for name in ("serving_default", "raw"):
        found |= {f"{k} {i}": v[0].numpy() for k, v in served[name](image_bytes=image).items()}
np.savez(results, **found)
"""


def in_pixels(boxes, image):
    """(ymin, xmin, ymax, xmax) in fractions as (x1, y1, x2, y2)."""
    height, width = image.shape[:2]
    return boxes[..., [1, 0, 3, 2]] * np.float32([width, height, width, height])


@pytest.mark.parametrize("count", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_photographs_in_a_fresh_process(tmp_path, count):
    """With an ImageNet trunk at the scale of a training, all that makes ties is as in earnest."""
    folder = shared_data(PHOTOGRAPHS)
    keras.utils.set_random_seed(3)
    weights = str(shared_data(WEIGHTS))
    model = spread(FasterRCNN(list("abc"), "squeezenet", weights, fc_units=(32, 32)))
    detector = ProposingDetector(model, min_side=480, max_side=800)
    exported = export_saved_model(detector, tmp_path, CLASSES)
    names = (folder / "ImageSets" / "Main" / "test.txt").read_text().split()[:count]
    paths = [str(folder / "JPEGImages" / f"{name}.jpg") for name in names]
    results = str(tmp_path / "found.npz")
    alone = [sys.executable, "-c", DETECT_ALONE, results, str(exported), *paths]
    subprocess.run(alone, check=True)
    found = np.load(results)
    for i, path in enumerate(paths):
        image = open_image(path)
        expected = detector.detect(image).above(0.3)
        assert len(expected) > 0
        is_sure = found[f"detection_scores {i}"] >= 0.3
        boxes = in_pixels(found[f"detection_boxes {i}"][is_sure], image)
        np.testing.assert_array_equal(found[f"detection_classes {i}"][is_sure], expected.classes)
        np.testing.assert_allclose(boxes, expected.boxes, atol=0.1)
        np.testing.assert_allclose(
            found[f"detection_scores {i}"][is_sure], expected.scores, atol=1e-4
        )
        boxes, objectness = detector.propose(image)
        n = len(boxes)
        np.testing.assert_allclose(in_pixels(found[f"proposals {i}"][:n], image), boxes, atol=0.1)
        np.testing.assert_allclose(found[f"objectness {i}"][:n], objectness, atol=1e-4)
        assert not found[f"proposals {i}"][n:].any() and not found[f"objectness {i}"][n:].any()


SIZES = [(90, 120), (40, 300), (200, 30), (64, 64), (1, 50), (90, 121), (300, 400)]


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("signature", ["serving_default", "raw"])
def test_files_get_the_answer_they_get_alone(served_proposing, signature, count):
    files = [encoded(photograph(*size, seed)) for seed, size in enumerate(SIZES)]
    together = served_proposing[signature](image_bytes=tf.constant(files[:count]))
    for i, file in enumerate(files[:count]):
        alone = served_proposing[signature](image_bytes=tf.constant([file]))
        for name, value in alone.items():
            np.testing.assert_array_equal(together[name][i], value[0], err_msg=name)


def test_pixels_get_the_answer_of_their_file(served_proposing):
    images = [photograph(90, 120, seed) for seed in range(3)]
    together = served_proposing["detect_pixels"](images=np.stack(images))
    files = served_proposing["serving_default"](image_bytes=list(map(encoded, images)))
    for name, value in together.items():
        np.testing.assert_array_equal(value, files[name], err_msg=name)


def suppressed(boxes, scores):
    """What postprocessing leaves of one class, as indices, from the definition."""
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        x1, y1, x2, y2 = boxes[i]
        if scores[i] <= 0.05 or x2 <= x1 or y2 <= y1:
            continue
        for a1, b1, a2, b2 in boxes[kept]:
            shared = max(min(x2, a2) - max(x1, a1), 0) * max(min(y2, b2) - max(y1, b1), 0)
            if shared / ((x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - shared) > 0.3:
                break
        else:
            kept.append(i)
    return kept


def test_raw_is_what_detections_are_made_of(served_proposing):
    image = photograph(90, 120)
    given = {"image_bytes": tf.constant([encoded(image)])}
    raw = {name: value[0].numpy() for name, value in served_proposing["raw"](**given).items()}
    assert {name: value.shape for name, value in raw.items()} == {
        "raw_detection_boxes": (60, 3, 4),
        "raw_detection_scores": (60, 4),
        "proposals": (60, 4),
        "objectness": (60,),
    }
    assert np.all(np.diff(raw["objectness"]) <= 0)  # best first
    found = {k: v[0].numpy() for k, v in served_proposing["serving_default"](**given).items()}
    count = int(found["num_detections"])
    assert count > 5
    for k in range(3):
        boxes, scores = raw["raw_detection_boxes"][:, k], raw["raw_detection_scores"][:, k + 1]
        kept = suppressed(in_pixels(boxes, image), scores)
        here = np.flatnonzero(found["detection_classes"][:count] == k + 1)
        np.testing.assert_array_equal(found["detection_scores"][here], scores[kept])
        # Of proposals on the same cells, which score the same, any may be kept.
        for i in here:
            equal = boxes[scores == found["detection_scores"][i]]
            assert np.abs(equal - found["detection_boxes"][i]).max(axis=1).min() < 1e-6


NOISE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
ODD = {
    "1x1": photograph(1, 1),
    "16x16": photograph(16, 16),
    "8x2000": photograph(8, 2000),
    "2000x8": photograph(2000, 8),
    "88x88": photograph(88, 88),
    "blank": np.full((90, 120, 3), 200, np.uint8),
    "noise": NOISE,
}


@pytest.fixture(scope="module", params=["squeezenet", "vgg16"])
def of_trunk(request, tmp_path_factory):
    """A detector and the signatures of its export; VGG16's pools drop what is no whole window."""
    keras.utils.set_random_seed(3)
    model = spread(FasterRCNN(list("abc"), request.param, None, OPTIONS, fc_units=(32, 32)))
    detector = ProposingDetector(model, min_side=96, max_side=160)
    folder = export_saved_model(detector, tmp_path_factory.mktemp(request.param), CLASSES)
    return detector, tf.saved_model.load(str(folder)).signatures


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_answered(of_trunk, name):
    detector, served = of_trunk
    image = ODD[name]
    expected, proposals = detector.examine(image)
    given = {"image_bytes": tf.constant([encoded(image)])}
    found = served["serving_default"](**given)
    count = int(found["num_detections"][0])
    boxes = found["detection_boxes"][0, :count].numpy()
    assert np.all((boxes >= 0) & (boxes <= 1)) and np.all(boxes[:, 2:] > boxes[:, :2])
    assert count == len(expected)
    np.testing.assert_allclose(
        found["detection_scores"][0, :count], np.float32(expected.scores), atol=1e-4
    )
    raw = served["raw"](**given)
    real = raw["proposals"][0].numpy().any(axis=1)
    assert real.sum() == len(proposals) and not real[len(proposals) :].any()
    for value in raw.values():
        assert np.isfinite(value).all() and not np.any(value[0, len(proposals) :])


def test_images_of_pixels_are_limited_one_by_one(served_proposing):
    rows = MAX_PIXELS // 1000
    images = np.zeros((1, rows, 1000, 3), np.uint8)
    assert served_proposing["detect_pixels"](images=images)["num_detections"].shape == (1,)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=f"images have 1001 x {rows} pixels, more than the"
    ):
        served_proposing["detect_pixels"](images=np.zeros((1, rows, 1001, 3), np.uint8))
    large = png_of_one_colour(12_001, 1000)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"image_bytes\[1\] has 12001 x 1000 pixels"
    ):
        served_proposing["serving_default"](image_bytes=[GOOD, large])


def test_empty_batches_and_images_without_pixels(served_proposing):
    for signature in ("serving_default", "raw"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="image_bytes holds no image"):
            served_proposing[signature](image_bytes=tf.constant([], tf.string))
    detect = served_proposing["detect_pixels"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="images holds no image"):
        detect(images=tf.zeros([0, 9, 9, 3], tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="no pixels: they are 0 x 7"):
        detect(images=tf.zeros([1, 7, 0, 3], tf.uint8))


def test_wrong_ranks_reach_the_graph_of_a_server():
    check = tf.function(
        lambda images: inputs.check_pixels_alone(images, 100),
        input_signature=[tf.TensorSpec(None, tf.uint8)],
        autograph=False,
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[7,9,3\] is not compatible"):
        check(tf.zeros([7, 9, 3], tf.uint8))


def test_proposals_cannot_be_limited(detector_proposing, tmp_path):
    with pytest.raises(InputError, match=r"max_proposals: .* makes its own, leave it out"):
        export_saved_model(detector_proposing, tmp_path, CLASSES, max_proposals=100)
    assert not list(tmp_path.iterdir())


def test_several_scales_are_not_defined(detector_proposing):
    with pytest.raises(InputError, match="is faster_rcnn, not fast_rcnn; use ProposingDetector"):
        MultiScaleDetector(detector_proposing.model, min_sides=(64, 96))


def test_copies_keep_names_and_the_types_of_boxes():
    model = small_faster()
    copy = with_precision(model, "bfloat16")
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert copy.get_layer("rpn_conv").output.dtype == "bfloat16"
    own = ("propose", "sample_rois", "take_anchors", "carry_targets", "rpn_scores", "rpn_deltas")
    for name in own:
        before, after = (m.get_layer(name) for m in (model, copy))
        assert after.dtype_policy == before.dtype_policy
        types = [[x.dtype for x in tf.nest.flatten(layer.output)] for layer in (before, after)]
        assert types[0] == types[1] and "bfloat16" not in types[0]


def test_bfloat16_export_keeps_scores_and_offsets_in_float32(detector_proposing, tmp_path):
    folder = export_saved_model(detector_proposing, tmp_path, CLASSES, precision="bfloat16")
    served = tf.saved_model.load(str(folder)).signatures
    image = photograph(90, 120)
    out = served["raw"](image_bytes=tf.constant([encoded(image)]))
    assert all(value.dtype == tf.float32 for value in out.values())
    # Where proposals are the same but for rounding, so is their objectness.
    boxes, objectness = detector_proposing.propose(image)
    found = in_pixels(out["proposals"][0].numpy(), image)
    distance = np.abs(found[:, None] - boxes).max(axis=-1)
    near = distance.argmin(axis=1)
    close = distance.min(axis=1) < 1
    assert close.mean() > 0.5
    np.testing.assert_allclose(
        out["objectness"][0].numpy()[close], objectness[near][close], atol=0.02
    )
