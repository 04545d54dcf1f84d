"""What a run keeps of its data set, and what it says when that has changed."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.runs.fingerprint import (
    changes,
    fingerprint,
    load_fingerprint,
    save_fingerprint,
)
from tests.images import random_proposals
from tests.tiny import tiny_dataset


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    dataset = tiny_dataset(folder)
    return ImageSet(dataset, random_proposals(dataset, 5))


def with_record(images, i, **changes):
    records = list(images.dataset.images)
    records[i] = dataclasses.replace(records[i], **changes)
    return with_records(images, records, images.proposals)


def with_records(images, records, proposals):
    return ImageSet(dataclasses.replace(images.dataset, images=tuple(records)), proposals)


def test_the_same_elsewhere_is_the_same(images, tmp_path):
    moved = shutil.move(tmp_path / "images", tmp_path / "moved")
    records = [dataclasses.replace(r, path=str(moved / r.filename)) for r in images.dataset.images]
    shutil.copytree(moved, tmp_path / "images")
    elsewhere = with_records(images, records, [p.astype(np.float64) for p in images.proposals])
    elsewhere = dataclasses.replace(
        elsewhere, dataset=dataclasses.replace(elsewhere.dataset, name="moved")
    )
    assert changes(fingerprint(images), fingerprint(elsewhere)) == []
    assert fingerprint(images).digest() == fingerprint(elsewhere).digest()


def test_every_change_is_named(images, tmp_path):
    records, proposals = list(images.dataset.images), list(images.proposals)
    before = fingerprint(images)

    def now(other):
        found = fingerprint(other)
        assert found.digest() != before.digest()
        return changes(before, found)

    assert now(with_records(images, records[:2], proposals[:2])) == ["2.png is gone"]
    order = [records[i] for i in (1, 0, 2)], [proposals[i] for i in (1, 0, 2)]
    assert now(with_records(images, *order)) == ["the images come in another order"]
    renamed = with_record(images, 1, filename="new.png")
    assert now(renamed) == ["1.png is gone", "new.png was added"]
    box = records[0].boxes + np.float32(0.5)
    assert now(with_record(images, 0, boxes=box)) == ["0.png has other objects"]
    difficult = ~records[0].is_difficult
    assert now(with_record(images, 0, is_difficult=difficult)) == ["0.png has other objects"]
    moved = [proposals[0], proposals[1][:-1], proposals[2]]
    assert now(with_records(images, records, moved)) == ["1.png has other proposals"]
    assert now(with_record(images, 2, orientation=3)) == ["2.png has other pixels"]
    names = dataclasses.replace(images.dataset, class_names=("two", "one"))
    assert now(ImageSet(names, proposals)) == ["the classes were one, two and are two, one"]
    (tmp_path / "images" / "0.png").write_bytes((tmp_path / "images" / "1.png").read_bytes())
    assert now(images) == ["0.png has other pixels"]


def test_images_of_another_set_are_known_by_their_pixels(images):
    records = list(images.dataset.images)
    other = with_records(
        images,
        [dataclasses.replace(records[1], filename="else.png"), records[2]],
        images.proposals[:2],
    )
    part = with_records(images, records[:2], images.proposals[:2])
    assert fingerprint(part).count_shared(fingerprint(other)) == 1
    assert fingerprint(images).count_shared(fingerprint(other)) == 2


def test_saved_and_read_back(images, tmp_path):
    assert load_fingerprint(tmp_path) is None
    save_fingerprint(tmp_path, fingerprint(images))
    assert load_fingerprint(tmp_path) == fingerprint(images)


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "[" * 100_000),
        *('{"class_names": ["a"]}', '{"class_names": [], "images": {"a.png": "12"}}'),
        *('{"class_names": "ab", "images": {}}', '{"class_names": ["a", 1], "images": {}}'),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(InputError, match=r"data\.json: cannot be read"):
        load_fingerprint(tmp_path)


def test_a_name_with_any_character(images, tmp_path):
    odd = with_record(images, 0, filename='a "b" \\ ü.png')
    save_fingerprint(tmp_path, fingerprint(odd))
    assert load_fingerprint(tmp_path) == fingerprint(odd)
    assert json.loads((tmp_path / "data.json").read_text("utf-8"))["class_names"] == ["one", "two"]
