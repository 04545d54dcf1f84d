"""Linear SVMs on fixed features, with hard negatives mined in one pass (Girshick et al. 2014, 2.3).

Shape letters: K object classes, d numbers of a feature, B proposals of an image.
"""

from collections.abc import Callable, Sequence

import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.extras import of_extra

C = 0.001
BIAS_FEATURE = 10.0
POSITIVE_WEIGHT = 2.0
NEGATIVE_IOU = 0.3  # proposals below it with every object of a class are its negatives
HARD = -1.0001  # negatives of a higher score are: within the margin
EASY = -1.2  # negatives of a lower score leave the cache
RETRAIN = 2000  # examples added to a class since it was trained
# Of classes without positives: below any threshold that is put to scores.
NEVER = -1e6

Solver = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float]]


def liblinear(seed: int = 0, tolerance: float = 1e-4) -> Solver:
    """LIBLINEAR's dual solver of the hinge loss, by scikit-learn, with R-CNN's constants.

    It minimises |w|^2 / 2 + b'^2 / 2 + C sum_i c_i max(0, 1 - y_i (w x_i + 10 b')), c_i = 2 for
    positives; the bias is 10 b'.

    Returns:
        what takes features [n, d] and signs [n], 1 or -1, to w [d] and the bias.

    Raises:
        InputError: scikit-learn is not installed.
    """
    svm = of_extra("sklearn.svm", "rcnn")

    def solve(features: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, float]:
        found = svm.LinearSVC(
            loss="hinge",
            C=C,
            intercept_scaling=BIAS_FEATURE,
            class_weight={1: POSITIVE_WEIGHT},
            tol=tolerance,
            max_iter=10_000,
            random_state=seed,
        ).fit(features, signs)
        return found.coef_[0].astype(np.float32), float(found.intercept_[0])

    return solve


class Mining:
    """One pass over the training images, during which the SVMs of all classes are trained.

    Call `add` for each image in a random order, then `finish`. Negatives that the SVM of their
    class separates well are not kept, so that memory holds a few thousand of a class.

    Args:
        positives: of each class, [n, d]; they never leave.
        solver: as `liblinear` gives.
        class_names: for messages.

    A class without positives is left out: its score is `NEVER`.
    """

    def __init__(self, positives: Sequence[np.ndarray], solver: Solver, class_names: Sequence[str]):
        self.positives = [np.asarray(p, np.float32) for p in positives]
        self.solver, self.class_names = solver, tuple(class_names)
        classes, size = len(self.positives), self.positives[0].shape[1]
        self.weights = np.zeros((classes, size), np.float32)  # [K, d]
        self.biases = np.zeros(classes, np.float32)  # [K]
        self.images = 0  # added so far
        self._features: dict[tuple[int, int], np.ndarray] = {}  # those of all caches, once
        self._caches: list[list[tuple[int, int]]] = [[] for _ in self.positives]
        self._added = [0] * classes
        for k in self.without_positives:
            self.biases[k] = NEVER

    @property
    def without_positives(self) -> list[int]:
        """The classes, from 0, that cannot be trained."""
        return [k for k, found in enumerate(self.positives) if not len(found)]

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Of every class, [B, d] to [B, K]."""
        return features @ self.weights.T + self.biases

    def cached(self, k: int) -> list[tuple[int, int]]:
        """The negatives of a class that are kept: (image, proposal)."""
        return list(self._caches[k])

    def add(self, image: int, features: np.ndarray, is_negative: np.ndarray) -> None:
        """Look for hard negatives in an image; train the classes that have many new ones.

        Args:
            image: its place in the data set, each once.
            features: [B, d], scaled.
            is_negative: [B, K] bool.
        """
        features = np.asarray(features, np.float32)
        # Before the first training every negative is hard.
        is_hard = is_negative & (self.scores(features) > HARD)
        for k in range(len(self.positives)):
            if not len(self.positives[k]):
                continue
            keys = [(image, int(row)) for row in np.flatnonzero(is_hard[:, k])]
            self._features.update((key, features[key[1]]) for key in keys)
            self._caches[k] += keys
            self._added[k] += len(keys)
        self.images += 1
        due = [k for k, count in enumerate(self._added) if count > RETRAIN or self.images == 1]
        self._train(due)

    def finish(self) -> None:
        """Train every class on what it has at the end.

        Raises:
            InputError: a class has no negatives at all.
        """
        for k, cache in enumerate(self._caches):
            if len(self.positives[k]) and not cache:
                raise InputError(
                    f"{self.class_names[k]}: no proposal lies off its objects, so that nothing "
                    "tells them from background; give more proposals or images"
                )
        self._train(range(len(self.positives)))

    def _train(self, classes) -> None:
        for k in classes:
            cache = self._caches[k]
            if not cache:
                continue
            negatives = np.stack([self._features[key] for key in cache])
            examples = np.concatenate([self.positives[k], negatives])
            signs = np.repeat([1, -1], [len(self.positives[k]), len(negatives)])
            self.weights[k], self.biases[k] = self.solver(examples, signs)
            scores = negatives @ self.weights[k] + self.biases[k]
            self._caches[k] = [
                key for key, score in zip(cache, scores, strict=True) if score >= EASY
            ]
            self._added[k] = 0
        used = {key for cache in self._caches for key in cache}
        self._features = {key: row for key, row in self._features.items() if key in used}

    def state(self) -> dict[str, np.ndarray]:
        """All that `restore` needs, as arrays for a .npz file."""
        keys = np.array(list(self._features), np.int64).reshape(-1, 2)
        place = {key: i for i, key in enumerate(self._features)}
        return {
            "images": np.array(self.images),
            "weights": self.weights,
            "biases": self.biases,
            "added": np.array(self._added),
            "keys": keys,
            "features": np.array(list(self._features.values()), np.float32),
            "cached": np.array([len(cache) for cache in self._caches]),
            "rows": np.array([place[key] for cache in self._caches for key in cache], np.int64),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave; the positives are those of the constructor.

        Raises:
            InputError: it is of other classes or features, or incomplete.
        """
        try:
            weights, counts = np.asarray(state["weights"]), np.asarray(state["cached"])
            if weights.shape != self.weights.shape or counts.sum() != len(state["rows"]):
                raise ValueError(f"weights {list(weights.shape)}, not {list(self.weights.shape)}")
            keys = [(int(image), int(row)) for image, row in state["keys"]]
            self._features = dict(zip(keys, state["features"], strict=True))
            ends = np.cumsum(counts)[:-1]
            self._caches = [[keys[i] for i in rows] for rows in np.split(state["rows"], ends)]
            self._added = [int(count) for count in state["added"]]
            self.weights, self.biases = weights.copy(), np.array(state["biases"])
            self.images = int(state["images"])
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise InputError(f"the state of the mining does not fit: {error}") from error


def negatives(iou: np.ndarray, gt_classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Which proposals are negatives of which class, bool [B, K].

    Args:
        iou: of each proposal with each object of its image, [B, M]; difficult objects too, which
            are no background.
        gt_classes: of the objects, [M], 1..K.
    """
    best = np.zeros((len(iou), num_classes))
    for k in range(num_classes):
        best[:, k] = iou[:, gt_classes == k + 1].max(axis=1, initial=0)
    return best < NEGATIVE_IOU
