"""The client asks whether a model takes proposals, and leaves them out where it does not."""

import json
import subprocess
import sys

import grpc
import numpy as np
import pytest
from google.protobuf import any_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from keras_frcnn.cli.__main__ import main
from keras_frcnn.data.images import open_image
from keras_frcnn.errors import InputError
from keras_frcnn.export import client
from tests.export.conftest import CLASSES
from tests.export.servers import HANG, UNRUN, GrpcServer, RestServer, signature_map
from tests.export.test_client import BUSY, assert_same, both

pytestmark = pytest.mark.usefixtures("direct", "delays")


@both
def test_knows_from_the_server_whether_to_send_proposals(server, case):
    with server(case.served) as running:
        asking = client.Client(running.url)
        assert asking.needs_proposals() == case.detector.needs_proposals
        client.Client(f"{running.url}/versions/3").needs_proposals()
        assert running.questions == [None, 3] and not running.requests


@both
def test_detections_without_proposals(server, detector_proposing, served_proposing, photo):
    with server(served_proposing) as running:
        found = client.Client(running.url).detect(photo)
        (request,) = running.requests
        assert not running.questions
    assert list(request.inputs) == ["image_bytes"]
    assert_same(found, detector_proposing.detect(open_image(photo)))


def test_both_ways_say_the_same(served_proposing, photo):
    recorded = []
    for server in (RestServer, GrpcServer):
        with server(served_proposing) as running:
            client.Client(running.url).detect(photo)
            recorded.append(running.requests)
    assert recorded[0] == recorded[1]


@both
def test_asks_again_while_the_server_is_busy(server, served_proposing, delays):
    with server(served_proposing, faults_of_questions=[BUSY[server]] * 2) as running:
        assert not client.Client(running.url).needs_proposals()
        assert len(running.questions) == 3
    assert len(delays) == 2
    with pytest.raises(InputError, match="is the server running"):
        client.Client(running.url, retries=0).needs_proposals()


@both
def test_does_not_wait_for_ever(server):
    with server(UNRUN, faults_of_questions=[HANG]) as running:
        with pytest.raises(InputError, match=r"no answer within 0\.3 seconds"):
            client.Client(running.url, timeout=0.3).needs_proposals()


def test_a_password_goes_along(served_proposing):
    with RestServer(served_proposing) as running:
        client.Client(running.url.replace("//", "//me:secret@")).needs_proposals()
        assert running.headers[0]["Authorization"].startswith("Basic ")


def test_redirects_are_not_followed():
    with RestServer(UNRUN) as other:
        away = (307, b"", {"Location": f"{other.url}/metadata"})
        with RestServer(UNRUN, faults_of_questions=[away]) as asked:
            with pytest.raises(InputError, match=f"sends the request on to {other.url}"):
                client.Client(asked.url).needs_proposals()
        assert not other.questions


def metadata(**inputs):
    """As REST has it."""
    return {"metadata": {"signature_def": {"signature_def": {"serving_default": inputs}}}}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"error": "no such page"}'),
        (403, b"<html>only :predict passes here</html>"),
        (500, b""),
        (200, b""),
        (200, b"[1, 2]"),
        (200, b"[" * 100_000),
        (200, json.dumps(metadata()).encode()),
        (200, json.dumps(metadata(inputs="image_bytes")).encode()),
        (200, json.dumps(metadata(inputs=["image_bytes"])).encode()),
        (200, json.dumps(metadata(inputs={"x": 1})).encode()),
        (200, json.dumps({"metadata": {}}).encode()),
    ],
)
def test_rest_servers_that_tell_nothing_are_sent_proposals(status, body):
    with RestServer(UNRUN, faults_of_questions=[(status, body)]) as running:
        assert client.Client(running.url).needs_proposals()


def told(value):
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.metadata["signature_def"].CopyFrom(value)
    return response


def packed(message):
    value = any_pb2.Any()
    value.Pack(message)
    return value


def damaged():
    value = packed(signature_map({}))
    value.value = b"\xff" * 9
    return value


@pytest.mark.parametrize(
    "fault",
    [
        (grpc.StatusCode.UNIMPLEMENTED, "unknown method"),
        (grpc.StatusCode.NOT_FOUND, "Servable not found"),
        get_model_metadata_pb2.GetModelMetadataResponse(),
        told(packed(predict_pb2.PredictRequest())),
        told(packed(get_model_metadata_pb2.SignatureDefMap())),
        told(damaged()),
    ],
)
def test_grpc_servers_that_tell_nothing_are_sent_proposals(fault):
    with GrpcServer(UNRUN, faults_of_questions=[fault]) as running:
        assert client.Client(running.url).needs_proposals()


def test_kind_in_model_json(case, tmp_path):
    path = case.folder / "assets.extra" / "model.json"
    assert client.makes_proposals(str(path)) != case.detector.needs_proposals
    path = tmp_path / "model.json"
    for content in ("{}", "[]", '{"detector": {}}', '{"detector": "x"}'):  # also of older exports
        path.write_text(content)
        assert not client.makes_proposals(str(path))


# Where OpenCV cannot be imported.
COMMAND = """
import sys
sys.modules["cv2"] = None
from keras_frcnn.cli.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@both
def test_command(server, detector_proposing, exported_proposing, served_proposing, photo, tmp_path):
    out = tmp_path / "found"
    names = str(exported_proposing / "assets.extra" / "model.json")
    expected = detector_proposing.detect(open_image(photo))
    with server(served_proposing) as running:
        arguments = ["client", str(photo), "--url", running.url, "--out", str(out)]
        for more, called in (
            (["--classes", names], CLASSES),
            ([], ("class 1", "class 2", "class 3")),
        ):
            done = subprocess.run(
                [sys.executable, "-c", COMMAND, *arguments, *more], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            listed = json.loads((out / "detections.json").read_text())[str(photo)]
            assert [o["class"] for o in listed] == [called[k - 1] for k in expected.classes]
            np.testing.assert_allclose([o["box"] for o in listed], expected.boxes, atol=0.02)
        assert len(running.questions) == 1  # model.json tells as well


@pytest.mark.parametrize("is_described", [True, False])
@pytest.mark.parametrize("option", [["--search", "quality"], ["--search-side", "300"]])
def test_options_of_the_search_are_refused(
    served_proposing, exported_proposing, photo, capsys, option, is_described
):
    names = str(exported_proposing / "assets.extra" / "model.json")
    more = [*option, *(["--classes", names] if is_described else [])]
    with RestServer(served_proposing) as running:
        assert main(["client", str(photo), "--url", running.url, *more]) == 2
        assert not running.requests
    error = capsys.readouterr().err
    assert f"{option[0]}: the model of {running.url} makes its own proposals; leave it out" in error
