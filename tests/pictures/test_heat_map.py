"""Heat maps: where the values lie on the photograph, and what is left of it."""

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.pictures.heat_map import draw_heat_map

CELL = np.float32([10, 20])


def blank(height, width, value=128):
    return np.full((height, width, 3), value, np.uint8)


def drawn(image, values, cell=CELL, caption="objectness"):
    return np.asarray(draw_heat_map(image, np.float32(values), cell, caption)).astype(int)


def greenness(picture):
    """Viridis goes from purple to yellow: more green, less blue."""
    return picture[..., 1] - picture[..., 2]


def test_a_cell_is_where_it_belongs():
    values = np.zeros((20, 20))
    values[3, 6] = 1
    picture = greenness(drawn(blank(200, 400), values))[:170]  # above the legend
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert abs(row - 35) <= 1 and abs(column - 130) <= 1
    # No more than a cell away from its own.
    far = np.ones((170, 400), bool)
    far[20:50, 100:160] = False
    assert np.ptp(picture[far]) == 0


def test_values_are_interpolated_and_go_on_beyond_the_outer_centres():
    values = np.tile(np.linspace(0, 1, 20), (20, 1))
    picture = greenness(drawn(blank(207, 409), values))[:100]  # with a part of a cell at the border
    line = picture.mean(axis=0)
    assert np.ptp(line[390:]) < 1 and np.ptp(line[:10]) < 1
    upper = np.diff(line[210:])  # beyond the outline; for low values it is no measure
    assert (upper > -3).all() and line[395] > line[210] + 50
    # A cell's value is that at its centre, wherever it came from.
    for place in (3, 8, 15):
        flat = greenness(drawn(blank(207, 409), np.full((20, 20), place / 19)))[50, 50]
        assert line[20 * place + 10] == pytest.approx(flat, abs=3)


def test_a_line_runs_round_what_is_half_or_more():
    values = np.zeros((20, 20))
    values[5:10, 5:15] = 1
    picture = drawn(blank(200, 400), values)
    white = (picture == 255).all(axis=2)
    white[170:] = False
    rows, columns = np.nonzero(white)
    # Half way between the centres of cells inside and outside.
    assert (rows.min(), rows.max()) == (50, 100) and (columns.min(), columns.max()) == (100, 300)
    assert not white[55:95, 110:290].any()
    assert not (drawn(blank(200, 400), 0.49 * np.ones((20, 20)))[:170] == 255).all(axis=2).any()


def test_the_photograph_shines_through_and_stays_as_it_was():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (200, 400, 3), np.uint8)
    before = image.copy()
    grey = np.asarray(Image.fromarray(image).convert("L"), float)[:150]
    for value in (0.0, 1.0):
        picture = drawn(image, np.full((20, 20), value))[:150].sum(axis=2)
        assert np.corrcoef(picture.ravel(), grey.ravel())[0, 1] > 0.95
    assert (image == before).all()


@pytest.mark.parametrize("value", [0, 255])
def test_the_legend_is_readable_on_any_ground(value):
    picture = drawn(blank(200, 400, value), np.zeros((20, 20)), caption="objectness")
    legend = picture[-12:, :150]
    assert (legend == 255).all(axis=2).mean() > 0.2 and (legend.sum(axis=2) < 100).sum() > 30
    np.testing.assert_array_equal(
        picture[-14:, :150], drawn(blank(200, 400), np.zeros((20, 20)))[-14:, :150]
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (9, 9), (40, 160), (3000, 400)])
def test_every_picture_of_every_size(size):
    image = blank(*size)
    for shape in ((1, 1), (3, 2)):
        picture = draw_heat_map(image, np.ones(shape), np.float32([16, 16]), "猫 žluťoučký" * 9)
        assert picture.size == (size[1], size[0]) and picture.mode == "RGB"
