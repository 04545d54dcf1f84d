"""COCO's numbers: against pycocotools on files, and worked by hand."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.coco import STATISTICS, evaluate_coco, format_coco
from keras_frcnn.evaluation.coco_results import write_coco_results

NOTHING = Detections([], [], [])


def record(name, boxes=(), labels=(), difficult=None, **more):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    difficult = np.zeros(len(boxes), bool) if difficult is None else np.array(difficult)
    labels = np.array(labels, np.int32)
    return ImageRecord(name, name, 400, 400, 1, boxes, labels, difficult, **more)


def random_boxes(rng, count):
    corners = rng.uniform(0, 250, (count, 2))
    sides = np.exp(rng.uniform(np.log(8), np.log(200), (count, 2)))
    return np.concatenate([corners, np.minimum(corners + sides, 400)], 1).astype(np.float32)


def random_case(seed, images=6, classes=3, most=8):
    """Objects, and detections near some of them and elsewhere."""
    rng = np.random.default_rng(seed)
    records, detections = [], []
    for i in range(images):
        boxes = random_boxes(rng, rng.integers(0, most))
        labels = rng.integers(1, classes, len(boxes))  # the last class has no objects
        difficult = rng.random(len(boxes)) < 0.3
        records.append(record(f"{i}.jpg", boxes, labels, difficult))
        near = np.concatenate([boxes, boxes]) + rng.normal(0, 4, (2 * len(boxes), 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        far = random_boxes(rng, rng.integers(0, 5))
        found = np.concatenate([near, far]).astype(np.float32)
        k = np.concatenate([labels, labels, rng.integers(1, classes + 1, len(far))])
        scores = np.round(rng.random(len(found)), 1)  # with ties
        order = np.argsort(-scores, kind="stable")
        detections.append(Detections(found[order], scores[order], k[order]))
    names = tuple("abcdefgh"[:classes])
    return Dataset("d", names, tuple(records)), detections


def by_files(dataset, detections, folder):
    """What pycocotools says of the files that anybody would write."""
    annotations = [
        {"image_id": i, "category_id": int(k), "iscrowd": int(difficult),
         "bbox": [*map(float, box[:2]), *map(float, box[2:] - box[:2])],
         "area": float(np.prod(box[2:] - box[:2], dtype=np.float64))}
        for i, r in enumerate(dataset.images, start=1)
        for box, k, difficult in zip(r.boxes.astype(float), r.labels, r.is_difficult, strict=True)
    ]  # fmt: skip
    truth = {
        "images": [{"id": i + 1} for i in range(len(dataset.images))],
        "categories": [{"id": k + 1} for k in range(len(dataset.class_names))],
        "annotations": [{**a, "id": i} for i, a in enumerate(annotations, start=1)],
    }
    (folder / "truth.json").write_text(json.dumps(truth))
    write_coco_results(folder / "found.json", detections, dataset)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(coco, coco.loadRes(str(folder / "found.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools_on_files(seed, tmp_path):
    dataset, detections = random_case(seed)
    result = evaluate_coco(detections, dataset)
    evaluation = by_files(dataset, detections, tmp_path)
    expected = np.where(evaluation.stats < 0, np.nan, evaluation.stats)
    np.testing.assert_array_equal(list(result.statistics.values()), expected)
    assert 0.1 < result.mean_ap < 0.95
    for k in range(2):
        alone = evaluation.eval["precision"][:, :, k, 0, 2]
        assert result.class_ap[k] == pytest.approx(alone.mean(), abs=1e-12)
        assert result.class_ap50[k] == pytest.approx(alone[0].mean(), abs=1e-12)
    assert np.isnan(result.class_ap[2]) and np.isnan(result.class_ap50[2])


def test_more_than_100_detections_of_an_image(tmp_path):
    """The 101st does not count; of a class and image, not of an image."""
    box, other = [10, 10, 60, 60], [100, 100, 200, 200]
    data = Dataset("d", ("a", "b"), (record("a", [box, other], [1, 2]),))
    wrong = [[200, 200, 220, 220]] * 100
    found = Detections([*wrong, box, other], [*np.linspace(1, 0.5, 100), 0.4, 0.3], [1] * 101 + [2])
    result = evaluate_coco([found], data)
    np.testing.assert_allclose(result.class_ap, [0, 1])
    expected = by_files(data, [found], tmp_path).stats
    expected = np.where(expected < 0, np.nan, expected)
    np.testing.assert_array_equal(list(result.statistics.values()), expected)


def test_worked_by_hand():
    """IoU 0.8 with one object of two: right at seven thresholds, at recall 1/2 and below."""
    data = Dataset("d", ("a",), (record("a", [[0, 0, 100, 100], [200, 200, 230, 230]], [1, 1]),))
    result = evaluate_coco([Detections([[0, 0, 80, 100]], [0.9], [1])], data)
    at_50 = 51 / 101  # of the recalls 0, 0.01, ... 1
    assert result.statistics["AP50"] == pytest.approx(at_50)
    assert result.statistics["AP75"] == pytest.approx(at_50)
    assert result.mean_ap == pytest.approx(0.7 * at_50)  # IoU 0.8 itself is right
    assert result.statistics["AR_100"] == pytest.approx(0.7 * 0.5)
    assert result.statistics["AP_small"] == 0
    assert result.statistics["AP_large"] == pytest.approx(0.7)
    assert np.isnan(result.statistics["AP_medium"])


def test_a_difficult_object_is_neither_missed_nor_found():
    boxes = [[0, 0, 100, 100], [200, 200, 300, 300]]
    data = Dataset("d", ("a",), (record("a", boxes, [1, 1], [False, True]),))
    found = Detections([boxes[1], boxes[0]], [0.9, 0.8], [1, 1])
    assert evaluate_coco([found], data).mean_ap == pytest.approx(1)
    alone = Dataset("d", ("a",), (record("a", boxes[1:], [1], [True]),))
    assert np.isnan(evaluate_coco([NOTHING], alone).mean_ap)


def test_nothing_found_and_no_images():
    data = Dataset("d", ("a",), (record("a", [[0, 0, 9, 9]], [1]), record("b")))
    assert evaluate_coco([NOTHING, NOTHING], data).mean_ap == 0
    empty = evaluate_coco([], Dataset("d", ("a",), ()))
    assert np.isnan(list(empty.statistics.values())).all()
    with pytest.raises(InputError, match="detections of 0 images"):
        evaluate_coco([], data)


def test_the_lines(capsys):
    dataset, detections = random_case(0)
    result = evaluate_coco(detections, dataset)
    assert not capsys.readouterr().out
    text = format_coco(result)
    assert f"AP {result.mean_ap:.4f}" in text and all(f"{name} " in text for name in STATISTICS[:9])
