"""That all programs of the benchmark compute the same network."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import map_coordinates

from keras_frcnn.benchmarks import detect, detect_models, detect_peers, detect_tensorflow
from keras_frcnn.benchmarks import detect_steps as names
from keras_frcnn.benchmarks.detect_steps import Source, Step, our_steps, peer_steps
from keras_frcnn.benchmarks.turns import OUTPUT, STEP, answer_named
from keras_frcnn.custom_ops.library import load_library
from keras_frcnn.errors import InputError
from keras_frcnn.export.svd import compress
from keras_frcnn.models.fast_rcnn import FastRCNN
from tests.benchmarks.small_detector import K, image_and_proposals, small_detector

BUILDS = [(precision, svd) for precision in names.PRECISIONS for svd in (False, True)]
ALL_OURS = [step for build in BUILDS for step in our_steps(*build)]
RANKS = {"fc6": 12, "fc7": 8}
SAMPLE = 3


@pytest.fixture(scope="module")
def detector():
    return small_detector()


@pytest.fixture(scope="module")
def inputs(detector):
    return detect_models.make_inputs(detector, *image_and_proposals())


@pytest.fixture(scope="module")
def folder(detector, inputs, tmp_path_factory):
    if load_library() is None:
        pytest.skip("the custom op cannot be built here")
    folder = tmp_path_factory.mktemp("models")
    detect_models.write_models(detector, {"ranks": RANKS}, inputs, folder, names.PRECISIONS)
    return folder


@pytest.fixture(scope="module")
def outputs(folder, inputs):
    """What every step of ours returns."""
    found = {}
    for build in BUILDS:
        steps = detect_tensorflow.load_steps(folder, inputs, SAMPLE, *build)
        for step, run in steps.items():
            found[step] = {name: value.numpy() for name, value in run().items()}
    return found


@pytest.fixture(scope="module")
def expected(detector, inputs):
    """Probabilities and offsets by the Keras model itself."""
    return as_probabilities(detector.network(inputs.scaled, inputs.rois[None]))


def as_probabilities(outputs):
    return {
        "probabilities": tf.nn.softmax(outputs["cls_score"]).numpy(),
        "deltas": outputs["bbox_pred"].numpy(),
    }


def assert_same(actual, expected, precision="float32"):
    limits = {"float32": 1e-5, "bfloat16": 0.03}
    for name, value in expected.items():
        tolerance = limits[precision] * max(1, np.abs(value).max())
        np.testing.assert_allclose(actual[name].ravel(), value.ravel(), atol=tolerance, rtol=0)


def test_network_is_worth_comparing(expected):
    assert np.ptp(expected["probabilities"], axis=1).min() > 0.01  # differs between proposals
    assert np.abs(expected["deltas"]).max() > 0.1


def test_onnx_runtime_computes_our_network(folder, inputs, expected):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: the extra 'bench'")
    run = detect_peers.onnx_runtime(folder / names.ONNX_FILE, inputs.of_peers(), 1)
    assert_same(run(), expected)


@pytest.mark.parametrize("precision", names.PRECISIONS)
def test_openvino_computes_our_network(folder, inputs, expected, precision):
    pytest.importorskip("openvino", reason="OpenVINO is not installed: the extra 'bench'")
    path = folder / names.ONNX_FILE
    run = detect_peers.openvino(path, inputs.of_peers(), 1, precision)
    assert_same({k: np.asarray(v) for k, v in run().items()}, expected, precision)


def test_an_unknown_layer_is_not_left_out_of_the_graph(tmp_path):
    onnx_graph = pytest.importorskip("keras_frcnn.benchmarks.onnx_graph")
    model = FastRCNN(map(str, range(K)), "squeezenet", None, fc_units=(8, 8))
    with pytest.raises(InputError, match="conv1"):
        onnx_graph.write_onnx(model, tmp_path / "model.onnx", (96, 160), 5)


@pytest.mark.parametrize("precision", names.PRECISIONS)
def test_parts_compute_our_network(outputs, expected, precision):
    assert_same(outputs[Step(names.NETWORK, precision)], expected, precision)
    assert_same(outputs[Step(names.HEADS, precision)], expected, precision)
    assert set(outputs) == set(ALL_OURS)


def test_compressed_parts_compute_the_compressed_network(outputs, detector, inputs, expected):
    model = compress(detector.model, RANKS)
    compressed = as_probabilities(model({"images": inputs.scaled, "rois": inputs.rois[None]}))
    assert np.abs(compressed["probabilities"] - expected["probabilities"]).max() > 1e-3
    for what in (names.NETWORK, names.HEADS):
        assert_same(outputs[Step(what, "float32", svd=True)], compressed)


def test_stages_together_are_a_detection(outputs, detector, inputs):
    found = detector.detect(inputs.image, inputs.proposals)
    assert len(found) > 3
    parts = outputs[Step(names.SUPPRESS, "float32")]
    np.testing.assert_allclose(parts["scores"][0, : len(found)], found.scores, atol=1e-5)
    np.testing.assert_allclose(parts["boxes"][0, : len(found)], found.boxes, atol=1e-3)
    for ops in (names.PORTABLE, names.CUSTOM):
        exported = outputs[Step(names.DETECT, "float32", ops)]
        scores = exported["detection_scores"][0, : len(found)]
        np.testing.assert_allclose(scores, found.scores, atol=1e-5)
    prepared = outputs[Step(names.PREPARE, "float32")]
    np.testing.assert_array_equal(prepared["images"], inputs.scaled)
    assert prepared["rois"].shape[1] == detect_models.count_distinct(detector, inputs)


def test_distinct_rois_are_counted_by_cell(detector, inputs):
    cells = np.sign(inputs.rois) * np.floor(np.abs(inputs.rois) / 16 + 0.5)
    assert len(np.unique(cells, axis=0)) == detect_models.count_distinct(detector, inputs)


def test_rcnn_warps_a_proposal_and_ends_in_a_max_pooling(detector, inputs):
    """Against bilinear sampling by SciPy, and the pooling that RoI pooling stands for."""
    model = detector.model
    pool = model.get_layer("roi_pool")
    rois = np.float32([[0, 0, 159, 95], [32, 16, 100, 80]])
    actual = detect_models.rcnn_network(
        detector, tf.constant(inputs.scaled), tf.constant(rois[None]), pool
    )
    crops = []
    for x1, y1, x2, y2 in rois:
        grid = np.meshgrid(np.linspace(y1, y2, 224), np.linspace(x1, x2, 224), indexing="ij")
        channels = [map_coordinates(inputs.scaled[0, :, :, c], grid, order=1) for c in range(3)]
        crops.append(np.stack(channels, axis=-1))
    trunk = tf.keras.Model(model.input["images"], pool.input[0])
    features = trunk(np.float32(crops))
    assert features.shape[1:3] == (14, 14)
    pooled = tf.nn.max_pool2d(features, 2, 2, "VALID")
    heads = tf.keras.Model(pool.output, model.output)
    expected = heads(pooled[:, None])
    assert_same(as_probabilities(actual), as_probabilities(expected))


def test_a_sample_is_spread_over_the_proposals():
    rois = np.arange(2000)
    assert detect_tensorflow.sample(rois, 5).tolist() == [0, 499, 999, 1499, 1999]
    assert detect_tensorflow.sample(rois[:3], 5).tolist() == [0, 1, 2]


def test_only_rois_of_57_cells_depend_on_rounding():
    """Of all that fit on a map of 63 cells."""
    rois = np.float32([[0, 0, 16 * (n - 1), 16] for n in range(1, 64)])
    assert np.flatnonzero(detect.pooled_otherwise(rois, "float32")).tolist() == [56]
    assert detect.pooled_otherwise(rois[:, [1, 0, 3, 2]], "float32")[56]


def test_rois_whose_corners_bfloat16_moves_to_another_cell():
    # Near 600, bfloat16 has every fourth number: 599 becomes 600, cell 37 becomes 38.
    rois = np.float32([[0, 0, 599, 100], [0, 0, 597, 100], [0, 0, 600, 100], [599, 0, 640, 50]])
    moved = detect.pooled_otherwise(rois, "bfloat16")
    assert moved.tolist() == [True, False, False, True]
    assert not detect.pooled_otherwise(rois, "float32").any()


def test_openvino_is_not_compared_on_rois_that_it_pools_otherwise():
    ours = {"probabilities": np.ones((1, 2, 3)), "deltas": np.ones((1, 2, 1, 4))}
    theirs = {"probabilities": np.ones((2, 3)), "deltas": np.ones((2, 4))}
    theirs["probabilities"][1] = 0.5
    (peer,) = peer_steps(names.OPENVINO, "float32", False)
    programs = {Step(names.NETWORK, "float32"): Answers(ours), peer: Answers(theirs)}
    short, long = [0, 0, 50, 50], [0, 0, 16 * 56, 50]
    assert detect.check(programs, "float32", np.float32([short, long])) == {peer: 0}
    with pytest.raises(RuntimeError, match="OpenVINO"):
        detect.check(programs, "float32", np.float32([long, short]))


ROI = np.float32([[0, 0, 16 * 56, 50]])  # that OpenVINO pools otherwise


class Answers:
    """A program that gives the same answer each time."""

    def __init__(self, output):
        self.output = output

    def ask(self, question):
        assert question[0] == OUTPUT
        return self.output


def test_a_library_that_computes_something_else_is_not_timed():
    ours = {"probabilities": np.float32([[[0.2, 0.8]]]), "deltas": np.ones((1, 1, 1, 4))}
    theirs = {"probabilities": np.float32([[0.2, 0.8]]), "deltas": np.ones((1, 4))}
    programs = {Step(names.NETWORK, "float32"): Answers(ours)}
    (peer,) = peer_steps(names.ONNX_RUNTIME, "float32", False)
    assert detect.check(programs | {peer: Answers(theirs)}, "float32", ROI) == {peer: 0}
    for name in theirs:
        wrong = theirs | {name: theirs[name] + np.float32([[0.01] + [0] * (theirs[name].size - 1)])}
        with pytest.raises(RuntimeError, match=f"ONNX Runtime in float32.*{name}"):
            detect.check(programs | {peer: Answers(wrong)}, "float32", ROI)
    nan = theirs | {"probabilities": theirs["probabilities"] * np.nan}
    with pytest.raises(RuntimeError, match="another network"):
        detect.check(programs | {peer: Answers(nan)}, "float32", ROI)


@pytest.mark.parametrize(
    "has_bfloat16, options, expected",
    [
        (True, [], ["float32", "bfloat16"]),
        (False, [], ["float32"]),
        (False, ["--precision", "bfloat16"], ["bfloat16"]),
        (True, ["--precision", "float32", "--precision", "float32"], ["float32"]),
    ],
)
def test_precisions_that_are_measured(monkeypatch, has_bfloat16, options, expected):
    def measure(*arguments):
        raise InputError(",".join(arguments[-1]))

    monkeypatch.setattr("keras_frcnn.training.devices.processor_has_bfloat16", lambda: has_bfloat16)
    monkeypatch.setattr(detect, "_search", lambda image, threads: (1.0, np.zeros((0, 4))))
    monkeypatch.setattr(detect, "measure", measure)
    with pytest.raises(InputError, match=f"^{','.join(expected)}$"):
        detect.main(options)


class Questions:
    """A pipe with a list of questions."""

    def __init__(self, *questions):
        self.questions, self.answers = list(questions), []

    def recv(self):
        if not self.questions:
            raise EOFError
        return self.questions.pop(0)

    def send(self, answer):
        self.answers.append(answer)


def test_steps_answer_by_name():
    pipe = Questions((STEP, "a"), (OUTPUT, "b"))
    with pytest.raises(EOFError):
        answer_named(pipe, {"a": lambda: {"x": tf.ones(1)}, "b": lambda: {"x": tf.ones(2)}})
    (wall, processor), output = pipe.answers
    assert wall > 0 and processor > 0
    np.testing.assert_array_equal(output["x"], np.ones(2))
    assert isinstance(output["x"], np.ndarray)


@pytest.mark.slow
def test_whole_benchmark_with_a_narrow_vgg16():
    source = Source(fc_units=(32, 24), min_side=64, max_side=112)
    image, proposals = image_and_proposals()
    precisions = names.PRECISIONS
    result = detect.measure(source, {"ranks": RANKS}, image, proposals, 2, 2, SAMPLE, precisions)
    assert set(result.times) >= set(ALL_OURS)
    assert all(seconds > 0 for seconds in result.times.values())
    assert 0 < result.distinct <= result.proposals == len(proposals)
