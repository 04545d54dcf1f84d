"""Every form of a data set that people have, read as the same records."""

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.data import load
from keras_frcnn.data.load import open_source, training_split
from keras_frcnn.errors import InputError
from tests.data.forms import (
    CLASSES,
    OBJECTS,
    coco,
    coco_of_a_year,
    image,
    one_coco_file,
    table_without_header,
    write_json,
    write_text,
    yolo,
    yolo_rows,
)
from tests.data.voc_files import xml, xml_object


def voc_xml(name):
    return xml(
        *(xml_object(c, (x1 + 1, y1 + 1, x2, y2)) for c, (x1, y1, x2, y2) in OBJECTS[name]),
        filename=f"{name}.jpg",
    )


def beside_each_other(root):
    for i, name in enumerate(OBJECTS):
        image(root / f"{name}.jpg", i)
        write_text(root / f"{name}.xml", voc_xml(name))
    write_text(root / "classes.txt", "dog\ncat\n")  # LabelImg leaves it; the XML count


def annotations_and_images(root):
    for i, name in enumerate(OBJECTS):
        image(root / "Images" / f"{name}.jpg", i)
        write_text(root / "annotations" / f"{name}.xml", voc_xml(name))


def images_among_the_annotations(root):
    for i, name in enumerate(OBJECTS):
        image(root / "Annotations" / f"{name}.jpg", i)
        write_text(root / "Annotations" / f"{name}.xml", voc_xml(name))


def yolo_without_yaml(root):
    for i, name in enumerate(OBJECTS):
        image(root / "images" / f"{name}.jpg", i)
        write_text(root / "labels" / f"{name}.txt", yolo_rows(name))
    write_text(root / "labels" / "classes.txt", "dog\ncat\n")


def table(root):
    rows = ["class;XMIN;ymin;xmax;ymax;width;filename"]
    for i, (name, objects) in enumerate(OBJECTS.items()):
        image(root / "images" / f"{name}.jpg", i)
        rows += [f"{c};{';'.join(map(str, box))};80;{name}.jpg" for c, box in objects]
    write_text(root / "objects.csv", "\n".join(rows))


@pytest.mark.parametrize(
    ("make", "form", "class_names"),
    [
        (beside_each_other, "Pascal VOC", ("cat", "dog")),
        (annotations_and_images, "Pascal VOC", ("cat", "dog")),
        (images_among_the_annotations, "Pascal VOC", ("cat", "dog")),
        (one_coco_file, "COCO JSON", CLASSES),
        (yolo_without_yaml, "YOLO", CLASSES),
        (table, "CSV table", ("cat", "dog")),
        (table_without_header, "CSV table", ("cat", "dog")),
    ],
)
def test_without_splits(tmp_path, make, form, class_names):
    make(tmp_path)
    assert open_source(str(tmp_path)).form == form
    dataset = load(tmp_path)
    assert dataset.class_names == class_names and not dataset.warnings
    check_records(dataset, OBJECTS)
    assert training_split(tmp_path) == "train"


def check_records(dataset, names):
    """The records are those of `OBJECTS`, in this order."""
    assert [record.filename.rpartition("/")[2] for record in dataset.images] == [
        f"{name}.jpg" for name in names
    ]
    for record, name in zip(dataset.images, names, strict=True):
        assert (record.height, record.width) == (60, 80)
        found = [dataset.class_names[k - 1] for k in record.labels]
        assert found == [c for c, _ in OBJECTS[name]]
        np.testing.assert_array_equal(record.boxes, np.float32([box for _, box in OBJECTS[name]]))
        assert not record.is_difficult.any()
        Image.open(record.path).verify()


def roboflow_voc(root):
    for i, (split, name) in enumerate((("train", "p0"), ("valid", "p1"))):
        image(root / split / f"{name}.jpg", i)
        write_text(root / split / f"{name}.xml", voc_xml(name))
    write_text(root / "README.roboflow.txt", "an export")


def folders_of_splits(root):
    for i, (split, name) in enumerate((("train", "p0"), ("val", "p1"))):
        image(root / "images" / split / f"{name}.jpg", i)
        write_text(root / "annotations" / split / f"{name}.xml", voc_xml(name))


def lists_beside_the_folders(root):
    annotations_and_images(root)
    write_text(root / "train.txt", "images/p0.jpg\n")
    write_text(root / "val.txt", "p1\n")
    write_text(root / "README.txt", "p0\n")


def roboflow_coco(root):
    for i, (split, name) in enumerate((("train", "p0"), ("valid", "p1"))):
        image(root / split / f"{name}.jpg", i)
        content = coco([name])
        # Roboflow's own: the project as a category of which there are no objects.
        content["categories"].append({"id": 0, "name": "animal", "supercategory": "none"})
        write_json(root / split / "_annotations.coco.json", content)


def coco_in_images(root):
    for i, (split, name) in enumerate((("train", "p0"), ("val", "p1"))):
        image(root / "images" / split / f"{name}.jpg", i)
        write_json(root / "annotations" / f"instances_{split}.json", coco([name], "C:/old/x/"[3:]))


def roboflow_yolo(root):
    for i, (split, name) in enumerate((("train", "p0"), ("valid", "p1"))):
        image(root / split / "images" / f"{name}.jpg", i)
        write_text(root / split / "labels" / f"{name}.txt", yolo_rows(name))
    write_text(
        root / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\n"
        "nc: 2\nnames: ['dog', 'cat']\nroboflow:\n  version: 3\n",
    )


def yolo_with_lists(root):
    for i, name in enumerate(OBJECTS):
        image(root / "images" / f"{name}.jpg", i)
        write_text(root / "labels" / f"{name}.txt", yolo_rows(name))
    write_text(root / "train.txt", "./images/p0.jpg\n")
    write_text(root / "val.txt", "images/p1.jpg\n\n")
    write_text(root / "data.yaml", "train: train.txt\nval: [val.txt]\nnames: [dog, cat]\n")


def tables(root):
    for i, (split, name) in enumerate((("train", "p0"), ("val", "p1"))):
        image(root / f"{name}.jpg", i)
        rows = [f"{name}.jpg,{','.join(map(str, box))},{c}\n" for c, box in OBJECTS[name]]
        write_text(root / f"{split}.csv", "image,x1,y1,x2,y2,class\n" + "".join(rows))


@pytest.mark.parametrize(
    "make",
    [
        roboflow_voc,
        folders_of_splits,
        lists_beside_the_folders,
        roboflow_coco,
        coco_of_a_year,
        coco_in_images,
        yolo,
        roboflow_yolo,
        yolo_with_lists,
        tables,
    ],
)
def test_with_splits(tmp_path, make):
    make(tmp_path)
    assert training_split(tmp_path) == "train"
    train = load(tmp_path, "train")
    assert set(train.class_names) == {"cat", "dog"} and not train.warnings and not train.notes
    check_records(train, ["p0"])
    for name in ("val", "valid", "validation"):  # whichever the data set has
        val = load(tmp_path, name)
        assert val.class_names == train.class_names
        check_records(val, ["p1"])
    check_records(load(tmp_path, "train+val"), ["p0", "p1"])
    check_records(load(tmp_path), ["p0", "p1"])
    with pytest.raises(InputError, match=r"no such split.*train"):
        load(tmp_path, "night")


def test_a_file_of_annotations_is_a_data_set(tmp_path):
    coco_of_a_year(tmp_path)
    file = tmp_path / "annotations" / "instances_val2017.json"
    check_records(load(file), ["p1"])
    check_records(load(f"{file}:val"), ["p1"])
    tables(tmp_path / "tables")
    check_records(load(tmp_path / "tables" / "val.csv"), ["p1"])
    yolo(tmp_path / "yolo")
    check_records(load(tmp_path / "yolo" / "data.yaml", "train"), ["p0"])


def test_two_names_of_one_folder(tmp_path):
    """A union tells images of the same name apart, whatever the form."""
    roboflow_yolo(tmp_path / "a")
    table_without_header(tmp_path / "b")
    dataset = load(f"{tmp_path}/a+{tmp_path}/b")
    assert dataset.class_names == ("cat", "dog") and len(dataset.images) == 4
    one_coco_file(tmp_path / "c")
    (tmp_path / "c" / "pictures").rename(tmp_path / "c" / "images")
    table(tmp_path / "d")
    names = [record.filename for record in load(f"{tmp_path}/c+{tmp_path}/d").images]
    assert names == ["c/images/p0.jpg", "c/images/p1.jpg", "d/images/p0.jpg", "d/images/p1.jpg"]
