"""What COCO, YOLO and tables may hold, and what of it is refused, naming file and entry."""

import json

import numpy as np
import pytest

from keras_frcnn.data import load
from keras_frcnn.errors import InputError
from tests.data.forms import (
    OBJECTS,
    coco,
    coco_of_a_year,
    one_coco_file,
    table_without_header,
    write_json,
    write_text,
    yolo,
)
from tests.shared_data import shared_data


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
