import functools
import itertools

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.detection.detections import Detections
from keras_frcnn.pictures.canvas import Canvas, class_colour
from keras_frcnn.pictures.draw import (
    contact_sheet,
    draw_anchors,
    draw_best_anchors,
    draw_detections,
    draw_ground_truth,
    draw_proposals,
    draw_sampled_anchors,
    draw_sampled_rois,
)

GROUND = (128, 128, 128)


def ground(height, width):
    return np.full((height, width, 3), GROUND, np.uint8)


def changed(picture):
    return (np.asarray(picture) != GROUND).any(axis=2)


def has(picture, colour):
    return (np.asarray(picture) == colour).all(axis=2)


def test_a_box_covers_the_pixels_at_its_edges():
    # 300 x 400: the line is two pixels wide, inside the box.
    picture = draw_detections(
        ground(300, 400), Detections([[100, 50.2, 300, 149.8]], [1], [1]), ["x"]
    )
    line = has(picture, class_colour(1))
    for row, column in ((50, 250), (149, 250), (51, 250), (148, 250), (100, 100), (100, 299)):
        assert line[row, column]
    for row, column in ((49, 250), (150, 250), (52, 250), (100, 99), (100, 300), (100, 200)):
        assert not line[row, column]
    assert not changed(picture)[70:130, 120:280].any()


def test_pictures_leave_the_input_alone_and_keep_its_size():
    image = ground(30, 50)
    picture = draw_detections(image, Detections([[3, 3, 20, 20]], [0.5], [1]), ["cat"])
    assert picture.size == (50, 30) and picture.mode == "RGB"
    assert (image == GROUND).all()
    assert not changed(draw_detections(image, Detections([], [], []), ["cat"])).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (9, 9), (40, 60), (3000, 4000)])
def test_every_picture_of_every_size(size):
    height, width = size
    image = ground(height, width)
    boxes = np.float32(
        [
            [0, 0, width, height],
            [width / 2, height / 2, width / 2, height / 2],
            [-50, -50, 2 * width, 2 * height],
            [width + 10, height + 10, width + 20, height + 20],
            [0.6 * width, 0.1 * height, 0.9 * width, 0.4 * height],
        ]
    )
    labels = np.int32([1, 2, 3, 0, -1])
    names = ["猫" * 30, "žluťoučký kůň", "line\nbreak\t\udc80 \x00"]
    record = ImageRecord(
        "a", "a", height, width, boxes=boxes[:3], labels=labels[:3],
        is_difficult=np.array([False, True, False]),
    )  # fmt: skip
    for picture in (
        draw_detections(image, Detections(boxes[:3], [0.9, 0.5, 0.1], [1, 2, 3]), names),
        draw_ground_truth(image, record, names),
        draw_sampled_rois(image, boxes, labels),
        draw_sampled_rois(image, boxes[:0], labels[:0]),
        draw_best_anchors(image, boxes[:3], boxes[2:], [0, 1, 2], np.float32([0.9, 0, 1])),
        draw_best_anchors(image, boxes[:0], boxes[:0], [], np.zeros(0)),
        draw_sampled_anchors(image, boxes, labels),
        draw_proposals(image, boxes),
    ):
        assert picture.size == (width, height)


def spied_labels(monkeypatch):
    """Where labels are put: (x, y, width, height, text)."""
    placed = []
    put = Canvas._put

    def spy(self, place, text, width, height, colour):
        placed.append((*place, width, height, text))
        put(self, place, text, width, height, colour)

    monkeypatch.setattr(Canvas, "_put", spy)
    return placed


def test_labels_stay_inside_the_image_and_hold_their_text(monkeypatch):
    placed = spied_labels(monkeypatch)
    boxes = [[0, 0, 30, 30], [380, 0, 400, 300], [390, 290, 400, 300], [0, 299, 1, 300]]
    found = Detections(boxes, [0.9, 0.8, 0.7, 0.6], [1, 1, 1, 1])
    picture = draw_detections(ground(300, 400), found, ["Qgj"])
    assert [text for *_, text in placed] == ["Qgj 0.90", "Qgj 0.80", "Qgj 0.70", "Qgj 0.60"]
    pixels = np.asarray(picture)
    for x, y, width, height, _ in placed:
        assert x >= 0 and y >= 0 and x + width <= 400 and y + height <= 300
        label = pixels[y : y + height, x : x + width]
        rim = np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]])
        assert (rim == class_colour(1)).all()  # the letters do not reach over the label
        assert (label.sum(axis=2) < 100).sum() > 20  # and there are some


def test_labels_do_not_cover_each_other_where_there_is_room(monkeypatch):
    placed = spied_labels(monkeypatch)
    found = Detections([[100, 100, 250, 200]] * 4, [0.9, 0.8, 0.7, 0.6], [1, 2, 3, 4])
    draw_detections(ground(300, 400), found, "abcd")
    for (x, y, w, h, _), (u, v, a, b, _) in itertools.combinations(placed, 2):
        assert x + w <= u or u + a <= x or y + h <= v or v + b <= y
    assert placed[0][4] == "a 0.90" and placed[0][1] < 100  # the best has its place above the box


def test_a_long_name_is_shortened_to_the_width_of_the_image(monkeypatch):
    placed = spied_labels(monkeypatch)
    draw_detections(ground(60, 80), Detections([[5, 30, 50, 50]], [0.9], [1]), ["platelets" * 9])
    (_, _, width, _, text) = placed[0]
    assert width <= 80 and text.startswith("platele") and text.endswith("...")


def test_difficult_objects_are_dashed():
    def line(difficult):
        record = ImageRecord(
            "a", "a", 300, 400, boxes=np.float32([[100, 50, 300, 150]]), labels=np.int32([2]),
            is_difficult=np.array([difficult]),
        )  # fmt: skip
        picture = draw_ground_truth(ground(300, 400), record, ["a", "b"])
        return has(picture, class_colour(2))[149, 100:300]

    assert line(False).all()
    assert 60 < line(True).sum() < 140


def test_sampled_rois_are_coloured_by_class_and_padding_is_not_drawn(monkeypatch):
    placed = spied_labels(monkeypatch)
    rois = np.float32([[20, 20, 60, 60], [100, 20, 140, 60], [200, 20, 240, 60]])
    picture = draw_sampled_rois(ground(300, 400), rois, np.int32([2, 0, -1]))
    assert has(picture, class_colour(2))[20, 20:60].all()
    assert has(picture, class_colour(0))[20, 100:140].all()
    assert not changed(picture)[:100, 150:].any()
    assert [text for *_, text in placed] == ["1 foreground, 1 background"]


def test_colours_of_classes_differ_and_are_never_grey():
    colours = [class_colour(k) for k in range(1, 81)]
    assert len(set(colours)) == 80
    for colour in colours:
        assert all(0 <= x <= 255 for x in colour) and max(colour) - min(colour) > 60
    for a, b in itertools.pairwise(colours):
        assert np.abs(np.subtract(a, b)).sum() > 100
    assert len(set(class_colour(0))) == 1


def test_contact_sheet():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9), (99, 0, 99)]
    sizes = [(200, 100), (100, 200), (50, 50), (1, 1), (4000, 3000)]
    images = [Image.new("RGB", s, c) for s, c in zip(sizes, colours, strict=True)]
    sheet = np.asarray(contact_sheet(images, 2, cell_size=100))
    expected = {
        (255, 0, 0): (100, 50), (0, 255, 0): (50, 100), (0, 0, 255): (50, 50),
        (9, 9, 9): (1, 1), (99, 0, 99): (100, 75),
    }  # fmt: skip
    corners = {}
    for colour, (width, height) in expected.items():
        rows, columns = np.nonzero((sheet == colour).all(axis=2))
        assert np.ptp(columns) + 1 == width and np.ptp(rows) + 1 == height
        corners[colour] = (columns.mean(), rows.mean())
    # Two a row, in reading order, centred in their cells.
    red, green, blue, dot, last = corners.values()
    near = functools.partial(pytest.approx, abs=0.5)  # half a pixel, where a side is odd
    assert blue[0] == near(red[0]) and last[0] == near(red[0]) and dot[0] == near(green[0])
    assert green[1] == near(red[1]) and dot[1] == near(blue[1])
    assert red[0] + 100 < green[0] and red[1] + 50 < blue[1] < last[1] - 50
    assert images[0].size == (200, 100)
    assert contact_sheet(images[:1], 5, 100).width < 110
    assert contact_sheet([], 3).size > (0, 0)


def test_anchors_beyond_the_image_are_dashed_on_a_margin():
    anchors = np.float32([[20, 10, 60, 50], [-30.5, 0, 100, 60], [0, -5, 80, 60]])
    picture = draw_anchors(ground(60, 80), anchors, [0, 1, 1], "scales")
    assert picture.size == (80 + 2 * 31, 60 + 2 * 5)  # as wide as it must be, on both sides
    inside, beyond = has(picture, class_colour(1)), has(picture, class_colour(2))
    x, y = 31, 5
    assert inside[y + 10, x + 20 : x + 60].all(), "whole"
    assert beyond[:, 0].any() and not beyond[:, 0].all(), "dashed, and at the edge of the margin"
    assert not has(draw_anchors(ground(60, 80), anchors[:1], [0], ""), (190, 190, 190)).any()


def test_best_anchors_and_their_objects():
    boxes, anchors = np.float32([[20, 20, 80, 80]]), np.float32([[24, 24, 76, 90]])
    picture = draw_best_anchors(ground(200, 200), boxes, anchors, [2], np.float32([0.7]))
    assert has(picture, (255, 255, 255))[50, 20] and has(picture, class_colour(3))[89, 50]


def test_sampled_anchors_are_boxes_of_objects_and_dots_of_background(monkeypatch):
    placed = spied_labels(monkeypatch)
    anchors = np.float32([[20, 20, 60, 60], [100, 20, 140, 60], [200, 20, 240, 60]])
    picture = draw_sampled_anchors(ground(300, 400), anchors, np.int32([1, 0, -1]))
    assert has(picture, class_colour(1))[20, 20:60].all()
    assert not changed(picture)[22:58, 22:58].any()
    dot = changed(picture)[:100, 90:150]
    rows, columns = np.nonzero(dot)
    assert abs(rows.mean() - 40) <= 1 and abs(columns.mean() - 30) <= 1 and np.ptp(rows) < 9
    assert not changed(picture)[:100, 150:].any()
    assert [text for *_, text in placed] == ["1 anchors of objects, 1 of background"]


def test_the_best_proposal_is_on_top_and_has_the_colour_of_the_first_class():
    boxes = np.float32([[20, 20, 60, 60], [40, 20, 80, 60], [20, 100, 60, 140]])
    picture = draw_proposals(ground(300, 400), boxes)
    assert has(picture, class_colour(1))[20, 20:60].all()
    assert has(picture, class_colour(0))[100, 20:60].all()  # the last is grey
    assert draw_proposals(ground(300, 400), boxes[:0]).size == (400, 300)
