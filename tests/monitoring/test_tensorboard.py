"""Event files, read back by TensorBoard itself."""

import io
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_frcnn.errors import InputError
from keras_frcnn.monitoring.tensorboard import EventFile, EventLog

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs the package tensorboard"
)


def read(folder):
    return event_accumulator.EventAccumulator(str(folder)).Reload()


def points(folder, tag):
    return [(e.step, e.value) for e in read(folder).Scalars(tag)]


def test_scalars_of_several_steps(tmp_path):
    with EventFile(tmp_path / "a run" / "events") as events:
        events.scalars(100, {"loss": 2.5, "gradient_norm/all": 0.125})
        events.scalars(200, {"loss": np.float32(1.5), "gradient_norm/all": 4})
    assert points(tmp_path / "a run" / "events", "loss") == [(100, 2.5), (200, 1.5)]
    assert points(tmp_path / "a run" / "events", "gradient_norm/all") == [(100, 0.125), (200, 4.0)]


def test_numbers_that_are_not_finite_are_left_out(tmp_path):
    with EventFile(tmp_path) as events:
        events.scalars(1, {"a": float("nan"), "b": float("inf"), "c": 1.0})
    assert read(tmp_path).Tags()["scalars"] == ["c"]


def test_pictures(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    with EventFile(tmp_path) as events:
        events.image(7, "stages", Image.fromarray(pixels))
        events.image(8, "stages", Image.new("RGBA", (5, 4), (10, 20, 30, 255)))
    first, second = read(tmp_path).Images("stages")
    assert (first.step, first.width, first.height) == (7, 30, 20)
    decoded = Image.open(io.BytesIO(first.encoded_image_string))
    np.testing.assert_array_equal(np.asarray(decoded), pixels)
    assert (second.step, second.width, second.height) == (8, 5, 4)


def test_steps_that_a_resumed_run_does_again_are_there_once(tmp_path):
    picture = Image.new("RGB", (4, 4))
    with EventFile(tmp_path) as events:
        for step in (100, 200, 300):
            events.scalars(step, {"loss": step / 100})
            events.image(step, "stages", picture)
    with EventFile(tmp_path, start=200) as events:
        events.scalars(300, {"loss": 30})
        events.image(300, "stages", picture)
    with EventFile(tmp_path, start=250) as events:
        events.scalars(300, {"loss": 31})
        events.scalars(400, {"loss": 41})
    assert points(tmp_path, "loss") == [(100, 1), (200, 2), (300, 31), (400, 41)]
    assert [e.step for e in read(tmp_path).Images("stages")] == [100, 200]


def test_a_file_cut_by_a_killed_process_is_read_up_to_there(tmp_path):
    with EventFile(tmp_path) as events:
        events.scalars(100, {"loss": 1})
        events.scalars(200, {"loss": 2})
    os.truncate(events.path, events.path.stat().st_size - 5)
    with EventFile(tmp_path, start=100) as events:
        events.scalars(200, {"loss": 3})
    assert points(tmp_path, "loss") == [(100, 1), (200, 3)]


def test_events_are_visible_after_a_flush(tmp_path):
    events = EventFile(tmp_path)
    EventLog(events).on_epoch_end(0, {"step": 100, "loss": 0.5})
    assert points(tmp_path, "loss") == [(100, 0.5)]
    events.close()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        EventFile(tmp_path / "file")


def test_a_folder_that_vanishes_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "events"
    monkeypatch.setattr("keras_frcnn.monitoring.tensorboard.make_folder", lambda path: None)
    with pytest.raises(InputError, match="events"):
        EventFile(folder)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_named(tmp_path):
    events = EventFile(tmp_path)
    events.close()
    events.path.unlink()
    events.path.symlink_to("/dev/full")
    events._file = tf.io.TFRecordWriter(str(events.path))
    events.scalars(1, {"loss": 1.0})
    with pytest.raises(InputError, match="cannot write"):
        events.flush()
