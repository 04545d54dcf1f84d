"""Every form of a data set that people have, read as the same records."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.data import load
from keras_frcnn.data.load import open_source, training_split
from keras_frcnn.errors import InputError
from tests.data.forms import CLASSES, OBJECTS, coco, image, write_json, write_text, yolo_rows
from tests.data.voc_files import xml, xml_object
from tests.shared_data import shared_data


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


def one_coco_file(root):
    for i, name in enumerate(OBJECTS):
        image(root / "pictures" / f"{name}.jpg", i)
    write_json(root / "labels.json", coco(OBJECTS, "pictures/"))
    write_json(root / "other.json", {"version": "5.0", "shapes": [], "imagePath": "p0.jpg"})


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


def table_without_header(root):
    rows = []
    for i, (name, objects) in enumerate(OBJECTS.items()):
        image(root / f"{name}.jpg", i)
        rows += [f"{name}.jpg,{','.join(map(str, box))},{c}\n" for c, box in objects]
    write_text(root / "objects.csv", "".join(rows))


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


def coco_of_a_year(root):
    for i, (split, name) in enumerate((("train2017", "p0"), ("val2017", "p1"))):
        image(root / split / f"{name}.jpg", i)
        write_json(root / "annotations" / f"instances_{split}.json", coco([name]))
        write_json(root / "annotations" / f"captions_{split}.json", {"images": []})


def coco_in_images(root):
    for i, (split, name) in enumerate((("train", "p0"), ("val", "p1"))):
        image(root / "images" / split / f"{name}.jpg", i)
        write_json(root / "annotations" / f"instances_{split}.json", coco([name], "C:/old/x/"[3:]))


def yolo(root):
    for i, (split, name) in enumerate((("train", "p0"), ("val", "p1"))):
        image(root / "images" / split / f"{name}.jpg", i)
        write_text(root / "labels" / split / f"{name}.txt", yolo_rows(name))
    write_text(
        root / "data.yaml",
        "path: /nowhere/else\ntrain: images/train\nval: images/val\ntest:\n"
        "names:\n  0: dog\n  1: cat\n",
    )


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


class TestCoco:
    def faulty(self, root, change):
        one_coco_file(root)
        content = coco(OBJECTS, "pictures/")
        change(content)
        write_json(root / "labels.json", content)
        return load(root)

    def test_crowds_are_difficult_and_boxes_are_clipped(self, tmp_path):
        def change(content):
            content["annotations"][0]["iscrowd"] = 1
            content["annotations"][1]["bbox"] = [-5, 50.5, 20, 100]
            content["annotations"][2]["bbox"] = [10, 10, 0, 5]

        dataset = self.faulty(tmp_path, change)
        assert dataset.images[0].is_difficult.tolist() == [True, False]
        np.testing.assert_array_equal(dataset.images[0].boxes[1], [0, 50.5, 15, 60])
        (line,) = dataset.warnings
        assert line == (
            f"{tmp_path}/labels.json: annotation 102 (dog): skipped, its box (10, 10, 0, 5) is "
            "degenerate"
        )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda c: c["annotations"][1].update(category_id=4),
                "annotation 101: there is no cat",
            ),
            (
                lambda c: c["annotations"][2].update(image_id=1),
                "102: there is no image with the id",
            ),
            (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "annotation 100: its bbox is"),
            (lambda c: c["annotations"][0].update(bbox=[1, 2, 3, None]), "100: its bbox is"),
            (lambda c: c["images"][1].update(file_name="../p1.jpg"), "image 1: '../p1.jpg' leads"),
            (lambda c: c["images"][1].update(file_name=3), "image 1: needs a number as id and a"),
            (lambda c: c["images"].append(c["images"][1]), "image 2: another image has the id 8"),
            (lambda c: c["images"][1].update(file_name="no.jpg"), "no.jpg: there is no such image"),
            (lambda c: c["images"][0].update(width=60, height=80), "exchanged: correct width and"),
            (
                lambda c: c["categories"][0].pop("name"),
                "category 0 needs a number as id and a name",
            ),
            (lambda c: c["categories"][0].update(id=3), "two categories have the id 3"),
            (lambda c: c.update(images={}), "is no COCO file: it has no list of images"),
        ],
    )
    def test_faults_name_the_file_and_the_entry(self, tmp_path, change, message):
        with pytest.raises(InputError, match=message) as error:
            self.faulty(tmp_path, change)
        assert str(error.value).startswith(str(tmp_path)) and "\n" not in str(error.value)

    def test_two_of_a_kind_are_counted(self, tmp_path):
        def change(content):
            for annotation in content["annotations"]:
                annotation["category_id"] = 5

        with pytest.raises(InputError, match=r"annotation 100: .*the same with 2 more annotations"):
            self.faulty(tmp_path, change)

    def test_no_json(self, tmp_path):
        coco_of_a_year(tmp_path)
        path = tmp_path / "annotations" / "instances_val2017.json"
        path.write_text(path.read_text()[:-9])
        with pytest.raises(InputError, match=r"instances_val2017\.json: is no JSON"):
            load(tmp_path, "train")

    def test_real_files_give_the_boxes_of_the_file(self):
        root = shared_data("coco128")
        dataset = load(root, "val")
        content = json.loads((root / "annotations" / "instances_val2017.json").read_text())
        expected = {image["file_name"]: [] for image in content["images"]}
        names = {image["id"]: image["file_name"] for image in content["images"]}
        for annotation in content["annotations"]:
            x, y, w, h = annotation["bbox"]
            expected[names[annotation["image_id"]]].append([x, y, x + w, y + h])
        assert [c["name"] for c in content["categories"]] == list(dataset.class_names)
        for record in dataset.images:
            boxes = np.float32(expected[record.filename.rpartition("/")[2]]).reshape(-1, 4)
            np.testing.assert_allclose(record.boxes, boxes, atol=0.02)  # some end outside by less


class TestYolo:
    def faulty(self, root, row):
        yolo(root)
        write_text(root / "labels" / "train" / "p0.txt", row)
        return load(root, "train")

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("2 0.5 0.5 0.1 0.1\n", "line 1: class 2, but there are 2 names"),
            ("-1 0.5 0.5 0.1 0.1\n", "line 1: class -1, but there are 2 names"),
            ("1 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1\n", "line 2: has 3 numbers behind the class"),
            ("cat 0.5 0.5 0.1 0.1\n", "line 1: 'cat 0.5 0.5 0.1 0.1' is not a class and fractions"),
            ("0 0.5 nan 0.1 0.1\n", "line 1: .* is not a class and fractions"),
            ("0 40 30 10 10\n", "line 1: .* fractions of the image are wanted, not pixels"),
        ],
    )
    def test_faults_name_file_and_line(self, tmp_path, row, message):
        with pytest.raises(InputError, match=f"labels/train/p0.txt: {message}"):
            self.faulty(tmp_path, row)

    def test_an_outline_becomes_the_box_around_it(self, tmp_path):
        dataset = self.faulty(tmp_path, "1 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75\n")
        np.testing.assert_array_equal(dataset.images[0].boxes, [[20, 15, 60, 45]])

    def test_an_image_without_a_text_file_has_no_objects(self, tmp_path):
        yolo(tmp_path)
        (tmp_path / "labels" / "train" / "p0.txt").unlink()
        assert load(tmp_path, "train").images[0].boxes.shape == (0, 4)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("names: [dog, dog]\ntrain: images/train\n", "must be different"),
            ("names: {0: dog, 2: cat}\ntrain: images/train\n", "numbered from 0 without a gap"),
            ("names: dog\ntrain: images/train\n", "has no list of the classes' names"),
            ("names: [dog, cat]\ntrain: images/night\n", "train: there is no folder or list"),
            ("names: [dog\ntrain: ]: x\n", "is no YAML"),
        ],
    )
    def test_faults_of_the_yaml(self, tmp_path, text, message):
        yolo(tmp_path)
        write_text(tmp_path / "data.yaml", text)
        with pytest.raises(InputError, match=f"data.yaml: .*{message}"):
            load(tmp_path, "train")

    def test_a_yaml_file_makes_no_python_objects(self, tmp_path):
        yolo(tmp_path)
        write_text(tmp_path / "data.yaml", "names: !!python/object/apply:os.getcwd []\n")
        with pytest.raises(InputError, match="is no YAML"):
            load(tmp_path, "train")


class TestTable:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("image,x1,y1,x2,y2,class\np0.jpg,1,2,x,4,cat\n", "line 2: '1, 2, x, 4' is no box"),
            ("p0.jpg,1,2,3,4\n", "line 1: has no class"),
            ("image,x1,y1,x2,y2\n", "line 1 is neither a header with the columns image, x1"),
            ("p0.jpg,1,2,30,40,cat\n,1,2,3,4,cat\n", "line 2: has no image"),
            ("../p0.jpg,1,2,30,40,cat\n", "line 1: '../p0.jpg' leads out of the data set"),
            ('"p0.jpg,1,2,30,40,cat\n', "cannot be read as a table"),
        ],
    )
    def test_faults_name_file_and_line(self, tmp_path, text, message):
        table_without_header(tmp_path)
        write_text(tmp_path / "objects.csv", text)
        with pytest.raises(InputError, match=f"objects.csv.*{message}"):
            load(tmp_path)

    def test_a_row_of_an_image_alone(self, tmp_path):
        table_without_header(tmp_path)
        write_text(tmp_path / "objects.csv", "p0.jpg,,,,,\np1.jpg,1,2,3,4,cat\n")
        assert [len(record.labels) for record in load(tmp_path).images] == [0, 1]


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
