"""Truncated SVD of Dense layers, against NumPy's decomposition and the definition."""

import keras
import numpy as np
import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.export.svd import Decomposition, choose_ranks, compress, decompose, parse_svd


def two_dense(inputs=30, units=(20, 40), seed=0):
    """fc6 is tall, fc7 wide; both with activation and bias, and one output beside fc7."""
    keras.utils.set_random_seed(seed)
    x = start = keras.Input((inputs,))
    x = keras.layers.Dense(units[0], activation="relu", bias_initializer="normal", name="fc6")(x)
    x = keras.layers.Dropout(0.5)(x)
    y = keras.layers.Dense(units[1], activation="tanh", bias_initializer="normal", name="fc7")(x)
    out = {"y": keras.layers.Dense(3, name="head")(y), "x": keras.layers.Activation("relu")(x)}
    return keras.Model(start, out)


def decaying(rows, columns, seed=0):
    """A matrix with singular values 1, 1/2, 1/3, ..."""
    rng = np.random.default_rng(seed)
    n = min(rows, columns)
    u, v = (np.linalg.qr(rng.normal(size=(m, n)))[0] for m in (rows, columns))
    return ((u / np.arange(1, n + 1)) @ v.T).astype(np.float32)


@pytest.mark.parametrize("shape", [(50, 20), (20, 50), (20, 20), (2500, 7), (5, 1), (1, 5)])
@pytest.mark.parametrize("rank", [1, 4, 20])
def test_truncation_is_the_best_approximation(shape, rank):
    kernel = decaying(*shape)
    rank = min(rank, *shape)
    u, s, vt = np.linalg.svd(kernel.astype(np.float64), full_matrices=False)
    decomposition = Decomposition(kernel)
    np.testing.assert_allclose(decomposition.singular_values, s, atol=1e-7)
    first, second = decomposition.truncated(rank)
    assert first.dtype == second.dtype == np.float32
    best = (u[:, :rank] * s[:rank]) @ vt[:rank]
    np.testing.assert_allclose(first.astype(np.float64) @ second, best, atol=3e-7)
    # V Sigma and U^T: the second factor has orthonormal rows, the first carries the sizes.
    np.testing.assert_allclose(second @ second.T, np.eye(rank), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(first, axis=0), s[:rank], atol=1e-6)


def test_kernels_of_lower_rank_and_of_zeros():
    kernel = np.outer(np.arange(4.0), np.ones(9)).astype(np.float32)
    for k in (kernel, kernel.T, np.zeros((4, 9), np.float32)):
        first, second = Decomposition(k).truncated(4)
        np.testing.assert_allclose(first @ second, k, atol=1e-5)


def test_full_rank_reproduces_the_model():
    model = two_dense()
    compressed = compress(model, {"fc6": 20, "fc7": 20})
    x = np.random.default_rng(0).normal(size=(7, 30)).astype(np.float32)
    expected, found = model(x), compressed(x)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=2e-6)


def test_layers_are_split_as_the_paper_has_it():
    model = two_dense()
    compressed = compress(model, {"fc7": 5})
    names = [layer.name for layer in compressed.layers]
    assert "fc7" not in names and "fc6" in names
    v, u = compressed.get_layer("fc7_v"), compressed.get_layer("fc7_u")
    assert v.kernel.shape == (20, 5) and not v.use_bias and v.activation is keras.activations.linear
    assert u.kernel.shape == (5, 40) and u.activation is keras.activations.tanh
    np.testing.assert_array_equal(u.bias, model.get_layer("fc7").bias)
    x = np.random.default_rng(0).normal(size=(4, 30)).astype(np.float32)
    kernel = v.kernel.numpy() @ u.kernel.numpy()
    middle = np.maximum(x @ model.get_layer("fc6").kernel.numpy() + model.get_layer("fc6").bias, 0)
    y = np.tanh(middle @ kernel + u.bias.numpy())
    head = model.get_layer("head")
    expected = y @ head.kernel.numpy() + head.bias.numpy()
    np.testing.assert_allclose(compressed(x)["y"], expected, atol=1e-5)
    assert model.get_layer("fc7").units == 40  # the model itself stays as it is


def test_a_compressed_model_is_saved_and_loaded(tmp_path):
    compressed = compress(two_dense(), {"fc6": 3, "fc7": 4})
    compressed.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = np.ones((2, 30), np.float32)
    np.testing.assert_array_equal(loaded(x)["y"], compressed(x)["y"])


def with_spectra():
    model = two_dense(60, (50, 70))
    model.get_layer("fc6").kernel.assign(decaying(60, 50))
    model.get_layer("fc7").kernel.assign(decaying(50, 70) * 9)
    return model


def test_energy_keeps_the_smallest_sufficient_rank():
    model = with_spectra()
    energies = 1 / np.arange(1, 51) ** 2
    kept = np.cumsum(energies) / energies.sum()
    ranks = choose_ranks(decompose(model), model, energy=0.95)
    for rank in ranks.values():
        assert kept[rank - 1] >= 0.95 > kept[rank - 2]
    assert set(ranks) == {"fc6", "fc7"}


def test_energy_leaves_layers_that_would_cost_more():
    model = with_spectra()
    assert choose_ranks(decompose(model), model, energy=1) == {}
    compressed = compress(model, energy=1.0)
    assert [x.name for x in compressed.layers[1:]] == [x.name for x in model.layers[1:]]
    np.testing.assert_array_equal(compressed.get_layer("fc6").kernel, model.get_layer("fc6").kernel)


@pytest.mark.parametrize("fraction", [0.1, 0.35, 0.6, 1.0])
def test_latency_keeps_most_energy_of_all_ranks_that_cost_so_little(fraction):
    model = with_spectra()
    ranks = choose_ranks(decompose(model), model, latency=fraction)
    cost = {"fc6": 110, "fc7": 120}  # multiply-adds of a rank
    whole = 60 * 50 + 50 * 70

    def total(r6, r7):
        return (r6 * cost["fc6"] + r7 * cost["fc7"]) / whole

    energies = 1 / np.arange(1, 51) ** 2
    kept = np.cumsum(energies) / energies.sum()
    assert total(**{"r6": ranks["fc6"], "r7": ranks["fc7"]}) <= fraction
    best = max(
        kept[r6 - 1] + kept[r7 - 1]
        for r6 in range(1, 28)  # the ranks that cost less than the layer
        for r7 in range(1, 30)
        if total(r6, r7) <= fraction
    )
    # A rank that just does not fit may be worth less than what a full search finds.
    last = max(energies[ranks["fc6"]], energies[ranks["fc7"]]) / energies.sum()
    assert best - last <= kept[ranks["fc6"] - 1] + kept[ranks["fc7"] - 1] <= best + 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ranks": {"fc6": 21}}, "the rank of fc6 must be from 1 to 20, not 21"),
        ({"ranks": {"fc7": 0}}, "the rank of fc7 must be from 1 to 20"),
        ({"ranks": {"fc8": 2}}, "no Dense layer fc8; there are fc6, fc7, head"),
        ({"ranks": {"dropout": 2}}, "no Dense layer dropout"),
        ({"energy": 1.1}, "energy must be above 0"),
        ({"latency": 0.0}, "latency must be above 0"),
        ({"latency": 0.001}, "latency must be at least"),
        ({}, "give one of"),
        ({"energy": 0.5, "latency": 0.5}, "give one of"),
    ],
)
def test_impossible_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        compress(two_dense(), **arguments)


def test_parse_svd():
    assert parse_svd("fc6=1024,fc7=256") == {"ranks": {"fc6": 1024, "fc7": 256}}
    assert parse_svd("energy=0.9") == {"energy": 0.9}
    assert parse_svd("latency=0.5") == {"latency": 0.5}
    for wrong in ("", "fc6", "fc6=", "fc6=1.5", "energy=much", "fc6=1,fc6=2", "=3"):
        with pytest.raises(InputError, match="is not like"):
            parse_svd(wrong)
