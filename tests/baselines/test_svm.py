"""SVMs and their mining (checks B6, B7)."""

import numpy as np
import pytest
from scipy.optimize import minimize

from keras_frcnn.baselines.svm import NEVER, Mining, liblinear, negatives
from keras_frcnn.errors import InputError


def _objective(w, b, features, signs):
    cost = np.where(signs > 0, 2, 1) @ np.maximum(0, 1 - signs * (features @ w + b))
    return 0.5 * w @ w + 0.5 * (b / 10) ** 2 + 0.001 * cost


def test_liblinear_reaches_the_optimum_of_the_papers_objective():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 64)) * 2.5
    signs = np.where(features @ rng.normal(size=64) + 5 * rng.normal(size=500) > 20, 1, -1)
    w, b = liblinear()(features, signs)
    # As a smooth problem with bounds in the dual: a maximises sum(a) - |sum a y x|^2 / 2.
    rows = np.concatenate([features, np.full((500, 1), 10.0)], axis=1) * signs[:, None]
    gram = rows @ rows.T
    bounds = [(0, 0.002 if s > 0 else 0.001) for s in signs]
    found = minimize(
        lambda a: (0.5 * a @ gram @ a - a.sum(), gram @ a - 1),
        np.zeros(500),
        jac=True,
        bounds=bounds,
        method="L-BFGS-B",
        options={"maxiter": 5000, "ftol": 1e-14, "gtol": 1e-9},
    )
    assert _objective(w, b, features, signs) == pytest.approx(-found.fun, rel=1e-3)


def _solver(features, signs):
    """A cheap stand-in: the difference of the means, with a margin."""
    w = features[signs > 0].mean(axis=0) - features[signs < 0].mean(axis=0)
    return w / 4, -0.5


def _images(count=12, proposals=300):
    rng = np.random.default_rng(1)
    return [
        (i, rng.normal(size=(proposals, 6)).astype(np.float32), rng.random((proposals, 2)) < 0.9)
        for i in range(count)
    ]


def _mining(solver=_solver):
    rng = np.random.default_rng(2)
    return Mining([rng.normal(1, 1, (9, 6)), rng.normal(-1, 1, (7, 6))], solver, ("a", "b"))


def test_mining_goes_on_from_its_state_as_if_it_had_not_stopped(tmp_path):
    whole, first, second = _mining(), _mining(), _mining()
    for image in _images():
        whole.add(*image)
    whole.finish()
    for image in _images()[:5]:
        first.add(*image)
    np.savez(tmp_path / "state.npz", **first.state())
    second.restore(dict(np.load(tmp_path / "state.npz")))
    assert second.images == 5
    for image in _images()[5:]:
        second.add(*image)
    second.finish()
    np.testing.assert_array_equal(whole.weights, second.weights)
    np.testing.assert_array_equal(whole.biases, second.biases)
    assert [whole.cached(k) for k in (0, 1)] == [second.cached(k) for k in (0, 1)]


def test_only_negatives_are_cached_and_once():
    mining, images = _mining(), _images()
    for image in images:
        mining.add(*image)
    for k in (0, 1):
        keys = mining.cached(k)
        assert len(set(keys)) == len(keys) > 0
        assert all(images[i][2][row, k] for i, row in keys)


def test_the_first_image_gives_all_its_negatives_and_trains():
    seen = []

    def solver(features, signs):
        seen.append((int((signs > 0).sum()), int((signs < 0).sum())))
        return _solver(features, signs)

    image = _images()[0]
    _mining(solver).add(*image)
    assert seen == [(9, image[2][:, 0].sum()), (7, image[2][:, 1].sum())]


def test_a_class_without_positives_is_never_found():
    mining = Mining([np.ones((2, 6)), np.zeros((0, 6))], _solver, ("a", "b"))
    mining.add(*_images()[0])
    mining.finish()
    assert mining.without_positives == [1]
    assert (mining.scores(np.ones((1, 6)))[:, 1] == NEVER).all()


def test_a_class_without_negatives_and_a_strange_state_are_refused():
    mining = _mining()
    mining.add(0, np.zeros((0, 6)), np.zeros((0, 2), bool))  # an image without proposals
    with pytest.raises(InputError, match=r"^a: no proposal lies off its objects"):
        mining.finish()
    with pytest.raises(InputError, match="state of the mining"):
        mining.restore({"weights": np.zeros((3, 6))})


def test_negatives_lie_off_every_object_of_the_class():
    iou = np.array([[0.3, 0.1], [0.29, 0.9]])
    assert negatives(iou, np.array([1, 2]), 3).tolist() == [
        [False, True, True],
        [True, False, True],
    ]
    assert negatives(np.zeros((2, 0)), np.zeros(0, int), 1).all()
