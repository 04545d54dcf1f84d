"""The box regressor against closed forms (check B8)."""

import numpy as np
import pytest

from keras_frcnn import boxes as box_ops
from keras_frcnn.baselines import ridge
from keras_frcnn.baselines.ridge import encode, fit, whitening


def _pairs(n=60, d=90):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, d)) * 2
    targets = features @ rng.normal(size=(d, 4)) * 0.01 + rng.normal(size=4) * 0.1
    return features, targets


@pytest.mark.parametrize(("n", "d"), [(60, 90), (90, 60)])
def test_both_systems_give_the_ridge_of_the_definition(n, d, monkeypatch):
    features, targets = _pairs(n, d)
    monkeypatch.setattr(ridge, "BLOCK", 25)
    found = fit(features, targets, 100.0)
    x = np.concatenate([features, np.ones((n, 1))], axis=1)
    y = (targets - targets.mean(axis=0)) @ np.linalg.inv(found.unwhiten)
    expected = np.linalg.solve(x.T @ x + 100 * np.eye(d + 1), x.T @ y)
    for solve in (ridge._primal, ridge._dual):
        np.testing.assert_allclose(solve(features, y, 100.0), expected, atol=1e-8)
    np.testing.assert_allclose(found.weights, expected, atol=1e-6)
    deltas = x @ expected @ found.unwhiten + targets.mean(axis=0)
    np.testing.assert_allclose(found.deltas(features), deltas, atol=1e-5)


def test_whitened_targets_have_unit_covariance():
    targets = np.random.default_rng(0).normal(size=(5000, 4)) @ np.diag([1, 2, 3, 4])
    targets -= targets.mean(axis=0)
    whiten, unwhiten = whitening(targets)
    np.testing.assert_allclose(np.cov((targets @ whiten).T), np.eye(4), atol=1e-2)
    np.testing.assert_allclose(whiten @ unwhiten, np.eye(4), atol=1e-12)


def test_one_pair_is_enough_and_is_learnt_as_its_mean():
    found = fit(np.ones((1, 3)), np.array([[0.1, 0.2, 0.3, 0.4]]))
    np.testing.assert_allclose(found.deltas(np.ones((1, 3))), [[0.1, 0.2, 0.3, 0.4]], atol=1e-6)


def test_targets_lead_to_the_object():
    proposals = np.array([[0, 0, 10, 20], [5, 5, 6, 6]], np.float32)
    objects = np.array([[2, 1, 14, 18], [0, 0, 30, 9]], np.float32)
    np.testing.assert_allclose(
        box_ops.decode(proposals, encode(proposals, objects).astype(np.float32)), objects, atol=1e-5
    )
