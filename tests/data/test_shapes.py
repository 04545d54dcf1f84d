import subprocess
import sys

import cv2
import numpy as np
import pytest

from keras_frcnn.data import load, shapes
from keras_frcnn.data.images import read_image
from keras_frcnn.data.shapes_drawing import HEIGHT, LEAST_VISIBLE, SHAPES, WIDTH, draw_picture
from keras_frcnn.data.voc import VocFolder
from keras_frcnn.data.voc_writer import cached_folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pictures(count):
    return [draw_picture(np.random.default_rng([7, i])) for i in range(count)]


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_same_seed_same_bytes_in_another_process(cache, tmp_path, monkeypatch):
    first = shapes.generate(trainval=6, test=3, seed=5)
    other_cache = tmp_path / "other"
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(other_cache))
    script = "from keras_frcnn.data import shapes; print(shapes.generate(6, 3, 5))"
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    second = ran.stdout.strip()
    assert second.startswith(str(other_cache))
    assert files(first) == files(type(first)(second))
    assert len(files(first)) == 9 * 3 + 2


def test_seeds_and_splits_differ_and_counts_only_add(cache):
    few, more = files(shapes.generate(2, 2, seed=0)), files(shapes.generate(3, 2, seed=0))
    other = files(shapes.generate(2, 2, seed=1))
    images = [path for path in few if path.suffix == ".jpg"]
    assert all(few[path] == more[path] for path in images)
    assert all(few[path] != other[path] for path in images)
    assert len({few[path] for path in images}) == 4


def test_is_made_once_and_loaded_as_any_folder(cache):
    folder = shapes.generate(trainval=4, test=2)
    stamps = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert shapes.generate(trainval=4, test=2) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == stamps
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
    dataset = load(folder, "trainval")
    assert len(dataset.images) == 4 and dataset.warnings == ()
    assert all((r.height, r.width) == (HEIGHT, WIDTH) for r in dataset.images)
    assert VocFolder(folder).splits == ("test", "trainval")


def test_annotations_are_the_boxes_of_the_shapes(cache):
    folder = shapes.generate(trainval=5, test=1, seed=3)
    for i, record in enumerate(load(folder, "trainval", class_names=SHAPES).images):
        image, drawn = draw_picture(np.random.default_rng([3, 0, i]))
        np.testing.assert_array_equal(record.boxes, [shape.box() for shape in drawn])
        assert [SHAPES[label - 1] for label in record.labels] == [shape.name for shape in drawn]
        error = np.abs(read_image(record.path).astype(int) - image)
        assert error.mean() < 6  # JPEG


def test_boxes_are_tight_around_what_is_visible():
    for _, drawn in pictures(12):
        total = sum(shape.coverage for shape in drawn)
        assert total.max() <= 1 + 1e-9  # no pixel belongs to two shapes
        for shape in drawn:
            x1, y1, x2, y2 = shape.box()
            assert 0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT
            visible = shape.coverage >= 0.5
            outside = visible.copy()
            outside[y1:y2, x1:x2] = False
            assert not outside.any()
            box = visible[y1:y2, x1:x2]
            assert box[0].any() and box[-1].any() and box[:, 0].any() and box[:, -1].any()
            assert shape.coverage.sum() >= LEAST_VISIBLE * shape.area


def test_shapes_stand_out_and_vary():
    sample = pictures(60)
    names = {shape.name for _, drawn in sample for shape in drawn}
    assert names == set(SHAPES) and len(SHAPES) >= 5
    assert {len(drawn) for _, drawn in sample} == {1, 2, 3}
    areas = np.array([shape.area for _, drawn in sample for shape in drawn])
    assert areas.max() > 10 * areas.min()
    assert any(shape.truncated for _, drawn in sample for shape in drawn)
    hidden = [s.coverage.sum() < 0.95 * s.area for _, drawn in sample for s in drawn]
    assert 0.1 < np.mean(hidden) < 0.6  # partly occluded or cut off
    spread = np.array([image.std(axis=(0, 1)).mean() for image, _ in sample])
    assert spread.min() > 8  # no flat pictures


def test_selective_search_finds_the_shapes():
    """Recall at IoU 0.5, on which everything after proposals depends."""
    best = []
    for image, drawn in pictures(20):
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(image[:, :, ::-1]))
        search.switchToSelectiveSearchFast()
        x, y, w, h = search.process().astype(float).T
        for shape in drawn:
            x1, y1, x2, y2 = shape.box()
            overlap_w = np.clip(np.minimum(x + w, x2) - np.maximum(x, x1), 0, None)
            overlap_h = np.clip(np.minimum(y + h, y2) - np.maximum(y, y1), 0, None)
            overlap = overlap_w * overlap_h
            best.append((overlap / (w * h + (x2 - x1) * (y2 - y1) - overlap)).max())
    assert np.mean(np.array(best) >= 0.5) > 0.95


def test_interrupted_generation_leaves_nothing_behind(cache, monkeypatch):
    def interrupt(rng):
        raise KeyboardInterrupt

    monkeypatch.setattr(shapes, "draw_picture", interrupt)
    with pytest.raises(KeyboardInterrupt):
        shapes.generate(trainval=2, test=1)
    assert list(cache.rglob("*")) == [cache / "data"]
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(cache))
    assert len(load(shapes.generate(trainval=2, test=1), "trainval").images) == 2


def test_the_faster_of_two_processes_provides_the_folder(cache):
    def slower(folder):
        cached_folder("same", lambda other: (other / "by").write_text("faster"))
        (folder / "by").write_text("slower")

    folder = cached_folder("same", slower)
    assert (folder / "by").read_text() == "faster"
    assert [p.name for p in folder.parent.iterdir()] == ["same"]
