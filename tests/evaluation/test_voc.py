from fractions import Fraction

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.voc import evaluate, format_table
from keras_frcnn.evaluation.voc_results import write_voc_results

NOTHING = Detections([], [], [])


def record(name, boxes=(), labels=(), difficult=None):
    labels = np.asarray(labels, np.int32)
    difficult = np.zeros(len(labels)) if difficult is None else difficult
    return ImageRecord(
        f"{name}.jpg", f"{name}.jpg", 100, 100,
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        labels=labels,
        is_difficult=np.asarray(difficult, bool),
    )  # fmt: skip


def dataset(*records, class_names=("cat",)):
    return Dataset("d", class_names, records)


BOX, OTHER, FAR = [0, 0, 10, 10], [20, 0, 30, 10], [60, 60, 70, 70]


def test_hand_worked_curve():
    # Four objects. By score: right, wrong, right, right, wrong; one object is never found.
    data = dataset(record("a", [BOX, OTHER], [1, 1]), record("b", [BOX, OTHER], [1, 1]))
    found = [
        Detections([BOX, FAR, OTHER], [0.9, 0.8, 0.7], [1, 1, 1]),
        Detections([FAR, OTHER], [0.5, 0.6], [1, 1]),
    ]
    result = evaluate(found, data)
    np.testing.assert_allclose(result.precision[0], [1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    np.testing.assert_allclose(result.recall[0], [1 / 4, 1 / 4, 1 / 2, 3 / 4, 3 / 4])
    # Interpolated: 1 up to recall 1/4, 3/4 up to 3/4, then 0.
    assert result.ap[0] == pytest.approx(1 / 4 + 1 / 2 * 3 / 4)
    # Recall 0, .1, .2 at 1; .3 to .7 at 3/4; .8 to 1 at 0.
    assert evaluate(found, data, "11point").ap[0] == pytest.approx((3 * 1 + 5 * 3 / 4) / 11)
    assert result.positives.tolist() == [4]


def test_perfect_and_empty_detections():
    data = dataset(record("a", [BOX, OTHER], [1, 1]))
    for metric in ("area", "11point"):
        perfect = evaluate([Detections([OTHER, BOX], [0.1, 0.2], [1, 1])], data, metric)
        assert perfect.ap.tolist() == [1.0]
        assert perfect.mean_ap == 1.0
        assert evaluate([NOTHING], data, metric).ap.tolist() == [0.0]
        assert evaluate([Detections([FAR], [1], [1])], data, metric).ap.tolist() == [0.0]


def test_a_duplicate_is_a_false_positive_even_if_it_overlaps_more():
    near = [0, 0, 10, 9]
    result = evaluate(
        [Detections([near, BOX], [0.9, 0.8], [1, 1])], dataset(record("a", [BOX], [1]))
    )
    assert result.precision[0].tolist() == [1, 0.5]


def test_a_taken_object_is_not_replaced_by_the_second_best():
    # Both detections overlap the first object most; the second object, which the lower one also
    # overlaps by more than half, stays unfound.
    data = dataset(record("a", [[0, 0, 100, 10], [30, 0, 130, 10]], [1, 1]))
    found = Detections([[0, 0, 100, 10], [12, 0, 112, 10]], [0.9, 0.8], [1, 1])
    result = evaluate([found], data)
    assert result.precision[0].tolist() == [1, 0.5]
    assert result.recall[0].tolist() == [0.5, 0.5]


def test_difficult_objects_count_neither_way():
    data = dataset(record("a", [BOX, OTHER], [1, 1], [True, False]))
    found = Detections([BOX, BOX, FAR, OTHER], [0.9, 0.8, 0.7, 0.6], [1, 1, 1, 1])
    result = evaluate([found], data)
    assert result.positives.tolist() == [1]
    assert result.precision[0].tolist() == [0, 0.5]
    assert result.ap.tolist() == [0.5]


def test_a_difficult_object_that_is_overlapped_most_takes_the_detection():
    data = dataset(record("a", [[0, 0, 10, 10], [0, 0, 10, 12]], [1, 1], [True, False]))
    result = evaluate([Detections([BOX], [0.9], [1])], data)
    assert result.precision[0].tolist() == [] and result.ap.tolist() == [0.0]


def test_classes_are_kept_apart():
    data = dataset(record("a", [BOX, OTHER], [1, 2]), class_names=("cat", "dog"))
    result = evaluate([Detections([BOX, OTHER, OTHER], [0.9, 0.8, 0.7], [2, 2, 1])], data)
    np.testing.assert_allclose(result.ap, [0, 0.5])
    assert result.mean_ap == 0.25


def test_classes_without_objects_are_left_out_of_the_mean():
    data = dataset(
        record("a", [BOX, OTHER], [1, 3], [False, True]), class_names=("cat", "dog", "cow")
    )
    result = evaluate([Detections([BOX, FAR], [0.9, 0.8], [1, 2])], data)
    np.testing.assert_array_equal(result.ap, [1, np.nan, np.nan])
    assert result.mean_ap == 1
    assert result.positives.tolist() == [1, 0, 0]
    assert np.isnan(evaluate([NOTHING], dataset(record("a"))).mean_ap)


def test_the_overlap_must_be_above_the_threshold():
    # In devkit pixels the object is 10 x 10, the detections 10 x 20 (IoU 100/200) and 10 x 19.
    data = dataset(record("a", [[0, 0, 10, 10]], [1]))

    def ap(box, threshold=0.5):
        return evaluate([Detections([box], [1], [1])], data, iou_threshold=threshold).ap[0]

    assert ap([0, 0, 20, 10]) == 0
    assert ap([0, 0, 19, 10]) == 1
    assert ap([0, 0, 20, 10], 0.49) == 1
    assert ap([0, 0, 19, 10], 0.75) == 0
    assert ap([10, 0, 20, 10], 0.0) == 0  # touches, without a common pixel


def test_ties_keep_their_order():
    first, second = record("a", [BOX], [1]), record("b", [BOX], [1])
    right, wrong = Detections([BOX], [0.5], [1]), Detections([FAR], [0.5], [1])
    assert evaluate([right, wrong], dataset(first, second)).precision[0].tolist() == [1, 0.5]
    assert evaluate([wrong, right], dataset(first, second)).precision[0].tolist() == [0, 0.5]
    many = Detections([FAR] * 20 + [BOX], [0.5] * 21, [1] * 21)
    assert evaluate([many], dataset(first)).precision[0][-1] == pytest.approx(1 / 21)


@pytest.mark.parametrize("positives", [3, 7, 10, 30, 70])
def test_eleven_points_do_not_suffer_from_rounding(positives):
    # A recall of exactly 3/10 or 7/10 reaches the point 0.3 or 0.7.
    boxes = [[12 * i, 0, 12 * i + 10, 10] for i in range(positives)]
    for found in range(positives + 1):
        data = dataset(record("a", boxes, [1] * positives))
        detections = Detections(boxes[:found], np.linspace(1, 0.5, found), [1] * found)
        reached = sum(Fraction(found, positives) >= Fraction(i, 10) for i in range(11))
        expected = reached / 11 if found else 0
        assert evaluate([detections], data, "11point").ap[0] == pytest.approx(expected)


def pixels(xmin, ymin, xmax, ymax):
    return {(x, y) for x in range(xmin, xmax + 1) for y in range(ymin, ymax + 1)}


def brute_force(found, records, k, metric):
    """One class by the words of the devkit, with boxes as sets of pixels and exact fractions.

    Detections and records are lists of (box, score or difficult, class); boxes are 1-based and
    inclusive.
    """
    ranked = sorted(
        (-score, i, j, box)
        for i, of_image in enumerate(found)
        for j, (box, score, c) in enumerate(of_image)
        if c == k
    )
    positives = sum(c == k and not hard for objects in records for _, hard, c in objects)
    taken, tp, fp, curve = set(), 0, 0, []
    for _, i, _, box in ranked:
        best, best_iou = None, Fraction(0)
        for j, (gt, _, c) in enumerate(records[i]):
            if c == k:
                a, b = pixels(*box), pixels(*gt)
                iou = Fraction(len(a & b), len(a | b))
                if iou > best_iou:
                    best, best_iou = j, iou
        if best_iou > Fraction(1, 2):
            if records[i][best][1]:
                continue
            if (i, best) in taken:
                fp += 1
            else:
                taken.add((i, best))
                tp += 1
        else:
            fp += 1
        if positives:
            curve.append((Fraction(tp, positives), Fraction(tp, tp + fp)))
    if not positives:
        return None

    def interpolated(r):
        return max((p for recall, p in curve if recall >= r), default=Fraction(0))

    if metric == "11point":
        return sum(interpolated(Fraction(i, 10)) for i in range(11)) / 11
    # The interpolated curve is a step function that can only change at multiples of 1/positives.
    return sum(interpolated(Fraction(i, positives)) for i in range(1, positives + 1)) / positives


@pytest.mark.parametrize("metric", ["area", "11point"])
@pytest.mark.parametrize("seed", range(12))
def test_against_brute_force(metric, seed):
    rng = np.random.default_rng(seed)
    images, found, gt = 4, [], []

    def box():
        x, y = rng.integers(1, 12, 2)
        return (int(x), int(y), int(x + rng.integers(0, 8)), int(y + rng.integers(0, 8)))

    def near(b):
        x1, y1, x2, y2 = b
        dx, dy, ex, ey = rng.integers(-1, 2, 4)
        return (int(max(1, x1 + dx)), int(max(1, y1 + dy)), int(max(x2 + ex, x1 + dx, 1)),
                int(max(y2 + ey, y1 + dy, 1)))  # fmt: skip

    for _ in range(images):
        objects = [
            (box(), bool(rng.random() < 0.25), int(rng.integers(1, 4)))
            for _ in range(rng.integers(0, 6))
        ]
        gt.append(objects)
        guesses = [(near(b), c) for b, _, c in objects for _ in range(rng.integers(0, 4))]
        guesses += [(box(), int(rng.integers(1, 4))) for _ in range(4)]
        # Few different scores, so that ties are common.
        found.append([(b, float(rng.integers(1, 6)) / 8, c) for b, c in guesses])

    def continuous(b):
        return [b[0] - 1, b[1] - 1, b[2], b[3]]

    data = dataset(
        *(
            record(i, [continuous(b) for b, _, _ in o], [c for *_, c in o], [h for _, h, _ in o])
            for i, o in enumerate(gt)
        ),
        class_names=("a", "b", "c"),
    )
    detections = [
        Detections([continuous(b) for b, _, _ in f], [s for _, s, _ in f], [c for *_, c in f])
        for f in found
    ]
    result = evaluate(detections, data, metric)
    for k in (1, 2, 3):
        expected = brute_force(found, gt, k, metric)
        if expected is None:
            assert np.isnan(result.ap[k - 1])
        else:
            assert result.ap[k - 1] == pytest.approx(float(expected), abs=1e-12)


def test_adding_a_low_wrong_detection_never_raises_ap_and_scores_matter_by_order_alone():
    rng = np.random.default_rng(5)
    corners = rng.uniform(0, 60, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 30, (40, 2))], axis=1)
    data = dataset(record("a", boxes[::2], [1] * 20))
    scores = rng.uniform(0.1, 1, 40)
    for metric in ("area", "11point"):
        ap = evaluate([Detections(boxes, scores, [1] * 40)], data, metric).ap[0]
        squeezed = evaluate([Detections(boxes, scores**3, [1] * 40)], data, metric).ap[0]
        assert squeezed == ap
        more = Detections([*boxes, [90, 90, 95, 95]], [*scores, 0.01], [1] * 41)
        assert evaluate([more], data, metric).ap[0] == ap


def test_an_image_without_objects_and_a_data_set_without_images():
    data = dataset(record("a"), record("b", [BOX], [1]))
    found = [Detections([BOX], [0.9], [1]), Detections([BOX], [0.8], [1])]
    assert evaluate(found, data).ap.tolist() == [0.5]
    assert np.isnan(evaluate([], dataset()).ap).all()


@pytest.mark.parametrize(
    ("found", "what"),
    [
        ([], "0 images"),
        ([NOTHING, NOTHING], "2 images"),
        ([Detections([BOX], [0.5], [2])], r"a\.jpg.*classes outside 1\.\.1"),
        ([Detections([BOX], [0.5], [0])], r"a\.jpg.*classes outside"),
        ([Detections([BOX], [np.nan], [1])], r"a\.jpg.*not finite"),
        ([Detections([[0, 0, np.inf, 1]], [0.5], [1])], r"a\.jpg.*not finite"),
    ],
)
def test_detections_that_do_not_fit_are_refused(found, what, tmp_path):
    data = dataset(record("a", [BOX], [1]))
    with pytest.raises(InputError, match=what):
        evaluate(found, data)
    with pytest.raises(InputError, match=what):
        write_voc_results(tmp_path, found, data)


def test_other_metrics_and_thresholds_are_refused():
    with pytest.raises(InputError, match="12point"):
        evaluate([], dataset(), "12point")
    with pytest.raises(InputError, match="iou_threshold"):
        evaluate([], dataset(), iou_threshold=1.5)


def test_the_table():
    data = dataset(
        record("a", [BOX, OTHER, FAR], [1, 1, 3]), class_names=("cat", "dog", "potted plant")
    )
    result = evaluate([Detections([BOX], [1], [1])], data)
    assert format_table(result).splitlines() == [
        "class             AP  objects",
        "cat           0.5000        2",
        "dog                -        0",
        "potted plant  0.0000        1",
        "-----------------------------",
        "mAP           0.2500        3",
        "AP: area under the curve, IoU above 0.5, difficult objects left out",
        "1 of 3 classes has no objects; the mAP leaves it out",
    ]
