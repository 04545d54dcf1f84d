"""Kinds of errors and their gains: against loops over the definition, and worked by hand."""

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.error_gains import error_gains
from keras_frcnn.evaluation.errors import IGNORED, KINDS, RIGHT, find_errors
from keras_frcnn.evaluation.voc import evaluate
from tests.evaluation.test_coco import NOTHING, random_case, record


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)


def by_definition(found, truth, threshold=0.5, background=0.1):
    """Kinds and missed objects of one image, in loops: an independent reading of the paper."""
    boxes = truth.boxes.astype(float).tolist()
    taken, usable, kinds = {}, set(), [None] * len(found)
    for d in sorted(range(len(found)), key=lambda d: (-found.scores[d], d)):
        same = [
            (iou(found.boxes[d].astype(float), b), -o)
            for o, b in enumerate(boxes)
            if truth.labels[o] == found.classes[d]
        ]
        best, o = max(same, default=(0, 0))
        if best > threshold and truth.is_difficult[-o]:
            kinds[d] = "ignored"
        elif best > threshold and -o not in taken:
            taken[-o], kinds[d] = d, "right"
    for d in range(len(found)):
        if kinds[d]:
            continue
        pairs = [
            (iou(found.boxes[d].astype(float), b), o)
            for o, b in enumerate(boxes)
            if not truth.is_difficult[o]
        ]
        own = [(x, o) for x, o in pairs if truth.labels[o] == found.classes[d]]
        other = [(x, o) for x, o in pairs if truth.labels[o] != found.classes[d]]
        best_own, best_other = max(own, default=(-1, 0)), max(other, default=(-1, 0))
        if background <= best_own[0] <= threshold:
            kinds[d] = "localisation"
            usable.add(best_own[1])
        elif best_other[0] > threshold:
            kinds[d] = "class"
            usable.add(best_other[1])
        elif best_own[0] > threshold:
            kinds[d] = "duplicate"
        elif max(pairs, default=(0, 0))[0] <= background:
            kinds[d] = "background"
        else:
            kinds[d] = "both"
    missed = [
        not truth.is_difficult[o] and o not in taken and o not in usable for o in range(len(boxes))
    ]
    return kinds, missed


@pytest.mark.parametrize("seed", range(6))
def test_kinds_follow_the_definition(seed):
    dataset, detections = random_case(seed, images=12)
    errors = find_errors(detections, ImageSet(dataset))
    names = [*KINDS, "ignored", "right"]  # the last two are places -2 and -1
    seen = set()
    for i, truth in enumerate(dataset.images):
        kinds, missed = by_definition(detections[i], truth)
        assert [names[k] for k in errors.kinds[i]] == kinds
        assert errors.is_missed[i].tolist() == missed
        seen |= set(kinds) | ({"missed"} if any(missed) else set())
    assert seen >= {"right", "ignored", "localisation", "duplicate", "background"}
    counts = errors.counts()
    by_class = errors.class_counts(detections, dataset)
    assert all(by_class[kind].sum() == counts[kind] for kind in KINDS)


A, B, C = [0, 0, 40, 40], [100, 100, 140, 140], [200, 200, 240, 240]


def hand_worked():
    """One detection of each kind, and one object that is missed."""
    image = record("a.jpg", [A, B, C, [300, 0, 340, 40]], [1, 2, 1, 1])
    found = [
        (A, 0.9, 1),  # right
        ([0, 0, 40, 38], 0.8, 1),  # again
        (B, 0.7, 1),  # of the other class
        ([200, 200, 240, 220], 0.6, 1),  # IoU 0.5: not above it
        ([200, 200, 220, 220], 0.5, 2),  # IoU 0.25 with the other class
        ([350, 350, 390, 390], 0.4, 2),  # on nothing
    ]
    boxes, scores, classes = zip(*found, strict=True)
    return Dataset("d", ("one", "two"), (image,)), [Detections(boxes, scores, classes)]


def test_one_of_each_kind():
    dataset, detections = hand_worked()
    errors = find_errors(detections, ImageSet(dataset, [np.float32([A, B, C])]))
    (kinds,) = errors.kinds
    names = [KINDS[k] if k >= 0 else k for k in kinds]
    assert names == [RIGHT, "duplicate", "class", "localisation", "both", "background"]
    assert errors.objects[0].tolist() == [0, 0, 1, 2, 2, -1]
    np.testing.assert_allclose(errors.overlaps[0], [1, 0.95, 1, 0.5, 0.25, 0])
    assert errors.is_missed[0].tolist() == [False, False, False, True]
    assert errors.is_unreached[0].tolist() == [False, False, False, True]
    assert errors.counts() == dict.fromkeys(KINDS, 1)
    near = find_errors(detections, ImageSet(dataset, [np.float32([[300, 0, 340, 39]])]))
    assert not near.is_unreached[0].any()
    assert find_errors(detections, ImageSet(dataset)).is_unreached is None


def replaced(detections, rows):
    (found,) = detections
    kept = [i for i in range(len(found)) if rows.get(i, ()) is not None]
    boxes, classes = found.boxes.copy(), found.classes.copy()
    for i, row in rows.items():
        if row is not None:
            boxes[i], classes[i] = row
    return [Detections(boxes[kept], found.scores[kept], classes[kept])]


@pytest.mark.parametrize("metric", ["area", "11point"])
def test_gains_are_those_of_mended_detections(metric):
    """The same detections, mended as a user would, and evaluated as always."""
    dataset, detections = hand_worked()
    gains = error_gains(
        find_errors(detections, ImageSet(dataset)), detections, dataset, metric=metric
    )
    base = evaluate(detections, dataset, metric).mean_ap
    assert gains.mean_ap == pytest.approx(base)
    mended = {
        "duplicate": {1: None},
        "class": {2: (B, 2)},
        "localisation": {3: (C, 1)},
        "both": {4: None},
        "background": {5: None},
    }
    for kind, rows in mended.items():
        better = evaluate(replaced(detections, rows), dataset, metric)
        assert gains.mean[kind] == pytest.approx(better.mean_ap - base), kind
    image = dataset.images[0]
    fewer = Dataset("d", dataset.class_names, (record("a", image.boxes[:3], image.labels[:3]),))
    better = evaluate(detections, fewer, metric).mean_ap - base
    assert gains.mean["missed"] == pytest.approx(better) and better > 0
    assert gains.mean["class"] > 0.4 and gains.mean["localisation"] > 0


def test_of_two_that_would_find_an_object_the_better_counts():
    dataset = Dataset("d", ("one", "two"), (record("a", [A], [2]),))
    found = Detections([A, A, [0, 0, 40, 36]], [0.9, 0.8, 0.7], [1, 1, 1])
    gains = error_gains(find_errors([found], ImageSet(dataset)), [found], dataset)
    assert gains.mean["class"] == 1 and gains.mean_ap == 0
    assert np.isnan(gains.ap[0]) and np.isnan(gains.classes["class"][0])


def test_a_mended_detection_of_a_found_object_goes():
    """As if it were a duplicate: it neither finds the object again nor stays wrong."""
    dataset = Dataset("d", ("one", "two"), (record("a", [A, B], [2, 1]),))
    found = Detections([A, A, B], [0.9, 0.8, 0.7], [1, 2, 1])
    gains = error_gains(find_errors([found], ImageSet(dataset)), [found], dataset)
    assert gains.ap.tolist() == [0.5, 1]
    assert gains.classes["class"].tolist() == [0.5, 0]


def test_difficult_objects_explain_nothing():
    dataset = Dataset("d", ("one", "two"), (record("a", [A, B], [1, 1], [True, False]),))
    found = Detections([A, A, [0, 0, 40, 20]], [0.9, 0.8, 0.7], [1, 2, 1])
    errors = find_errors([found], ImageSet(dataset))
    background = KINDS.index("background")
    assert errors.kinds[0].tolist() == [IGNORED, background, background]
    assert errors.is_missed[0].tolist() == [False, True]


def test_nothing_found_nothing_there():
    dataset = Dataset("d", ("one",), (record("a", [A], [1]), record("b")))
    detections = [NOTHING, Detections([A], [0.5], [1])]
    errors = find_errors(detections, ImageSet(dataset))
    assert errors.counts() == dict.fromkeys(KINDS, 0) | {"background": 1, "missed": 1}
    gains = error_gains(errors, detections, dataset)
    assert gains.mean_ap == 0 and set(gains.mean.values()) == {0}
    empty = Dataset("d", ("one",), ())
    errors = find_errors([], ImageSet(empty))
    assert errors.kinds == [] and np.isnan(error_gains(errors, [], empty).mean_ap)


def test_what_does_not_fit_is_refused():
    dataset, detections = hand_worked()
    with pytest.raises(InputError, match="detections of 0 images"):
        find_errors([], ImageSet(dataset))
    for thresholds in ((0.1, 0.5), (1.0, 0.1), (0.5, 0.0)):
        with pytest.raises(InputError, match="background_iou"):
            find_errors(detections, ImageSet(dataset), *thresholds)
