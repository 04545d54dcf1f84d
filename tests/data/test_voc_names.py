"""Which image and which annotation belong together, and what of a folder counts."""

import os
import unicodedata

import pytest

from keras_frcnn.data import load
from keras_frcnn.data.voc import VocFolder
from keras_frcnn.errors import InputError
from tests.data.voc_files import photograph, voc_folder, xml, xml_object


def write(root, images=(), annotations=()):
    """Image files and annotations by their paths; an annotation has a class of its own name."""
    for part in ("JPEGImages", "Annotations"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for path in images:
        (root / "JPEGImages" / path).parent.mkdir(parents=True, exist_ok=True)
        photograph().save(root / "JPEGImages" / path)
    for path in annotations:
        (root / "Annotations" / path).parent.mkdir(parents=True, exist_ok=True)
        name = path.split(".")[0].replace("/", "-")
        (root / "Annotations" / path).write_text(xml(xml_object(name), filename=""))
    return root


def write_list(root, *lines, split="train"):
    lists = root / "ImageSets/Main"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / f"{split}.txt").write_bytes(b"".join(os.fsencode(line) + b"\n" for line in lines))


def classes(dataset):
    """The class of each image's object by the image's name; None for images without."""
    return {
        record.filename: dataset.class_names[record.labels[0] - 1] if len(record.labels) else None
        for record in dataset.images
    }


class TestSubFolders:
    def test_images_are_known_by_their_path(self, tmp_path):
        paths = ["cam1/f0", "cam1/day 2/f0", "cam2/f0", "f0"]
        write(tmp_path, [f"{p}.jpg" for p in paths], [f"{p}.xml" for p in paths])
        assert classes(load(tmp_path)) == {f"{p}.jpg": p.replace("/", "-") for p in paths}
        write_list(tmp_path, "cam2/f0", "cam1/day 2/f0.jpg")
        assert list(classes(load(tmp_path, "train"))) == ["cam2/f0.jpg", "cam1/day 2/f0.jpg"]

    def test_a_union_names_the_data_set_before_the_path(self, tmp_path):
        for name in ("one", "two"):
            write(tmp_path / name, ["cam1/f0.jpg"], ["cam1/f0.xml"])
        dataset = load(f"{tmp_path}/one+{tmp_path}/two")
        assert [r.filename for r in dataset.images] == ["one/cam1/f0.jpg", "two/cam1/f0.jpg"]

    @pytest.mark.parametrize(
        ("image", "annotation"), [("f0.jpg", "cam1/f0.xml"), ("cam1/f0.jpg", "f0.xml")]
    )
    def test_of_images_or_annotations_alone(self, tmp_path, image, annotation):
        write(tmp_path, [image], [annotation])
        assert list(classes(load(tmp_path))) == [image]
        write_list(tmp_path, "f0")
        assert list(classes(load(tmp_path, "train")).values()) != [None]

    def test_a_name_that_several_have_needs_its_folder(self, tmp_path):
        write(tmp_path, ["a/f.jpg", "b/f.jpg"], ["a/f.xml", "b/f.xml"])
        write_list(tmp_path, "f")
        with pytest.raises(InputError, match=r"line 1, 'f': may mean a/f or b/f"):
            load(tmp_path, "train")

    def test_of_one_image_and_two_annotations_neither_is_taken(self, tmp_path):
        write(tmp_path, ["f.jpg"], ["a/f.xml", "b/f.xml"])
        with pytest.raises(InputError, match=r"f\.jpg: the image is missing"):
            load(tmp_path)

    def test_another_folder_is_another_image(self, tmp_path):
        write(tmp_path, ["a/f.jpg"], ["a/f.xml"])
        write_list(tmp_path, "b/f")
        with pytest.raises(InputError, match=r"b/f\.jpg: the image is missing"):
            load(tmp_path, "train")

    def test_links_to_folders_are_followed_once(self, tmp_path):
        write(tmp_path, ["a/f.jpg"], ["a/f.xml"])
        for part in ("JPEGImages", "Annotations"):
            (tmp_path / part / "a" / "again").symlink_to(tmp_path / part)
            (tmp_path / part / "b").symlink_to(tmp_path / part / "a")
        assert list(classes(load(tmp_path))) == ["a/f.jpg", "b/f.jpg"]


class TestNames:
    def test_of_annotations_with_the_suffix_of_the_image(self, tmp_path):
        write(tmp_path, ["p.jpg", "q.png", "r.jpg"], ["p.jpg.xml", "q.png.xml", "r.XML"])
        write_list(tmp_path, "p", "q.png", "r")
        assert list(classes(load(tmp_path, "train")).values()) == ["p", "q", "r"]
        assert len(load(tmp_path).images) == 3

    def test_that_differ_in_the_suffix_alone(self, tmp_path):
        write(tmp_path, ["p.jpg", "p.png"], ["p.jpg.xml", "p.png.xml"])
        assert list(classes(load(tmp_path))) == ["p.jpg", "p.png"]
        write_list(tmp_path, "p.png")
        assert list(classes(load(tmp_path, "train"))) == ["p.png"]

    def test_in_other_case(self, tmp_path):
        write(tmp_path, ["IMG_1.JPG"], ["img_1.xml"])
        assert classes(load(tmp_path)) == {"IMG_1.JPG": "img_1"}
        write_list(tmp_path, "Img_1")
        assert classes(load(tmp_path, "train")) == {"IMG_1.JPG": "img_1"}

    def test_in_other_case_of_several(self, tmp_path):
        write(tmp_path, ["A.jpg", "a.jpg"], ["A.xml", "a.xml"])
        assert classes(load(tmp_path)) == {"A.jpg": "A", "a.jpg": "a"}
        (tmp_path / "JPEGImages/a.jpg").rename(tmp_path / "JPEGImages/b.jpg")
        with pytest.raises(InputError, match=r"A and a are both of A\.jpg"):
            load(tmp_path)

    @pytest.mark.parametrize("listed", ["NFC", "NFD"])
    def test_in_another_unicode_form(self, tmp_path, listed):
        name = "café"
        write(tmp_path, [unicodedata.normalize("NFD", f"{name}.jpg")], [f"{name}.xml"])
        write_list(tmp_path, unicodedata.normalize(listed, name))
        assert list(classes(load(tmp_path, "train")).values()) == ["café"]
        assert list(classes(load(tmp_path)).values()) == ["café"]

    @pytest.mark.parametrize("line", [b"caf\xe9", "café".encode()])
    def test_that_are_not_utf8(self, tmp_path, line):
        name = os.fsdecode(b"caf\xe9")
        write(tmp_path, ["a.jpg"], ["a.xml"])
        (tmp_path / "JPEGImages/a.jpg").rename(tmp_path / "JPEGImages" / f"{name}.jpg")
        (tmp_path / "Annotations/a.xml").rename(tmp_path / "Annotations" / f"{name}.xml")
        write_list(tmp_path, os.fsdecode(line))
        for split in (None, "train"):
            (record,) = load(tmp_path, split).images
            assert record.filename == r"caf\xe9.jpg" and len(record.labels) == 1
            assert os.fsencode(record.path).endswith(b"/caf\xe9.jpg") and os.path.exists(
                record.path
            )

    def test_of_folders_in_other_case(self, tmp_path):
        write(tmp_path, ["p.jpg"], ["p.xml"])
        (tmp_path / "Annotations").rename(tmp_path / "annotations")
        (tmp_path / "JPEGImages").rename(tmp_path / "jpegimages")
        assert classes(load(tmp_path)) == {"p.jpg": "p"}

    def test_of_the_data_set_that_are_not_utf8(self, tmp_path):
        root = write(tmp_path / os.fsdecode(b"caf\xe9"), ["p.jpg"], ["p.xml"])
        with pytest.raises(InputError, match=r"caf\\xe9: its name is not UTF-8"):
            load(root)

    def test_of_the_data_set_that_are_too_long(self):
        with pytest.raises(InputError, match="is no data set") as error:
            load("x" * 5000)
        assert len(str(error.value)) < 400

    def test_in_filename_of_a_sub_folder(self, tmp_path):
        write(tmp_path, ["cam1/other.png"])
        (tmp_path / "Annotations/f.xml").write_text(xml(xml_object(), filename="cam1/other.png"))
        assert classes(load(tmp_path)) == {"cam1/other.png": "cat"}

    def test_of_an_image_for_two_annotations(self, tmp_path):
        write(tmp_path, ["a.jpg"], ["a.xml"])
        (tmp_path / "Annotations/copy.xml").write_text(xml(xml_object(), filename="a.jpg"))
        with pytest.raises(InputError, match=r"a and copy are both of a\.jpg"):
            load(tmp_path)


class TestWhatCounts:
    def test_not_the_files_of_systems(self, tmp_path):
        write(tmp_path, ["p.jpg"], ["p.xml"])
        write_list(tmp_path, "p")
        for part, name in (("JPEGImages", "p.jpg"), ("Annotations", "p.xml")):
            for other in (f"._{name}", f".AppleDouble/{name}", f"@eaDir/{name}", "Thumbs.db"):
                path = tmp_path / part / other
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
        (tmp_path / "ImageSets/Main/._train.txt").write_bytes(b"\0\5\x16\7")
        voc = VocFolder(tmp_path)
        assert voc.splits == ("train",) and voc.ids(None) == ["p"]
        assert classes(load(tmp_path)) == {"p.jpg": "p"}

    def test_not_folders_and_pipes_called_as_files(self, tmp_path):
        write(tmp_path, ["p.jpg"], ["p.xml"])
        (tmp_path / "Annotations/folder.xml").mkdir()
        (tmp_path / "JPEGImages/folder.jpg").mkdir()
        os.mkfifo(tmp_path / "Annotations/pipe.xml")
        assert classes(load(tmp_path)) == {"p.jpg": "p"}

    def test_links_that_lead_nowhere_are_named(self, tmp_path):
        write(tmp_path, [], ["p.xml"])
        (tmp_path / "JPEGImages/p.jpg").symlink_to("/nowhere/p.jpg")
        with pytest.raises(InputError, match=r"p\.jpg: is a link to a file that is missing"):
            load(tmp_path)
        (tmp_path / "JPEGImages/p.jpg").unlink()
        (tmp_path / "JPEGImages/p.jpg").symlink_to("p.jpg")
        with pytest.raises(InputError, match=r"p\.jpg: cannot be read \(Too many levels"):
            load(tmp_path)
        (tmp_path / "Annotations/q.xml").symlink_to("/nowhere/q.xml")
        with pytest.raises(InputError, match=r"q\.xml: cannot be read \(No such file"):
            load(tmp_path)

    @pytest.mark.parametrize("part", ["JPEGImages", "Annotations", "ImageSets", "ImageSets/Main"])
    def test_folders_that_may_not_be_read_are_named(self, tmp_path, monkeypatch, part):
        root = voc_folder(tmp_path, {"a": xml(xml_object())})
        scan = os.scandir

        def refuse(path):
            if os.fspath(path) == str(root / part):
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)
        if part == "ImageSets":  # where the lists are found without looking at what else there is
            (root / "ImageSets/Main").rename(root / "ImageSets/main")
        with pytest.raises(InputError, match=rf"{part}: cannot be read \(Permission denied\)"):
            load(root, "train")

    def test_read_only_folders(self, tmp_path):
        root = voc_folder(tmp_path, {"a": xml(xml_object())})
        for folder in (root, *root.rglob("*")):
            folder.chmod(0o555 if folder.is_dir() else 0o444)
        try:
            assert len(load(root, "train").images) == 1
        finally:
            for folder in (root, *root.rglob("*")):
                folder.chmod(0o755)


class TestWhatIsMissing:
    def test_is_counted_and_what_there_is_shown(self, tmp_path):
        root = voc_folder(tmp_path, {"a": xml(xml_object())}, {"train": ["x", "a", "y", "z"]})
        with pytest.raises(InputError) as error:
            load(root, "train")
        text = str(error.value)
        assert f"x.jpg: the image is missing (listed in {root}/ImageSets/Main/train.txt)" in text
        assert "images there are called like a.jpg" in text
        assert "the same with 2 more images (y, z)" in text

    def test_all_images(self, tmp_path):
        root = voc_folder(tmp_path, {"a": xml(xml_object())})
        (root / "JPEGImages/a.jpg").unlink()
        with pytest.raises(InputError, match="there are no images in that folder"):
            load(root)

    def test_unreadable_images_and_annotations_are_counted(self, tmp_path):
        root = voc_folder(tmp_path, {name: xml(xml_object()) for name in "abcde"})
        for name in "bc":
            (root / "JPEGImages" / f"{name}.jpg").write_text("<html>")
        with pytest.raises(InputError, match=r"b\.jpg: cannot .*1 more unreadable images \(c\.jpg"):
            load(root)
        for name in "ade":
            (root / "Annotations" / f"{name}.xml").write_text("<html>")
        with pytest.raises(InputError, match=r"a\.xml: malformed .*2 more annotations \(d, e\)"):
            load(root)

    def test_classes_that_are_not_given_are_counted(self, tmp_path):
        root = voc_folder(tmp_path, {name: xml(xml_object("dog")) for name in "abc"})
        with pytest.raises(InputError, match=r"\(dog\): is of none .*2 more images"):
            load(root, class_names=["cat"])
