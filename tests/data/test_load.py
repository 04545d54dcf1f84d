import pytest

from keras_frcnn.data import load
from keras_frcnn.data.load import Part, parse, training_split
from keras_frcnn.errors import InputError
from tests.data.voc_files import voc_folder, xml, xml_object

IDS = [f"p{i}" for i in range(8)]


@pytest.fixture
def folder(tmp_path):
    splits = {"train": IDS[:5], "val": IDS[5:], "empty": []}
    return voc_folder(tmp_path / "photos", {i: xml(xml_object()) for i in IDS}, splits)


def stems(dataset):
    return [record.filename.removesuffix(".jpg") for record in dataset.images]


@pytest.mark.parametrize(
    ("spec", "split", "parts"),
    [
        ("voc/2007", "train", [("voc/2007", "train")]),
        ("voc/2007", None, [("voc/2007", None)]),
        ("voc/2007:train+val", None, [("voc/2007", "train"), ("voc/2007", "val")]),
        ("voc/2007", "train+val[:9]", [("voc/2007", "train"), ("voc/2007", "val[:9]")]),
        (
            "voc/2007:trainval+voc/2012:trainval[10%:]",
            None,
            [("voc/2007", "trainval"), ("voc/2012", "trainval[10%:]")],
        ),
        ("voc/2007+voc/2012", "val", [("voc/2007", "val"), ("voc/2012", "val")]),
        ("voc/2007:test+shapes", "val", [("voc/2007", "test"), ("shapes", "val")]),
        ("./voc/2007:test", None, [("./voc/2007", "test")]),
    ],
)
def test_specification_is_taken_apart(spec, split, parts):
    assert parse(spec, split) == [Part(*part) for part in parts]


def test_split_beside_splits_in_the_specification_is_an_error():
    with pytest.raises(InputError, match="names its splits itself"):
        parse("voc/2007:train+voc/2012:train", "test")


def test_the_split_to_train_on(folder, tmp_path):
    lists = folder / "ImageSets" / "Main"
    assert training_split(folder) == "train"
    (lists / "trainval.txt").write_text("p0\n")
    assert training_split(folder) == "trainval"
    assert training_split(f"{folder}:val") is None
    other = voc_folder(tmp_path / "other", {"q0": xml(xml_object())}, {"train": ["q0"]})
    assert training_split(f"{folder}+{other}") == "train"
    (other / "ImageSets" / "Main" / "train.txt").rename(other / "ImageSets" / "Main" / "day.txt")
    with pytest.raises(InputError, match=r"no list trainval or train .*other has day"):
        training_split(other)
    (other / "ImageSets" / "Main" / "day.txt").unlink()
    assert training_split(other) == "train"  # by the content of its images


def test_splits_unions_and_overlaps(folder):
    assert stems(load(folder, "train")) == IDS[:5]
    assert load(folder, "train").name == f"{folder}:train"
    assert stems(load(f"{folder}:val")) == IDS[5:]
    assert stems(load(f"{folder}:val+train")) == IDS[5:] + IDS[:5]
    assert stems(load(folder, "train+train[3:]+val")) == IDS
    assert stems(load(folder, "validation")) == IDS[5:]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("[:2]", IDS[:2]),
        ("[3:]", IDS[3:5]),
        ("[1:3]", IDS[1:3]),
        ("[-2:]", IDS[3:5]),
        ("[:40%]", IDS[:2]),
        ("[40%:80%]", IDS[2:4]),
        ("[-20%:]", IDS[4:5]),
        ("[:]", IDS[:5]),
    ],
)
def test_slices_are_in_the_order_of_the_list(folder, part, expected):
    assert stems(load(folder, "train" + part)) == expected


def test_no_split_takes_all_images(folder):
    assert stems(load(folder)) == IDS
    for path in (folder / "ImageSets/Main").iterdir():
        path.unlink()
    assert stems(load(folder)) == IDS


@pytest.mark.parametrize("name", ["two+two", "C:photos", "voc/2007", "shapes", "ph tos[1]"])
def test_folders_of_any_name_are_reached(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    voc_folder(tmp_path / name, {"a": xml(xml_object())})
    assert stems(load(f"./{name}", "train")) == ["a"]


def test_union_of_folders_shares_class_names_and_tells_equal_file_names_apart(tmp_path):
    one = voc_folder(tmp_path / "one", {"a": xml(xml_object("dog"))})
    two = voc_folder(tmp_path / "two", {"a": xml(xml_object("cat")), "b": xml(xml_object("dog"))})
    dataset = load(f"{one}:train+{two}:train")
    assert dataset.class_names == ("cat", "dog")
    assert [r.filename for r in dataset.images] == ["one/a.jpg", "two/a.jpg", "two/b.jpg"]
    assert [r.labels.tolist() for r in dataset.images] == [[2], [1], [2]]
    assert stems(load(f"{one}:train+{two}:train[1:]")) == ["a", "b"]


def test_indistinguishable_file_names_are_an_error(tmp_path):
    one = voc_folder(tmp_path / "one" / "photos", {"a": xml(xml_object())})
    two = voc_folder(tmp_path / "two" / "photos", {"a": xml(xml_object())})
    with pytest.raises(InputError, match="rename one of the folders"):
        load(f"{one}:train+{two}:train")


def test_unknown_data_set_lists_what_there_is():
    with pytest.raises(InputError, match=r"'voc/2008'.*voc/2007, voc/2012.*shapes.*folder"):
        load("voc/2008", "train")


def test_folder_of_another_kind(tmp_path):
    with pytest.raises(InputError, match=r"no data set in a form.*Annotations.*COCO.*YOLO.*csv"):
        load(tmp_path, "train")


def test_unknown_split_names_the_list_and_the_splits(folder):
    with pytest.raises(InputError, match=r"Main/test\.txt.*no such split.* are train, val$"):
        load(folder, "test")


def test_empty_split_names_the_list_and_the_splits(folder):
    with pytest.raises(InputError, match=r"Main/empty\.txt.*is empty.* are train, val$"):
        load(folder, "empty")


def test_split_of_a_folder_without_lists(tmp_path):
    root = voc_folder(tmp_path, {"a": xml(xml_object())}, {})
    with pytest.raises(InputError, match=r"night: there is no such split.* train, val, test$"):
        load(root, "night")
    (left,) = (s for s in ("train", "val", "test") if training_images(root, s))
    assert training_images(root, left) == ["a.jpg"]


def training_images(root, split):
    try:
        return [record.filename for record in load(root, split).images]
    except InputError as error:
        assert "none of the 1 images falls into it; --fractions" in str(error)
        return []


def test_folder_without_annotations(tmp_path):
    with pytest.raises(InputError, match="no annotated"):
        load(voc_folder(tmp_path, {}, {}))


@pytest.mark.parametrize("part", ["[9:]", "[2:2]"])
def test_slice_that_takes_nothing(folder, part):
    with pytest.raises(InputError, match=r"takes none of the 5 images of train"):
        load(folder, "train" + part)


@pytest.mark.parametrize("split", ["train[", "train[a:]", "train[1]", "train[:2]x"])
def test_malformed_split(folder, split):
    with pytest.raises(InputError, match="is no split"):
        load(folder, split)
