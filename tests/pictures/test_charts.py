"""Charts, against the numbers they stand for."""

import numpy as np
import pytest

from keras_frcnn.pictures.charts import _COLORS, bar_chart, line_chart


def where(image, color):
    """Rows and columns of the pixels of a colour."""
    return np.nonzero(np.abs(np.asarray(image).astype(int) - color).sum(axis=2) < 12)


def test_bars_are_as_long_as_their_values():
    values = {"one": 0.1, "two": 0.4, "none": float("nan"), "four": 0.25}
    rows, columns = where(bar_chart("title", "mAP", values), _COLORS[0])
    assert rows.max() - rows.min() > 3 * 30
    lengths = {int(r): np.ptp(columns[rows == r]) for r in set(rows.tolist())}
    first, *others = np.split(sorted(lengths), np.flatnonzero(np.diff(sorted(lengths)) > 3) + 1)
    found = [lengths[int(np.median(group))] for group in (first, *others)]
    assert len(found) == 3  # NaN has no bar
    assert found / found[1] == pytest.approx(np.array([0.25, 1, 0.625]), abs=0.02)


def test_points_are_where_their_values_are():
    image = line_chart("title", "x", [0, 50, 100], {"a": [0.0, 1.0, 0.5]})
    assert image.size == (720, 400)
    rows, columns = where(image, _COLORS[0])
    drawn = rows > 58  # below the legend
    rows, columns = rows[drawn], columns[drawn]
    left, right = columns.min() + 4, columns.max() - 4
    top, bottom = rows.min() + 4, rows.max() - 4
    assert np.mean(columns[rows == rows.min()]) == pytest.approx((left + right) / 2, abs=2)
    assert np.mean(columns[rows == rows.max()]) == pytest.approx(left, abs=2)
    assert np.mean(rows[columns == columns.max()]) == pytest.approx((top + bottom) / 2, abs=2)


@pytest.mark.parametrize("values", [[0.3, 0.3], [float("nan"), 0.3], [float("nan")] * 2])
def test_charts_of_equal_and_unknown_values(values):
    line_chart("title", "x", [1, 2], {"a": values})
    bar_chart("title", "x", dict(zip("ab", values, strict=True)))
