"""That the sweep counts, times and evaluates the networks that it says."""

import csv
import math

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.benchmarks import svd
from keras_frcnn.benchmarks.detect_models import make_inputs
from keras_frcnn.errors import InputError
from keras_frcnn.export.svd import compress, decompose
from tests.benchmarks.small_detector import image_and_proposals, small_detector

FOUND = {"without": {}, "fc6=12,fc7=8": {"fc6": 12, "fc7": 8}, "fc6=12": {"fc6": 12}}


@pytest.fixture(scope="module")
def detector():
    return small_detector()


@pytest.fixture(scope="module")
def decompositions(detector):
    return decompose(detector.model)


@pytest.fixture(scope="module")
def inputs(detector):
    return make_inputs(detector, *image_and_proposals())


@pytest.fixture(scope="module")
def variants(detector, decompositions, inputs):
    return svd.Variants(detector, FOUND, decompositions, "float32", inputs)


@pytest.mark.parametrize("name", FOUND)
def test_every_variant_is_the_compressed_detector(variants, detector, inputs, name):
    model = compress(detector.model, FOUND[name]) if FOUND[name] else detector.model
    expected = model({"images": inputs.scaled, "rois": inputs.rois[None]}, training=False)
    for run in (variants.heads[name], variants.networks[name]):
        actual = run()
        for output, value in expected.items():
            np.testing.assert_allclose(actual[output], value, atol=1e-4, rtol=1e-4)


def test_parameters_by_hand(variants):
    rows = variants.rows
    inputs, fc6, fc7 = 7 * 7 * 8, 40, 24
    saved_fc6 = inputs * fc6 - 12 * (inputs + fc6)
    saved_fc7 = fc6 * fc7 - 8 * (fc6 + fc7)
    full = rows["without"].parameters
    assert rows["fc6=12"].parameters == full - saved_fc6
    assert rows["fc6=12,fc7=8"].parameters == full - saved_fc6 - saved_fc7
    trunk = (3 * 4 + 4 * 6 + 6 * 8) * 9 + 4 + 6 + 8
    k = 3
    last = fc7 * (k + 1) + k + 1 + fc7 * 4 * k + 4 * k
    assert full == trunk + inputs * fc6 + fc6 + fc6 * fc7 + fc7 + last
    assert rows["without"].bytes == 4 * full


def test_bfloat16_halves_the_bytes_of_all_but_the_last_layers(detector, decompositions, inputs):
    found = {"fc6=12,fc7=8": FOUND["fc6=12,fc7=8"]}
    variants = svd.Variants(detector, found, decompositions, "bfloat16", inputs)
    (row,) = variants.rows.values()
    last = 24 * 4 + 4 + 24 * 12 + 12
    assert row.bytes == 2 * (row.parameters - last) + 4 * last
    assert variants.networks["fc6=12,fc7=8"]()["cls_score"].dtype == tf.float32


def test_times_are_of_the_variants(variants):
    variants.measure(rounds=1)
    assert all(row.heads > 0 and row.network > 0 for row in variants.rows.values())


def test_choices_fit_the_layers(detector, decompositions, monkeypatch):
    monkeypatch.setattr(svd, "PAPER", {"fc6": 16, "fc7": 8})
    monkeypatch.setattr(svd, "FC6", (8, 16, 64))  # 64 is more than fc6 has
    monkeypatch.setattr(svd, "FC7", (4, 8))
    found = svd.choices(detector.model, decompositions)
    energies = [name for name in found if name.startswith("energy")]
    assert list(found) == ["without", "fc6=8,fc7=8", "fc6=16,fc7=8", "fc6=16,fc7=4", *energies]
    assert len(energies) == len(svd.ENERGIES)


def rows():
    return [
        svd.Row("without", {}, 138_000_000, 552_000_000, 1.5, 3.0, 0.669),
        svd.Row("fc6=256,fc7=256", {"fc6": 256, "fc7": 256}, 20_000_000, 80_000_000, 0.2, 1.5),
        svd.Row("fc6=1024,fc7=256", {"fc6": 1024, "fc7": 256}, 40_000_000, 160_000_000, 0.3, 2.0),
    ]


def test_table_next_to_the_papers():
    lines = [line.strip("| ").split(" | ") for line in svd.format_table(rows()).splitlines()]
    assert lines[2] == ["without", "full", "full", "138.0", "552", "1500.0", "3000", "1.00", "66.9"]
    assert lines[4][:3] == ["fc6=1024,fc7=256", "1024", "256"]
    assert lines[4][-2:] == ["0.67", "not measured"]
    assert lines[-1][-3:] == ["220", "0.69", "66.6"]
    assert lines[5][0].startswith("paper") and lines[5][-1] == "66.9"


def test_csv(tmp_path):
    svd.write_csv(tmp_path / "svd.csv", rows())
    with open(tmp_path / "svd.csv", newline="") as file:
        first, second, _ = csv.DictReader(file)
    assert first["mAP"] == "0.669000" and first["fc6"] == ""
    assert second["fc6"] == "256" and second["mAP"] == "" and second["network ms"] == "1500.000"


def test_plot_shows_map_where_it_is_known():
    without = svd.draw(rows())
    with_map = [*rows()[:2], svd.Row("fc6=1024,fc7=256", rows()[2].ranks, 1, 1, 0.3, 2.0, 0.666)]
    assert svd.draw(with_map).height > without.height
    assert math.isnan(rows()[1].mean_ap)
    with pytest.raises(InputError, match="no rank"):
        svd.draw(rows()[:1])


def test_map_needs_a_run():
    with pytest.raises(InputError, match="--run"):
        svd.main(["--data", "shapes"])
