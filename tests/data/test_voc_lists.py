"""What lists say, in the ways in which tools write them."""

import pytest

from keras_frcnn.data.voc import VocFolder
from keras_frcnn.errors import InputError
from tests.data.voc_files import voc_folder, xml, xml_object

NAMES = ["p0", "p1", "p2", "my photo", "photo 1"]


@pytest.fixture
def folder(tmp_path):
    root = voc_folder(tmp_path / "VOC 2007", {name: xml(xml_object()) for name in NAMES}, {})
    (root / "ImageSets/Main/train.txt").write_text("p0\n")
    return root


def ids(root, text, split="train"):
    path = root / "ImageSets/Main" / f"{split}.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return VocFolder(root).ids(split)


@pytest.mark.parametrize(
    "line",
    [
        "p0.jpg",
        "p0.JPG",
        "p0.xml",
        "p0.jpg.xml",
        "P0",
        "./p0",
        "JPEGImages/p0.jpg",
        "./JPEGImages/p0.jpg",
        "JPEGImages\\p0.jpg",
        "Annotations/p0.xml",
        "VOC2007/JPEGImages/p0.jpg",
        "data/images/train/p0.jpg",
        "x/../p0",
        "JPEGImages/p0.jpg Annotations/p0.xml",
        "VOC2007/JPEGImages/p0.jpg\tVOC2007/Annotations/p0.xml",
        "p0  1",
        "p0.jpg 0",
        "p0.jpg,Annotations/p0.xml",
        "p0;1",
        '"p0"',
        "'p0.jpg' 'p0.xml'",
    ],
)
def test_a_line_means_an_image(folder, line):
    assert ids(folder, f"p1\n{line}\n") == ["p1", "p0"]


def test_an_absolute_path_inside_the_data_set(folder):
    assert ids(folder, f"{folder}/JPEGImages/p2.jpg\n") == ["p2"]
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert ids(link, f"{folder}/JPEGImages/p2.jpg\n") == ["p2"]


def test_names_with_spaces(folder):
    assert ids(folder, "my photo\nphoto 1\nmy photo.jpg\n") == ["my photo", "photo 1"]
    assert ids(folder, "photo 1 1\nmy photo -1\n") == ["photo 1"]


def test_encodings_and_system_files(folder):
    assert ids(folder, "p1\r\np0\r\n".encode("utf-16")) == ["p1", "p0"]  # PowerShell's >
    assert ids(folder, "\ufeffp1\n._p1\n.DS_Store\nThumbs.db\n") == ["p1"]


def test_the_list_of_a_class(folder):
    lists = folder / "ImageSets/Main"
    (lists / "cat_train.txt").write_text("p0  1\np1 -1\np2  0\n")
    assert VocFolder(folder).splits == ("train",)
    assert VocFolder(folder).ids("cat_train") == ["p0", "p2"]
    (lists / "train.txt").unlink()
    assert VocFolder(folder).ids(None) == ["p0", "p1", "p2"]


@pytest.mark.parametrize(
    "line",
    [
        "../../x",
        "../JPEGImages/p0.jpg",
        "..",
        "/etc/passwd",
        "C:\\photos\\p0.jpg",
        "file:///photos/p0.jpg",
        "a/../../p0",
    ],
)
def test_lines_that_leave_the_folder_are_refused_by_name(folder, line):
    with pytest.raises(InputError, match=r"train\.txt: line 2, .* leads out of the data set"):
        ids(folder, f"p1\n{line}\n")


def test_what_is_wrong_is_counted(folder):
    with pytest.raises(InputError) as error:
        ids(folder, "p0\n../a\n../b\n../c\n")
    text = str(error.value)
    assert "line 2, '../a'" in text and "the same with 2 more lines (line 3, line 4)" in text


@pytest.mark.parametrize(
    "line", ["p0 p1", "p0.jpg p1.xml", "p0 17", "JPEGImages/p1.jpg Annotations/p0.xml"]
)
def test_a_second_column_of_another_kind(folder, line):
    with pytest.raises(InputError, match=r"line 1, .*expected is the name of an image"):
        ids(folder, line)


def test_lists_in_image_sets_itself(folder):
    main = folder / "ImageSets/Main"
    (main / "train.txt").rename(folder / "ImageSets/train.txt")
    main.rmdir()
    assert VocFolder(folder).splits == ("train",) and VocFolder(folder).ids("train") == ["p0"]


def test_folders_and_links_called_as_lists(folder):
    (folder / "ImageSets/Main/val.txt").mkdir()
    (folder / "ImageSets/Main/test.txt").symlink_to("nowhere.txt")
    voc = VocFolder(folder)
    assert voc.splits == ("test", "train")
    with pytest.raises(InputError, match=r"test\.txt: cannot be read as a list .*No such file"):
        voc.ids("test")
    with pytest.raises(InputError, match=r"val\.txt: there is no such split"):
        voc.ids("val")


def test_a_line_of_any_length(folder):
    with pytest.raises(InputError, match="the image is missing") as error:
        VocFolder(folder).records(ids(folder, "x" * 70_000), ("cat",))
    assert len(str(error.value)) < 1000
