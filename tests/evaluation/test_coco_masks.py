"""Mask AP against pycocotools on files, written and read as anybody would."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_frcnn import run_length
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.load import load
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.paste import paste
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.coco import STATISTICS, evaluate_coco, filled_boxes, format_coco
from keras_frcnn.evaluation.coco_results import read_coco_results, write_coco_results
from keras_frcnn.evaluation.results import read_detections, write_detections
from keras_frcnn.models.mask_targets import cut_masks
from tests.shared_data import shared_data

SIZE = 40, 50


def blob(seed):
    """A bitmap of some size, anywhere."""
    rng = np.random.default_rng(seed)
    cx, cy, rx, ry = rng.uniform([5, 5, 2, 2], [45, 35, 20, 18])
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1


def counts(seed):
    return run_length.from_bitmap(blob(seed))


def made(objects=6, images=4):
    """A data set and detections near its objects."""
    records, detections = [], []
    for i in range(images):
        rng = np.random.default_rng(i)
        seeds = [i * 100 + j for j in range(objects)]
        masks = tuple(map(counts, seeds))
        boxes = np.float32([run_length.box_of(m, *SIZE) for m in masks])
        records.append(
            ImageRecord(
                *(f"{i}.png", f"{i}.png", *SIZE),
                boxes=boxes,
                labels=rng.integers(1, 3, objects).astype(np.int32),
                is_difficult=np.arange(objects) == 1,
                masks=masks,
            )
        )
        shifted = [np.roll(blob(s), rng.integers(-3, 4, 2), (0, 1)) for s in seeds[:-1]]
        found = tuple(map(run_length.from_bitmap, [*shifted, blob(i + 999)]))
        boxes = np.float32([run_length.box_of(m, *SIZE) for m in found])
        order = np.argsort(-(scores := rng.random(objects).astype(np.float32)))
        detections.append(
            Detections(
                *(boxes[order], scores[order], records[-1].labels[order], ("one", "two")),
                tuple(found[j] for j in order),
                SIZE,
            )
        )
    return Dataset("blobs", ("one", "two"), tuple(records)), detections


def by_pycocotools(dataset, detections, folder, kind="segm", strip=True):
    """AP and so on of files of the usual form."""
    truth = {
        "images": [{"id": i + 1, "height": SIZE[0], "width": SIZE[1]} for i in range(4)],
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": [],
    }
    for i, r in enumerate(dataset.images, 1):
        for mask, label, crowd in zip(r.masks, r.labels, r.is_difficult, strict=True):
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": i,
                    "category_id": int(label),
                    "iscrowd": int(crowd),
                    "area": run_length.area(mask, *SIZE),
                    "segmentation": {"size": list(SIZE), "counts": mask.decode()},
                }
            )
    (folder / "truth.json").write_text(json.dumps(truth))
    write_coco_results(folder / "found.json", detections, dataset)
    entries = json.loads((folder / "found.json").read_text())
    if strip:
        for entry in entries:
            del entry["bbox"]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(coco, coco.loadRes(entries), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_the_numbers_are_pycocotools_(tmp_path):
    dataset, detections = made()
    ours = evaluate_coco(detections, dataset, of_masks=True)
    theirs = by_pycocotools(dataset, detections, tmp_path)
    assert 0.05 < ours.mean_ap < 0.95
    for name, value in zip(STATISTICS, theirs, strict=True):
        expected = np.nan if value < 0 else value
        np.testing.assert_allclose(ours.statistics[name], expected, atol=1e-12, err_msg=name)


def test_perfect_masks_and_none():
    dataset, _ = made()
    perfect = [
        Detections(r.boxes, np.ones(len(r.labels)), r.labels, masks=r.masks, image_size=SIZE)
        for r in dataset.images
    ]
    assert evaluate_coco(perfect, dataset, of_masks=True).mean_ap == 1
    nothing = [Detections([], [], [], masks=(), image_size=SIZE) for _ in dataset.images]
    assert evaluate_coco(nothing, dataset, of_masks=True).mean_ap == 0


def test_an_object_without_mask_is_neither_found_nor_missed():
    dataset, _ = made(objects=3, images=1)
    record = dataset.images[0]
    bare = ImageRecord(
        *("0.png", "0.png", *SIZE),
        boxes=record.boxes,
        labels=np.int32([1, 1, 1]),
        is_difficult=np.zeros(3, bool),
        masks=(record.masks[0], None, record.masks[2]),
    )
    found = Detections(
        record.boxes[[0, 2]], [1, 1], [1, 1], masks=record.masks[::2], image_size=SIZE
    )
    assert evaluate_coco([found], Dataset("d", ("one",), (bare,)), of_masks=True).mean_ap == 1


def test_more_than_a_hundred_objects():
    # 120 objects that do not touch: with the first 100 alone the recall would be 0.83.
    boxes = np.float32([(x, y, x + 3, y + 3) for x in range(0, 48, 4) for y in range(0, 40, 4)])
    masks = tuple(run_length.from_box(b, *SIZE) for b in boxes)
    labels = np.ones(len(boxes), np.int32)
    record = ImageRecord(
        *("a.png", "a.png", *SIZE),
        boxes=boxes,
        labels=labels,
        is_difficult=np.zeros(len(boxes), bool),
        masks=masks,
    )
    found = Detections(boxes, np.linspace(1, 0.5, len(boxes)), labels, (), masks, SIZE)
    for of_masks in (False, True):
        result = evaluate_coco([found], Dataset("cells", ("cell",), (record,)), of_masks)
        assert result.mean_ap == 1 and result.statistics["AR_100"] == 1 and result.most == 1000
    assert "AR_1000 1.0000 (recall of 1, 10, 1000 detections" in format_coco(result)


def test_filled_boxes_are_worse_than_masks():
    dataset, _ = made()
    perfect = [Detections(r.boxes, np.ones(len(r.labels)), r.labels) for r in dataset.images]
    filled = filled_boxes(perfect, dataset)
    box = run_length.to_bitmap(filled[0].masks[0], *SIZE)
    x1, y1, x2, y2 = perfect[0].boxes[0].astype(int)  # of bitmaps: whole pixels
    assert box.sum() == box[y1:y2, x1:x2].sum() == (x2 - x1) * (y2 - y1)
    assert evaluate_coco(filled, dataset, of_masks=True).mean_ap < 0.9


@pytest.mark.parametrize(
    "read, write", [(read_coco_results, write_coco_results), (read_detections, write_detections)]
)
def test_masks_in_result_files_come_back(tmp_path, read, write):
    dataset, detections = made()
    write(tmp_path / "found.json", detections, dataset)
    for found, expected in zip(read(tmp_path / "found.json", dataset), detections, strict=True):
        assert found.masks == expected.masks and found.image_size == SIZE
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_masks_that_cannot_be_are_refused(tmp_path):
    dataset, detections = made(images=1)
    write_coco_results(tmp_path / "found.json", detections, dataset)
    good = json.loads((tmp_path / "found.json").read_text())
    for change, said in [
        ({"size": [50, 40]}, "entry 2: its mask has 40 x 50 pixels, the image 50 x 40"),
        ({"counts": "0"}, "entry 2: its mask is broken"),
        (None, "0.png: some of its detections have masks, others none"),
    ]:
        bad = json.loads(json.dumps(good))
        if change is None:
            del bad[2]["segmentation"]
        else:
            bad[2]["segmentation"] |= change
        (tmp_path / "bad.json").write_text(json.dumps(bad))
        with pytest.raises(InputError, match=said):
            read_coco_results(tmp_path / "bad.json", dataset)
    bare = [Detections(d.boxes, d.scores, d.classes) for d in detections]
    with pytest.raises(InputError, match=r"detections in 0\.png: have no masks"):
        evaluate_coco(bare, dataset, of_masks=True)


def test_true_boxes_with_masks_of_28_cells():
    """The bound of the specification: COCO's mask AP 0.956 on its photographs."""
    dataset = load(shared_data("coco128"), "val")
    found = []
    for r in dataset.images:
        masks = []
        for box, mask in zip(r.boxes, r.masks, strict=True):
            bitmap = run_length.to_bitmap(mask, r.height, r.width)
            cut = cut_masks(bitmap[None], box[None], 28).numpy()[0]
            masks.append(run_length.from_bitmap(paste(cut, box, r.height, r.width)))
        of_image = r.boxes, np.ones(len(r.labels)), r.labels
        found.append(Detections(*of_image, (), tuple(masks), (r.height, r.width)))
    assert evaluate_coco(found, dataset, of_masks=True).mean_ap >= 0.950
    filled = evaluate_coco(filled_boxes(found, dataset), dataset, of_masks=True)
    assert abs(filled.mean_ap - 0.263) < 0.01  # the specification's own measurement
