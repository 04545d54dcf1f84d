"""The client against servers on real sockets."""

import json
import socket
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_frcnn.cli.__main__ import main
from keras_frcnn.data.images import EXIF_ORIENTATION_TAG, open_image
from keras_frcnn.errors import InputError
from keras_frcnn.export import client, retries
from keras_frcnn.proposals.selective_search import SelectiveSearch
from tests.export.conftest import CLASSES
from tests.export.requests import encoded, photograph, proposals_in
from tests.export.servers import CLOSE, HANG, UNRUN, GrpcServer, RestServer

pytestmark = pytest.mark.usefixtures("direct", "delays")


BUSY = {
    RestServer: (503, b'{"error": "the queue is full"}'),
    GrpcServer: (grpc.StatusCode.UNAVAILABLE, "the queue is full"),
}


both = pytest.mark.parametrize("server", [RestServer, GrpcServer])


BOXES = proposals_in(90, 120, 40)


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.02)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    np.testing.assert_array_equal(found.classes, expected.classes)


@both
def test_detections_are_those_of_the_detector(server, detector, served, photo):
    with server(served) as running:
        found = client.Client(running.url).detect(photo, BOXES)
    assert_same(found, detector.detect(open_image(photo), BOXES))


@both
def test_a_photograph_that_lies_on_its_side(server, detector, served, tmp_path):
    path = tmp_path / "phone.jpg"
    tags = Image.Exif()
    tags[EXIF_ORIENTATION_TAG] = 6
    path.write_bytes(encoded(photograph(90, 120), "JPEG", exif=tags))
    boxes = proposals_in(120, 90, 40)
    with server(served) as running:
        found = client.Client(running.url).detect(path, boxes)
    assert_same(found, detector.detect(open_image(path), boxes))


def test_both_ways_say_the_same(served, photo):
    boxes = BOXES + np.float32(0.1)  # no short decimals
    recorded = []
    for server in (RestServer, GrpcServer):
        with server(served) as running:
            client.Client(running.url + "/versions/3/").detect(photo, boxes)
            client.Client(running.url).detect(photo, boxes[:0])
            recorded.append(running.requests)
    assert recorded[0] == recorded[1]
    first, second = recorded[0]
    assert first.model_spec.name == "detector"
    assert first.model_spec.version.value == 3 and not second.model_spec.HasField("version")
    assert first.model_spec.signature_name == "serving_default"
    assert list(first.inputs["image_bytes"].string_val) == [photo.read_bytes()]
    np.testing.assert_array_equal(tf.make_ndarray(first.inputs["proposals"]), boxes[None])
    assert tf.make_ndarray(second.inputs["proposals"]).tolist() == [[[-1] * 4]]  # padding


@both
def test_asks_again_while_the_server_is_busy(server, served, photo, delays):
    with server(served, faults=[BUSY[server]] * 3) as running:
        assert len(client.Client(running.url).detect(photo, BOXES)) > 0
        assert len(running.requests) == 4
    assert [0.25 * 2**i <= delay <= 0.5 * 2**i for i, delay in enumerate(delays)] == [True] * 3


@both
def test_gives_up_after_the_retries(server, served, photo, delays):
    with server(served, faults=[BUSY[server]] * 9) as running:
        asking = client.Client(running.url, retries=2)
        with pytest.raises(InputError, match=r"the queue is full.*\(asked 3 times\)") as error:
            asking.detect(photo, BOXES)
        assert len(running.requests) == 3
    assert running.url in str(error.value) and str(photo) in str(error.value)


def test_asks_again_after_a_lost_connection(served, photo):
    with RestServer(served, faults=[CLOSE]) as running:
        assert len(client.Client(running.url).detect(photo, BOXES)) > 0
        assert len(running.requests) == 2


@both
def test_a_server_that_is_not_up_yet(server, served, photo, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    coming = server(served, port=port)
    with pytest.raises(InputError, match="is the server running"):
        client.Client(coming.url, retries=0).detect(photo, BOXES)
    waits = []

    def start(delay):
        waits.append(delay)
        if len(waits) == 2:
            coming.__enter__()
        # gRPC connects again after a quarter of a second at the latest.
        threading.Event().wait(0.4)

    monkeypatch.setattr(retries.time, "sleep", start)
    try:
        assert len(client.Client(coming.url).detect(photo, BOXES)) > 0
    finally:
        coming.__exit__()
    assert len(waits) == 2


@both
def test_does_not_wait_for_ever(server, served, photo, delays):
    with server(served, faults=[HANG]) as running:
        with pytest.raises(InputError, match=r"no answer within 0\.3 seconds"):
            client.Client(running.url, timeout=0.3).detect(photo, BOXES)
        assert len(running.requests) == 1
    assert not delays


@both
def test_a_model_that_the_server_does_not_have(server, served, photo):
    with server(served) as running:
        url = running.url.replace("detector", "other")
        with pytest.raises(InputError, match=r"no such model: Servable not found.*other"):
            client.Client(url).detect(photo, BOXES)


@both
def test_a_refused_request_and_the_next(server, served, photo, tmp_path):
    bad = tmp_path / "half.jpg"  # whose header is whole, so that the client sends it
    Image.open(photo).convert("RGB").save(bad)
    bad.write_bytes(bad.read_bytes()[:-50])
    with server(served) as running:
        asking = client.Client(running.url)
        with pytest.raises(
            InputError, match=r"half\.jpg.*refuses.*image_bytes\[0\] is damaged"
        ) as e:
            asking.detect(bad, BOXES)
        assert "\n" not in str(e.value)
        with pytest.raises(InputError, match=r"proposals\[0, 1\].*inverted"):
            asking.detect(photo, [[1, 2, 3, 4], [9, 9, 3, 3]])
        assert len(asking.detect(photo, BOXES)) > 0


def test_a_password_is_sent_and_not_printed(served, photo):
    with RestServer(served) as running:
        url = running.url.replace("//", "//me:s%40cret@")
        assert len(client.Client(url).detect(photo, BOXES)) > 0
        assert running.headers[0]["Authorization"] == "Basic bWU6c0BjcmV0"  # me:s@cret
    with pytest.raises(InputError, match="cannot be reached") as error:
        client.Client(url, retries=0).detect(photo, BOXES)
    assert "cret" not in str(error.value)


def test_long_messages_are_cut(photo):
    with RestServer(UNRUN, faults=[(500, b'{"error": "' + b"x" * 70_000 + b'"}')]) as running:
        with pytest.raises(InputError, match="HTTP status 500: xxx") as error:
            client.Client(running.url).detect(photo, BOXES)
    assert len(str(error.value)) < 1000
    with pytest.raises(InputError) as error:
        client.Client("http://" + "x" * 70_000)
    assert len(str(error.value)) < 1000


def test_many_retries_wait_a_minute_at_most(delays):
    def ask():
        raise retries.Unavailable("busy")

    with pytest.raises(InputError, match="asked 2001 times"):
        retries.with_retries(ask, 2000)
    assert 32 <= max(delays) <= 64


def test_other_statuses_are_shown(photo):
    faults = [(500, b"<html>\nbroken</html>"), (418, b"")]
    with RestServer(UNRUN, faults=faults) as running:
        with pytest.raises(InputError, match=r"HTTP status 500: <html>$"):
            client.Client(running.url).detect(photo, BOXES)
        with pytest.raises(InputError, match="HTTP status 418: no reason given"):
            client.Client(running.url).detect(photo, BOXES)
    with GrpcServer(None, faults=[(grpc.StatusCode.INTERNAL, "broken\nat x")]) as running:
        with pytest.raises(InputError, match=r"gRPC status INTERNAL: broken$"):
            client.Client(running.url).detect(photo, BOXES)


def test_the_ports_mistaken_for_each_other(photo):
    with GrpcServer(None) as running:
        url = running.url.replace("grpc://", "http://").replace("/detector", "/v1/models/detector")
        with pytest.raises(InputError, match=r"port for REST \(8501"):
            client.Client(url, retries=0).detect(photo, BOXES)
    with RestServer(None) as running:
        url = f"grpc://127.0.0.1:{running.port}/detector"
        with pytest.raises(InputError, match=r"port for gRPC \(8500"):
            client.Client(url, retries=0).detect(photo, BOXES)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8501",
        "http://localhost:8501",
        "http://localhost:8501/v1/models/detector:predict",
        "http://localhost:8501/v1/models/detector/versions/new",
        "grpc://localhost:8500",
        "grpc://localhost:8500/v1/models/detector",
        "ftp://localhost/v1/models/detector",
        "file:///v1/models/detector",
        "grpc://user:secret@localhost:8500/detector",
    ],
)
def test_urls_that_are_none(url):
    with pytest.raises(InputError, match="is not like http://host:8501/v1/models/detector") as e:
        client.Client(url)
    assert "secret" not in str(e.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"timeout": t}, "timeout") for t in (0, -1, np.nan, np.inf, 1e300)]
    + [({"retries": -1}, "retries")],
)
def test_impossible_numbers(options, message):
    with pytest.raises(InputError, match=message):
        client.Client("http://localhost:8501/v1/models/detector", **options)


def test_files_that_the_server_does_not_take(photo, tmp_path):
    Image.open(photo).save(tmp_path / "a.bmp")
    asking = client.Client("http://127.0.0.1:9/v1/models/detector")
    with pytest.raises(InputError, match=r"a\.bmp: is BMP"):
        asking.detect(tmp_path / "a.bmp", BOXES)


def test_class_names(exported, tmp_path):
    assert client.class_names("cat, dog") == ("cat", "dog")
    assert client.class_names(str(exported / "assets.extra" / "model.json")) == CLASSES
    for content in ("{", "[]", "{}", '{"class_names": [1]}', "[" * 100_000):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(InputError, match=r"a\.json"):
            client.class_names(str(tmp_path / "a.json"))


def test_rest_needs_neither_tensorflow_nor_grpc():
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['grpc'] = None\n"
        "from keras_frcnn.export.client import Client\n"
        "Client('http://localhost:8501/v1/models/detector')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@both
def test_command(server, detector, exported, served, photo, tmp_path, capsys):
    out = tmp_path / "found"
    names = exported / "assets.extra" / "model.json"
    with server(served) as running:
        arguments = ["client", str(photo), "--url", running.url, "--out", str(out)]
        assert main([*arguments, "--classes", str(names), "--min-score", "0.1"]) == 0
        listed = json.loads((out / "detections.json").read_text())[str(photo)]
        expected = detector.detect(open_image(photo), SelectiveSearch()(open_image(photo)))
        assert len(listed) == len(expected) > 0
        for o, box, k in zip(listed, expected.boxes, expected.classes, strict=True):
            np.testing.assert_allclose(o["box"], box, atol=0.02)
            assert o["class"] == CLASSES[k - 1]
        assert Image.open(out / "a b.png").size == (120, 90)
        assert "objects, drawn in" in capsys.readouterr().out

        assert main(arguments) == 0
        listed = json.loads((out / "detections.json").read_text())[str(photo)]
        assert [o["class"] for o in listed] == [f"class {k}" for k in expected.classes]

        if expected.classes.max() > 1:
            assert main([*arguments, "--classes", "cat"]) == 2
            assert "--classes: 1 names, but the server found class" in capsys.readouterr().err
    assert main([*arguments, "--retries", "0"]) == 2
    error = capsys.readouterr().err
    assert running.url in error and "is the server running" in error and "Traceback" not in error
