from itertools import chain

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from keras_frcnn.data import load
from keras_frcnn.data.voc import VOC_CLASSES
from keras_frcnn.errors import InputError
from tests.data.voc_files import SOURCE, voc_folder, xml, xml_object
from tests.shared_data import shared_data

SPLITS = {"train": ["000005", "000007"], "val": ["000006"], "test": ["000001", "000002"]}


@pytest.fixture
def tfds_reads(tmp_path, monkeypatch):
    """Lets the TFDS builder read unpacked archives in a folder instead of downloading them."""
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))

    def use(folder):
        monkeypatch.setattr(
            tfds.download.DownloadManager,
            "download_and_extract",
            lambda self, urls: dict.fromkeys(urls, str(folder)),
        )
        return str(tmp_path / "tensorflow_datasets")

    return use


def archive(root, year="2007"):
    """An archive in the official layout, with boxes of every kind that VOC has."""
    images = {}
    for number, image_id in enumerate(chain(*SPLITS.values())):
        objects = [
            xml_object(VOC_CLASSES[number], (1 + number, 2, 80, 60)),
            xml_object("person", (33, 7, 34 + number, 59), "<difficult>1</difficult>"),
            # 2011_003353.xml has float32 coordinates
            xml_object("tvmonitor", ("45.70000076293945", "10.25", "70", "59.33")),
        ]
        annotated = year == "2007" or image_id not in SPLITS["test"]
        text = xml(*objects[: number + 1], filename=f"{image_id}.jpg", extra=SOURCE)
        images[image_id] = text if annotated else None
    lists = {**SPLITS, "trainval": sorted(SPLITS["train"] + SPLITS["val"])}
    voc_folder(root / "VOCdevkit" / f"VOC{year}", images, lists)
    return root


def assert_same(first, second):
    assert first.class_names == second.class_names == VOC_CLASSES
    assert [r.filename for r in first.images] == [r.filename for r in second.images]
    for a, b in zip(first.images, second.images, strict=True):
        assert (a.height, a.width, a.orientation) == (b.height, b.width, b.orientation)
        for name in ("boxes", "labels", "is_difficult"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), strict=True)
        with open(a.path, "rb") as one, open(b.path, "rb") as other:
            assert one.read() == other.read()


@pytest.mark.parametrize("split", ["train", "val", "trainval", "test", "trainval[1:]", None])
def test_records_equal_those_of_the_folder(tmp_path, tfds_reads, split):
    root = archive(tmp_path / "archive")
    data_dir = tfds_reads(root)
    assert_same(load("voc/2007", split, data_dir=data_dir), load(root, split))


def test_boxes_labels_and_difficult_arrive_unchanged(tmp_path, tfds_reads):
    dataset = load("voc/2007", "val", data_dir=tfds_reads(archive(tmp_path / "archive")))
    (record,) = dataset.images
    assert record.filename == "000006.jpg"
    expected = np.float32([[2, 1, 80, 60], [32, 6, 36, 59], [44.7, 9.25, 70, 59.33]])
    np.testing.assert_array_equal(record.boxes, expected)
    assert record.labels.tolist() == [3, 15, 20]  # bird, person, tvmonitor
    assert record.is_difficult.tolist() == [False, True, False]
    assert dataset.warnings == ()


def test_2012_whose_test_year_is_not_annotated(tmp_path, tfds_reads):
    root = archive(tmp_path / "archive", "2012")
    data_dir = tfds_reads(root)
    assert_same(load("voc/2012", "trainval", data_dir=data_dir), load(root, "trainval"))
    test = load("voc/2012", "test", data_dir=data_dir)
    assert_same(test, load(root, "test"))
    assert all(len(record.boxes) == 0 for record in test.images)
    assert "2 of 2 images have no annotation" in test.warnings[0]


def test_union_of_years(tmp_path, tfds_reads):
    root = archive(archive(tmp_path / "archive"), "2012")
    data_dir = tfds_reads(root)
    dataset = load("voc/2007:trainval+voc/2012:train[:1]", data_dir=data_dir)
    assert dataset.name == "voc/2007:trainval+voc/2012:train[:1]"
    assert dataset.class_names == VOC_CLASSES
    assert len(dataset.images) == len({r.filename for r in dataset.images}) == 4


def test_is_unpacked_once(tmp_path, tfds_reads, monkeypatch):
    data_dir = tfds_reads(archive(tmp_path / "archive"))
    first = load("voc/2007", "train", data_dir=data_dir)
    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "as_dataset", lambda *_, **__: pytest.fail("read again")
    )
    assert_same(load("voc/2007", "train", data_dir=data_dir), first)
    # Prepared anew somewhere else it is another data set.
    with pytest.raises(pytest.fail.Exception, match="read again"):
        load("voc/2007", "train", data_dir=str(tmp_path / "elsewhere"))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("no route"),
        tfds.download.DownloadError("no route: 404"),
        NonMatchingChecksumError("no route to a whole archive"),
    ],
    ids=["connection", "server", "archive"],
)
def test_failed_download_says_what_to_do(tmp_path, tfds_reads, monkeypatch, error):
    data_dir = tfds_reads(tmp_path)

    def fail(self, urls):
        raise error

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", fail)
    message = (
        rf"voc/2007: is not prepared in .*no route.*VOCtrainval_06-Nov-2007\.tar.*"
        rf"{data_dir}/downloads/manual.*VOCdevkit"
    )
    with pytest.raises(InputError, match=message):
        load("voc/2007", "train", data_dir=data_dir)


def test_unknown_split_names_those_there_are(tmp_path, tfds_reads):
    data_dir = tfds_reads(archive(tmp_path / "archive"))
    with pytest.raises(InputError, match=r"no such split.*test, train, trainval, val"):
        load("voc/2007", "testing", data_dir=data_dir)


def test_class_names_are_those_of_tfds():
    names = tfds.builder("voc/2007").info.features["objects"]["label"].names
    assert tuple(names) == VOC_CLASSES


def test_genuine_voc2007_images(tfds_reads):
    root = shared_data("voc2007_subset")
    data_dir = tfds_reads(root)
    for split in ("trainval", "test"):
        assert_same(load("voc/2007", split, data_dir=data_dir), load(root, split))
