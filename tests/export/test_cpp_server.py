"""The export in C++, without Python, by what TensorFlow Serving is made of."""

import os
import shlex
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_frcnn.custom_ops.build import build
from keras_frcnn.custom_ops.compiler import NoCompilerError, find_compiler
from keras_frcnn.export.client import request_inputs
from keras_frcnn.export.client_grpc import predict_request
from keras_frcnn.export.saved_model import export_saved_model
from tests.export.conftest import CLASSES
from tests.export.requests import encoded, photograph, proposals_in

SOURCE = Path(__file__).parent / "cpp" / "serve.cc"
THREADS = 8
DETECTIONS = 100

GOOD = encoded(photograph(30, 40))
BOXES = np.float32([[[1, 2, 20, 25], [3, 3, 30, 28]]])
NAN, INVERTED = BOXES.copy(), BOXES.copy()
NAN[0, 1, 2] = np.nan
INVERTED[0, 1] = [20, 2, 1, 25]

# image_bytes and what the message says.
BAD_FILES = [
    ([b"no image"], "image_bytes[0] is neither a JPEG nor a PNG file"),
    ([GOOD[:-40]], "image_bytes[0] is damaged or truncated"),
    ([GOOD, GOOD[:-40]], "image_bytes[1] is damaged or truncated"),
    # The header of a decompression bomb.
    (
        [GOOD[:16] + struct.pack(">II", 60_000, 50_000) + GOOD[24:]],
        "image_bytes[0] has 60000 x 50000 pixels, more than the 12000000",
    ),
    (np.array([], "S1"), "empty batch"),
    ([[GOOD]], "image_bytes"),
    (np.float32([1]), "arg[0] to be string"),
]
# image_bytes, proposals and what the message says.
BAD_PROPOSALS = [
    ([GOOD], NAN, "proposals[0, 1] is [3 3 nan 28]: coordinates must be finite"),
    ([GOOD], INVERTED, "proposals[0, 1] is [20 2 1 25]: inverted"),
    ([GOOD, GOOD], BOXES, "image_bytes holds 2 images, proposals are of 1"),
    ([GOOD], BOXES[0], "proposals"),
    ([GOOD], BOXES[..., :3], "proposals"),
    ([GOOD], BOXES.astype(np.int32), "arg[1] to be float"),
]


def bad_inputs(case):
    """The inputs of bad requests, and what each message says."""
    for files, message in BAD_FILES:
        yield {"image_bytes": files, **case.given(*[BOXES[0]] * len(files))}, message
    if case.detector.needs_proposals:
        for files, boxes, message in BAD_PROPOSALS:
            yield {"image_bytes": files, "proposals": boxes}, message
    else:
        yield {"image_bytes": [GOOD], "proposals": BOXES}, "there is no input proposals"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """The compiled program."""
    try:
        compiler = find_compiler()
    except NoCompilerError as error:
        pytest.skip(str(error))
    libraries = Path(tf.sysconfig.get_lib())
    names = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
    if missing := [name for name in names if not (libraries / name).exists()]:
        pytest.skip(f"this TensorFlow has no {missing[0]}")
    target = tmp_path_factory.mktemp("cpp") / "serve"
    include = [flag.replace("-I", "-isystem", 1) for flag in tf.sysconfig.get_compile_flags()]
    # The runtime registers itself, so that nothing refers to it.
    link = [
        "-Wl,--no-as-needed",
        f"-L{libraries}",
        *(f"-l:{name}" for name in names),
        f"-Wl,-rpath,{libraries}",
    ]
    command = [*compiler, "-O1", "-Wall", *include, str(SOURCE), "-o", str(target), *link, "-ldl"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, f"{shlex.join(command)}\n{result.stderr}"
    return target


@pytest.fixture(scope="session")
def requests(case, tmp_path_factory):
    """Files of requests that the client makes, with the detector's answers, and of bad ones."""
    folder = tmp_path_factory.mktemp("requests")
    files = []
    for i, (height, width, count) in enumerate(
        [(90, 120, 60), (120, 90, 1), (70, 300, 300), (1, 1, 3)]
    ):
        image, boxes = photograph(height, width, i), proposals_in(height, width, count, i)
        (folder / f"{i}").write_bytes(encoded(image))
        boxes = boxes if case.detector.needs_proposals else None
        request = predict_request(
            "serving_default", request_inputs(folder / f"{i}", boxes), "detector"
        )
        found = case.detect(image, boxes)
        files.append((request, answer(found, height, width)))
    assert sum(answer["num_detections"][0] > 0 for _, answer in files) >= 2
    write(folder / "good", files)
    bad = [predict_request("serving_default", given, "detector") for given, _ in bad_inputs(case)]
    write(folder / "bad", [(request, {}) for request in bad])
    return folder / "good", folder / "bad"


def answer(found, height, width):
    """Detections as the outputs of the signature."""
    boxes = np.zeros((1, DETECTIONS, 4), np.float32)
    scores, classes = np.zeros((2, 1, DETECTIONS), np.float32)
    n = len(found)
    boxes[0, :n] = (found.boxes / [width, height, width, height])[:, [1, 0, 3, 2]]
    scores[0, :n], classes[0, :n] = found.scores, found.classes
    return {
        "detection_boxes": boxes,
        "detection_scores": scores,
        "detection_classes": classes,
        "num_detections": np.float32([n]),
    }


def write(path, logs):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request, outputs in logs:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            for name, value in outputs.items():
                log.predict_log.response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def serve(program, model, requests, seconds, *library):
    """What the program prints, as (key, value) a line."""
    arguments = [program, model, *requests, THREADS, seconds, *library]
    # Without the variables that lead to a Python or its packages.
    environment = {k: v for k, v in os.environ.items() if "PYTHON" not in k}
    result = subprocess.run(
        list(map(str, arguments)), capture_output=True, text=True, env=environment
    )
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
    return [tuple(line.split(": ", 1)) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_serves_in_threads_what_python_detects(program, case, requests, seconds):
    printed = serve(program, case.folder, requests, seconds)
    warm_up = [value for key, value in printed if key == "warm-up"]
    assert warm_up == ["serving_default", "detect_pixels"]
    complaints = [value for key, value in printed if key == "bad"]
    for complaint, (_, message) in zip(complaints, bad_inputs(case), strict=True):
        assert complaint.startswith("INVALID_ARGUMENT") and message in complaint
    (answered,) = [int(value) for key, value in printed if key == "answered"]
    assert answered >= THREADS
    print(f"{answered} requests answered in {seconds} s, and as many refused")


def test_serves_the_custom_op_from_its_library(program, case, requests, tmp_path):
    model = export_saved_model(case.detector, tmp_path, CLASSES, ops="custom")
    printed = serve(program, model, requests, 0, build())
    assert dict(printed)["answered"] == str(THREADS)
