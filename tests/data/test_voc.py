import numpy as np
import pytest
from PIL import Image

from keras_frcnn.data import load
from keras_frcnn.data.voc import VOC_CLASSES, VocFolder, read_annotation
from keras_frcnn.errors import InputError
from tests.data.voc_files import SOURCE, photograph, voc_folder, xml, xml_object
from tests.shared_data import shared_data

BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<annotation><filename>&c;</filename></annotation>"""
EXTERNAL_ENTITY = """<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY file SYSTEM "file:///etc/hostname">]>
<annotation><filename>&file;</filename></annotation>"""


def only_record(root, text, **options):
    dataset = load(voc_folder(root, {"a": text}), "train", **options)
    (record,) = dataset.images
    return record, dataset


def test_one_based_inclusive_pixels_become_continuous(tmp_path):
    record, dataset = only_record(
        tmp_path,
        xml(
            xml_object("dog", (1, 1, 80, 60)),
            xml_object("cat", (11, 21, 30, 40), difficult="<difficult>1</difficult>"),
            xml_object("cat", ("45.7", "10.25", " 50.5 ", "20"), difficult=""),
        ),
    )
    assert dataset.class_names == ("cat", "dog")
    expected = np.float32([[0, 0, 80, 60], [10, 20, 30, 40], [44.7, 9.25, 50.5, 20]])
    np.testing.assert_array_equal(record.boxes, expected)
    assert record.boxes.dtype == np.float32
    assert record.labels.tolist() == [2, 1, 1] and record.labels.dtype == np.int32
    assert record.is_difficult.tolist() == [False, True, False]
    assert (record.filename, record.height, record.width) == ("a.jpg", 60, 80)
    assert record.path == str(tmp_path / "JPEGImages" / "a.jpg")
    assert dataset.warnings == ()


def test_boxes_are_clipped_and_what_is_left_without_area_is_reported(tmp_path):
    record, dataset = only_record(
        tmp_path,
        xml(
            xml_object("kept", (0, -4, 100, 70)),  # larger than the image
            xml_object("thin", (20, 5, 20, 50)),
            xml_object("flat", (20, 50, 30, 50)),
            xml_object("swapped", (30, 5, 20, 50)),
            xml_object("right", (81, 5, 99, 50)),
            xml_object("above", (5, -9, 20, 0)),
            xml_object("last", (79, 59, 80, 60)),
        ),
    )
    np.testing.assert_array_equal(record.boxes, [[0, 0, 80, 60], [78, 58, 80, 60]])
    names = [dataset.class_names[label - 1] for label in record.labels]
    assert names == ["kept", "last"]
    path = tmp_path / "Annotations" / "a.xml"
    assert dataset.warnings == (
        f"{path}: object 2 (thin): skipped, its box (20, 5, 20, 50) is degenerate",
        f"{path}: object 3 (flat): skipped, its box (20, 50, 30, 50) is degenerate",
        f"{path}: object 4 (swapped): skipped, its box (30, 5, 20, 50) is degenerate",
        f"{path}: object 5 (right): skipped, its box (81, 5, 99, 50) is outside the 80 x 60 image",
        f"{path}: object 6 (above): skipped, its box (5, -9, 20, 0) is outside the 80 x 60 image",
    )


def test_image_without_objects_stays(tmp_path):
    root = voc_folder(tmp_path, {"a": xml(), "b": xml(xml_object())})
    dataset = load(root, "train")
    assert [r.boxes.shape for r in dataset.images] == [(0, 4), (1, 4)]
    assert dataset.warnings == ()


def test_missing_annotation_counts_as_background_and_is_reported(tmp_path):
    root = voc_folder(tmp_path, {"a": None, "b": xml(xml_object()), "c": None})
    dataset = load(root, "train")
    assert [len(r.labels) for r in dataset.images] == [0, 1, 0]
    (line,) = dataset.warnings
    assert str(root / "Annotations" / "a.xml") in line and "2 of 3 images" in line


@pytest.mark.parametrize("levels", ["", "VOC2007", "VOCdevkit/VOC2012"])
def test_levels_above_the_folder_are_optional(tmp_path, levels):
    voc_folder(tmp_path / levels, {"a": xml(xml_object())})
    assert load(tmp_path, "train").images[0].boxes.tolist() == [[10, 20, 30, 40]]


def test_two_years_in_one_folder_ask_for_a_choice(tmp_path):
    for year in ("VOC2007", "VOC2012"):
        voc_folder(tmp_path / "VOCdevkit" / year, {"a": xml(xml_object())})
    with pytest.raises(InputError, match=r"VOC2007, .*VOC2012"):
        load(tmp_path, "train")


def test_parts_of_an_object_are_not_its_box(tmp_path):
    head = "<part><name>head</name><bndbox><xmin>12</xmin></bndbox></part>"
    text = xml(xml_object().replace("<pose>", head + "<pose>"))
    record, dataset = only_record(tmp_path, text)
    assert dataset.class_names == ("cat",)
    assert record.boxes.tolist() == [[10, 20, 30, 40]]


class TestClassNames:
    def test_are_those_of_all_annotations_in_every_split(self, tmp_path):
        images = {"a": xml(xml_object("zebra")), "b": xml(xml_object("ant"))}
        root = voc_folder(tmp_path, images, {"train": ["a"], "test": ["b"]})
        for split, label in (("train", 2), ("test", 1)):
            dataset = load(root, split)
            assert dataset.class_names == ("ant", "zebra")
            assert dataset.images[0].labels.tolist() == [label]

    def test_of_genuine_voc_are_always_twenty(self, tmp_path):
        text = xml(xml_object("dog"), extra=SOURCE)
        record, dataset = only_record(tmp_path / "genuine", text)
        assert dataset.class_names == VOC_CLASSES and len(VOC_CLASSES) == 20
        assert record.labels.tolist() == [12]
        _, dataset = only_record(tmp_path / "own", xml(xml_object("dog")))
        assert dataset.class_names == ("dog",)

    def test_may_be_given(self, tmp_path):
        record, dataset = only_record(tmp_path, xml(xml_object()), class_names=["dog", "cat"])
        assert dataset.class_names == ("dog", "cat")
        assert record.labels.tolist() == [2]

    def test_given_without_one_that_occurs(self, tmp_path):
        text = xml(xml_object("dog"), xml_object("cat"))
        with pytest.raises(InputError, match=r"a\.xml: object 2 \(cat\).*none of.*: dog"):
            only_record(tmp_path, text, class_names=["dog"])

    @pytest.mark.parametrize("names", [[], ["dog", "dog"]])
    def test_given_must_be_different(self, tmp_path, names):
        with pytest.raises(InputError, match="different"):
            only_record(tmp_path, xml(xml_object("dog")), class_names=names)

    def test_cannot_be_found_without_objects(self, tmp_path):
        with pytest.raises(InputError, match="no annotated objects"):
            only_record(tmp_path, xml())


class TestImageFile:
    @pytest.mark.parametrize("suffix", [".jpeg", ".png", ".JPG"])
    def test_is_looked_for(self, tmp_path, suffix):
        root = voc_folder(tmp_path, {"a": xml(xml_object(), filename="")})
        (root / "JPEGImages" / "a.jpg").unlink()
        photograph().save(root / "JPEGImages" / f"a{suffix}")
        assert load(root, "train").images[0].filename == f"a{suffix}"

    @pytest.mark.parametrize("filename", ["other.png", "C:\\photos\\other.png", "/x/other.png"])
    def test_of_another_name_is_found_by_filename(self, tmp_path, filename):
        root = voc_folder(tmp_path, {"a": xml(xml_object(), filename=filename)})
        (root / "JPEGImages" / "a.jpg").unlink()
        photograph().save(root / "JPEGImages" / "other.png")
        assert load(root, "train").images[0].filename == "other.png"

    def test_is_missing(self, tmp_path):
        root = voc_folder(tmp_path, {"a": xml(xml_object(), filename="b.png")})
        (root / "JPEGImages" / "a.jpg").unlink()
        with pytest.raises(InputError, match=r"b\.png: the image is missing \(named by .*a\.xml"):
            load(root, "train")

    def test_is_missing_though_listed(self, tmp_path):
        root = voc_folder(tmp_path, {"a": xml(xml_object())}, {"train": ["a", "b"]})
        with pytest.raises(InputError, match=r"b\.jpg: the image is missing \(listed in"):
            load(root, "train")

    def test_is_no_image(self, tmp_path):
        root = voc_folder(tmp_path, {"a": xml(xml_object())})
        (root / "JPEGImages" / "a.jpg").write_text("<html>Not found</html>")
        with pytest.raises(InputError, match=r"a\.jpg: cannot be read as an image"):
            load(root, "train")

    def test_is_of_a_format_that_training_cannot_read(self, tmp_path):
        root = voc_folder(tmp_path, {"a": xml(xml_object())})
        photograph().save(root / "JPEGImages" / "a.jpg", format="WEBP")
        with pytest.raises(InputError, match=r"a\.jpg: is a WEBP file"):
            load(root, "train")

    def test_is_of_another_size(self, tmp_path):
        with pytest.raises(InputError, match=r"a\.xml: .*160 x 120 .*a\.jpg has 80 x 60"):
            only_record(tmp_path, xml(xml_object(), size=(160, 120)))

    @pytest.mark.parametrize("size", [(0, 0), ("", ""), (" 0 ", "60")])
    def test_size_may_be_unknown(self, tmp_path, size):
        record, _ = only_record(tmp_path, xml(xml_object(), size=size))
        assert (record.width, record.height) == (80, 60)

    def test_is_turned_by_exif_as_the_annotation_was(self, tmp_path):
        """EXIF orientation 6 turns the stored 80 x 60 pixels into an upright 60 x 80 image."""
        box = (11, 61, 30, 75)  # lies outside 80 x 60
        for size, expected in [
            ((60, 80), (6, 80, 60, [[10, 60, 30, 75]])),
            ((0, 0), (6, 80, 60, [[10, 60, 30, 75]])),
            ((80, 60), (1, 60, 80, [])),  # drawn on the stored pixels
        ]:
            root = voc_folder(tmp_path, {"a": xml(xml_object(box=box), size=size)})
            exif = Image.Exif()
            exif[0x0112] = 6
            photograph().save(root / "JPEGImages" / "a.jpg", exif=exif)
            (record,) = load(root, "train").images
            found = (record.orientation, record.height, record.width, record.boxes.tolist())
            assert found == expected
        (root / "Annotations" / "a.xml").write_text(xml(xml_object(), size=(75, 60)))
        with pytest.raises(InputError, match=r"75 x 60 .* has 60 x 80"):
            load(root, "train")


class TestHostileXml:
    @pytest.mark.parametrize("bomb", [BILLION_LAUGHS, EXTERNAL_ENTITY])
    def test_entities_are_refused(self, tmp_path, bomb):
        with pytest.raises(InputError, match=r"a\.xml: declares XML entities"):
            only_record(tmp_path, bomb)

    @pytest.mark.parametrize(
        "text", ["", "<annotation>", "plain", "<annotation/><b/>", '<?xml encoding="x"?><a/>']
    )
    def test_malformed(self, tmp_path, text):
        with pytest.raises(InputError, match=r"a\.xml: malformed XML"):
            only_record(tmp_path, text)

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "a.xml").write_bytes(b"<annotation>\xff\xfe</annotation>")
        with pytest.raises(InputError, match=r"a\.xml"):
            read_annotation(tmp_path / "a.xml")

    def test_unknown_encoding(self, tmp_path):
        text = '<?xml version="1.0" encoding="klingon"?><annotation/>'
        with pytest.raises(InputError, match=r"a\.xml"):
            only_record(tmp_path, text)

    def test_other_root(self, tmp_path):
        with pytest.raises(InputError, match=r"a\.xml: is no VOC annotation.*<svg>"):
            only_record(tmp_path, "<svg/>")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("<name>cat</name>", "", r"object 1: has no <name>"),
            ("<xmax>30</xmax>", "", r"object 1 \(cat\): has no <bndbox> with <xmax>"),
            ("bndbox", "box", r"object 1 \(cat\): has no <bndbox> with <xmin>"),
            ("<ymin>21<", "<ymin>2l<", r"object 1 \(cat\): <ymin> is '2l', not a number"),
            ("<ymin>21<", "<ymin>nan<", r"object 1 \(cat\): <ymin> is 'nan', not a number"),
            ("<ymax>40<", "<ymax>inf<", r"object 1 \(cat\): <ymax> is 'inf', not a number"),
            ("<difficult>0", "<difficult>hard", r"object 1 \(cat\): <difficult> is 'hard'"),
            ("<width>80", "<width>wide", r"<size> is wide x 60, not two numbers"),
        ],
    )
    def test_missing_and_meaningless_values(self, tmp_path, old, new, message):
        with pytest.raises(InputError, match=r"a\.xml: " + message):
            only_record(tmp_path, xml(xml_object()).replace(old, new))


def test_lists_of_single_classes_are_no_splits(tmp_path):
    splits = {"train": ["a"], "val": [], "cat_train": ["a  1"], "train_small": ["a"]}
    root = voc_folder(tmp_path, {"a": xml(xml_object())}, splits)
    assert VocFolder(root).splits == ("train", "train_small", "val")


def test_byte_order_mark_blank_lines_and_repetitions_in_a_list(tmp_path):
    root = voc_folder(tmp_path, {"a": xml(xml_object()), "b": xml()})
    (root / "ImageSets/Main/train.txt").write_text("\ufeffb \r\n\n a\nb\n", encoding="utf-8")
    assert VocFolder(root).ids("train") == ["b", "a"]


def test_bccd_with_its_two_degenerate_boxes():
    dataset = load(shared_data("bccd"))
    assert len(dataset.images) == 364 and dataset.class_names == ("Platelets", "RBC", "WBC")
    labels = np.concatenate([r.labels for r in dataset.images])
    assert np.bincount(labels).tolist() == [0, 361, 4155 - 2, 372]
    assert len(dataset.warnings) == 2
    for image_id, line in zip(("00338", "00343"), dataset.warnings, strict=True):
        assert f"BloodImage_{image_id}.xml: object" in line and "degenerate" in line
    sizes = {"train": 205, "val": 87, "trainval": 292, "test": 72}
    assert {s: len(load(shared_data("bccd"), s).images) for s in sizes} == sizes


def test_voc2007_subset():
    dataset = load(shared_data("voc2007_subset"), "trainval")
    assert dataset.class_names == VOC_CLASSES and dataset.warnings == ()
    assert len(dataset.images) == 1000
    record = dataset.images[0]  # checked against the annotation by hand
    assert record.filename == "000010.jpg" and (record.width, record.height) == (354, 480)
    np.testing.assert_array_equal(record.boxes, [[86, 96, 258, 427], [132, 71, 245, 284]])
    assert [VOC_CLASSES[label - 1] for label in record.labels] == ["horse", "person"]
