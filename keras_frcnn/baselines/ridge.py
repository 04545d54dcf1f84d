"""Box regression by ridge regression on pooled features (Girshick et al. 2014, appendix C).

Shape letters: n pairs of proposal and object, d numbers of a feature.
"""

from typing import NamedTuple

import numpy as np

LAMBDA = 1000.0  # of features whose mean norm is 20
SMALLEST = 0.001  # added to the variances that targets are whitened by
MOST_PAIRS = 10_000  # of a class
BLOCK = 1000  # rows that are made float64 at a time


class Ridge(NamedTuple):
    """The regressor of one class."""

    weights: np.ndarray  # [d + 1, 4]; the last row belongs to a column of ones
    mean: np.ndarray  # [4], of the targets
    unwhiten: np.ndarray  # [4, 4]

    def deltas(self, features: np.ndarray) -> np.ndarray:
        """(tx, ty, tw, th) of features [n, d], [n, 4]."""
        whitened = features @ self.weights[:-1] + self.weights[-1]
        return whitened @ self.unwhiten + self.mean


def fit(features: np.ndarray, targets: np.ndarray, regularisation: float = LAMBDA) -> Ridge:
    """The regressor that minimises |X w - y|^2 + lambda |w|^2 for the four whitened targets.

    A column of ones is appended to the features and regularised as the others are, as in the
    released code. Of n and d the smaller decides which of the two equal systems is solved.

    Args:
        features: [n, d] of any float type, n at least 1.
        targets: [n, 4], `encode` of each pair.
        regularisation: lambda.
    """
    targets = np.asarray(targets, np.float64)
    mean = targets.mean(axis=0)
    whiten, unwhiten = whitening(targets - mean)
    y = (targets - mean) @ whiten
    n, d = features.shape
    solve = _dual if n <= d else _primal
    return Ridge(solve(features, y, regularisation).astype(np.float32), mean, unwhiten)


def whitening(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matrices [4, 4] that give centred targets [n, 4] unit covariance, and take it back."""
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    deviation = np.sqrt(np.maximum(values, 0) + SMALLEST)
    return (vectors / deviation) @ vectors.T, (vectors * deviation) @ vectors.T


def encode(proposals: np.ndarray, gt_boxes: np.ndarray) -> np.ndarray:
    """`keras_frcnn.boxes.encode` in float64: targets of pairs of boxes [n, 4]."""
    proposals, gt_boxes = np.asarray(proposals, np.float64), np.asarray(gt_boxes, np.float64)
    size, gt_size = (b[:, 2:] - b[:, :2] for b in (proposals, gt_boxes))
    offset = (gt_boxes[:, :2] + gt_boxes[:, 2:] - proposals[:, :2] - proposals[:, 2:]) / 2
    return np.concatenate([offset / size, np.log(gt_size / size)], axis=1)


def _blocks(features: np.ndarray):
    """Rows of [X, 1] in float64, a block at a time: places and block."""
    for start in range(0, len(features), BLOCK):
        block = features[start : start + BLOCK].astype(np.float64)
        yield slice(start, start + len(block)), np.pad(block, ((0, 0), (0, 1)), constant_values=1)


def _primal(features, y, regularisation):
    """(X'X + lambda I)^-1 X'y."""
    size = features.shape[1] + 1
    gram, right = regularisation * np.eye(size), np.zeros((size, 4))
    for rows, block in _blocks(features):
        gram += block.T @ block
        right += block.T @ y[rows]
    return _cholesky(gram, right)


def _dual(features, y, regularisation):
    """X' (XX' + lambda I)^-1 y, the same."""
    gram = regularisation * np.eye(len(features))
    for rows, block in _blocks(features):
        for others, other in _blocks(features):
            gram[rows, others] += block @ other.T
    dual = _cholesky(gram, y)
    return sum(block.T @ dual[rows] for rows, block in _blocks(features))


def _cholesky(gram, right):
    from scipy.linalg import cho_factor, cho_solve

    return cho_solve(cho_factor(gram, lower=True, overwrite_a=True), right)
