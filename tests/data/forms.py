"""Writes small data sets in other forms than VOC's: two images, p0 and p1 of 80 x 60 pixels."""

import json

from tests.data.voc_files import photograph

# class name, (x1, y1, x2, y2) in continuous pixels
OBJECTS = {
    "p0": [("cat", (10.0, 20.0, 30.0, 40.0)), ("dog", (0.0, 0.0, 80.0, 60.0))],
    "p1": [("dog", (1.5, 2.25, 70.0, 50.0))],
}
CLASSES = ("dog", "cat")  # not sorted: the files number them


def image(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    photograph(seed=seed).save(path)


def coco(names, prefix="", **more):
    """COCO's JSON of some of the images."""
    images, annotations = [], []
    for i, name in enumerate(names):
        images.append({"id": 7 + i, "file_name": f"{prefix}{name}.jpg", "width": 80, "height": 60})
        for class_name, (x1, y1, x2, y2) in OBJECTS[name]:
            annotations.append(
                {
                    "id": 100 + len(annotations),
                    "image_id": 7 + i,
                    "category_id": {"dog": 3, "cat": 18}[class_name],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "iscrowd": 0,
                }
            )
    categories = [
        {"id": 18, "name": "cat", "supercategory": "animal"},
        {"id": 3, "name": "dog", "supercategory": "animal"},
    ]
    return {"images": images, "annotations": annotations, "categories": categories, **more}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def yolo_rows(name):
    rows = []
    for class_name, (x1, y1, x2, y2) in OBJECTS[name]:
        x, y = (x1 + x2) / 2 / 80, (y1 + y2) / 2 / 60
        rows.append(
            f"{CLASSES.index(class_name)} {x!r} {y!r} {(x2 - x1) / 80!r} {(y2 - y1) / 60!r}\n"
        )
    return "".join(rows)


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def one_coco_file(root):
    for i, name in enumerate(OBJECTS):
        image(root / "pictures" / f"{name}.jpg", i)
    write_json(root / "labels.json", coco(OBJECTS, "pictures/"))
    write_json(root / "other.json", {"version": "5.0", "shapes": [], "imagePath": "p0.jpg"})


def coco_of_a_year(root):
    for i, (split, name) in enumerate((("train2017", "p0"), ("val2017", "p1"))):
        image(root / split / f"{name}.jpg", i)
        write_json(root / "annotations" / f"instances_{split}.json", coco([name]))
        write_json(root / "annotations" / f"captions_{split}.json", {"images": []})


def yolo(root):
    for i, (split, name) in enumerate((("train", "p0"), ("val", "p1"))):
        image(root / "images" / split / f"{name}.jpg", i)
        write_text(root / "labels" / split / f"{name}.txt", yolo_rows(name))
    write_text(
        root / "data.yaml",
        "path: /nowhere/else\ntrain: images/train\nval: images/val\ntest:\n"
        "names:\n  0: dog\n  1: cat\n",
    )


def table_without_header(root):
    rows = []
    for i, (name, objects) in enumerate(OBJECTS.items()):
        image(root / f"{name}.jpg", i)
        rows += [f"{name}.jpg,{','.join(map(str, box))},{c}\n" for c, box in objects]
    write_text(root / "objects.csv", "".join(rows))
