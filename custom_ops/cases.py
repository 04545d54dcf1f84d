"""The inputs that catch wrong RoI max pooling implementations, shared by all of its tests.

NumPy only, so that the kernels can be checked without TensorFlow too; part of the package, so that
the benchmark on a GPU checks before it measures.
"""

import dataclasses

import ml_dtypes
import numpy as np

DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}


@dataclasses.dataclass
class Case:
    """One input of `roi_pool`."""

    name: str
    features: np.ndarray  # [N, H, W, C]
    rois: np.ndarray  # [K, 5]
    pooled_height: int = 7
    pooled_width: int = 7
    spatial_scale: float = 1 / 16
    oracle: bool = True  # ONNX Runtime computes the same function on it

    @property
    def arguments(self):
        """What follows the features in a call of `roi_pool`."""
        return self.rois, self.pooled_height, self.pooled_width, self.spatial_scale

    def with_dtype(self, name):
        """The same case with features of another type."""
        with np.errstate(over="ignore", invalid="ignore"):
            return dataclasses.replace(self, features=self.features.astype(DTYPES[name]))


def random_features(shape, seed=0):
    """Normally distributed float32 features."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def random_rois(count, n, height, width, seed=0):
    """RoIs inside images of height x width pixels, from a few pixels to everything."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0, width, (count, 2)), axis=1)
    y = np.sort(rng.uniform(0, height, (count, 2)), axis=1)
    image = rng.integers(0, n, count)
    return np.stack([image, x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1).astype(np.float32)


def rows(*boxes):
    """RoIs [K, 5] from rows (batch_index, x1, y1, x2, y2)."""
    return np.array(boxes, np.float32).reshape(-1, 5)


def _special_values():
    features = random_features((2, 6, 7, 19), seed=5)
    rng = np.random.default_rng(6)
    for value in (np.nan, -np.nan, np.inf, -np.inf, 1e-40, -1e-40):
        features[rng.random(features.shape) < 0.12] = value
    features[0, 2:4, 2:4] = np.nan
    features[1, :3, :3] = -np.inf
    features[1, 4, 4] = -np.finfo(np.float32).max
    return features


def all_cases() -> list[Case]:
    """Every input of the definition's list of test inputs, as float32."""
    f = random_features
    tied = np.round(f((2, 9, 11, 17), seed=1))  # also many zeros of both signs
    zeros = np.random.default_rng(2).choice(np.float32([0.0, -0.0, -1.0]), (1, 8, 8, 33))
    tiny = np.random.default_rng(3).choice(np.float32([0, 1e-40, -1e-40, 2e-40]), (1, 5, 6, 8))
    overlapping = random_rois(12, 3, 100, 120, seed=4)
    cases = [
        Case("inside", f((2, 9, 12, 5)), random_rois(10, 2, 144, 192)),
        Case(
            "halves away from zero",
            f((1, 8, 8, 3)),
            rows([0, 8, 24, 40, 56], [0, -8, -24, 40, 72], [0, -40, -40, -8, 200])
            .repeat(2, axis=0)
            .astype(np.float32),
        ),
        Case(
            "just below a half",
            f((1, 4, 4, 1)),
            rows([0, *[np.nextafter(np.float32(0.5), np.float32(0))] * 2, 2.5, 3.4999998]),
            2,
            2,
            1.0,
        ),
        Case("malformed in x", f((1, 9, 9, 4)), rows([0, 100, 20, 30, 90])),
        Case("malformed in y", f((1, 9, 9, 4)), rows([0, 20, 100, 90, 30])),
        Case("malformed in both", f((1, 9, 9, 4)), rows([0, 100, 100, 30, 30], [0, 0, 0, -90, -9])),
        Case("padding", f((2, 9, 9, 4)), rows([0, 0, 0, 0, 0], [1, 0, 0, 0, 0])),
        Case(
            "partly outside",
            f((1, 9, 9, 4)),
            rows([0, -60, -70, 60, 50], [0, 100, 90, 300, 400], [0, -1e3, -1e3, 1e3, 1e3]),
        ),
        Case(
            "wholly outside",
            f((1, 9, 9, 4)) - 9,
            rows([0, -300, -300, -100, -100], [0, 500, 0, 600, 90], [0, 0, -1e9, 9, -1e8]),
        ),
        Case("far corners", f((1, 5, 5, 2)), rows([0, -3e37, -1e20, 3e37, 1e20]), oracle=False),
        Case("ties", tied, random_rois(9, 2, 144, 176, seed=1), oracle=False),
        Case("negative", -np.abs(f((1, 7, 9, 6))) - 1, random_rois(6, 1, 112, 144)),
        Case("zeros of both signs", zeros, random_rois(8, 1, 128, 128), 3, 3, oracle=False),
        Case("subnormal numbers", tiny, random_rois(6, 1, 80, 96), 2, 2, oracle=False),
        Case("NaN and infinities", _special_values(), random_rois(12, 2, 96, 112), oracle=False),
        Case(
            "all NaN",
            np.full((1, 4, 4, 3), np.nan, np.float32),
            rows([0, 0, 0, 63, 63]),
            2,
            2,
            oracle=False,
        ),
        Case("overlapping, several images", f((3, 7, 8, 9)), overlapping),
        Case("no RoIs", f((1, 5, 5, 3)), rows()),
        Case("no channels", f((1, 5, 5, 0)), rows([0, 0, 0, 60, 60]), oracle=False),
        Case("one cell", f((1, 1, 1, 5)), rows([0, 0, 0, 15, 15], [0, 0, 0, 500, 500])),
        Case("one row", f((1, 1, 20, 5)), rows([0, 0, 0, 300, 15])),
        Case("one column", f((1, 20, 1, 5)), rows([0, 0, 0, 15, 300])),
        Case(
            "a fraction of an image index",
            f((2, 5, 5, 2)),
            rows([1.75, 0, 0, 60, 60]),
            oracle=False,
        ),
    ]
    for channels in (1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 129, 300):
        rois = random_rois(4, 2, 80, 96, seed=channels)
        cases.append(Case(f"{channels} channels", f((2, 5, 6, channels)), rois, 3, 2))
    for height, width in [(1, 1), (2, 2), (3, 3), (6, 6), (7, 7), (14, 14), (2, 5), (7, 3), (1, 9)]:
        rois = random_rois(5, 1, 180, 240, seed=height)
        cases.append(Case(f"{height} x {width} bins", f((1, 12, 15, 3)), rois, height, width))
    for scale in (1 / 16, 1 / 8, 0.3, 1.0):
        rois = random_rois(8, 1, 14 / scale, 17 / scale, seed=7)
        cases.append(Case(f"scale {scale}", f((1, 14, 17, 3)), rois, spatial_scale=scale))
    # With 7 bins the float32 ceil of the last bin overshoots by one at these sizes, which shows
    # where the map goes on below the RoI and its last row is the greatest.
    for height in (57, 114, 121, 228, 235, 242, 249):
        ramp = np.arange(height + 2, dtype=np.float32).reshape(1, -1, 1, 1)
        rois = rows([0, 0, 0, 0, height - 1])
        cases.append(Case(f"overshoot at {height}", ramp, rois, spatial_scale=1.0))
        turned = np.ascontiguousarray(ramp.transpose(0, 2, 1, 3))
        rois = rows([0, 0, 0, height - 1, 0])
        cases.append(Case(f"overshoot at {height} wide", turned, rois, spatial_scale=1.0))
    return cases


def random_cases(count: int, seed: int = 0) -> list[Case]:
    """Small random maps with ties, zeros of both signs and NaN, and RoIs on, off and in between."""
    rng = np.random.default_rng(seed)
    values = np.float32([-2, -1, -0.0, 0.0, 1, 1.5, 1e-40, np.nan, np.inf, -np.inf])
    cases = []
    for number in range(count):
        n, height, width, channels = (int(rng.integers(1, high)) for high in (3, 9, 9, 40))
        features = rng.choice(values, (n, height, width, channels))
        if number % 2:  # the kernels for maps without -0.0
            features = rng.normal(size=features.shape).astype(np.float32)
        corners = rng.integers(-6, 24, (int(rng.integers(0, 5)), 4)) / 2
        rois = np.concatenate([rng.integers(0, n, (len(corners), 1)), corners * 16], axis=1)
        bins = rng.integers(1, 9, 2).tolist()
        cases.append(Case(f"random {number}", features, rois.astype(np.float32), *bins))
    return cases


def distinct_features(shape, seed=0):
    """float64 features whose values all differ by at least one, in random order."""
    count = int(np.prod(shape))
    return np.random.default_rng(seed).permutation(count).astype(np.float64).reshape(shape)


def same_bits(a, b):
    """Whether two arrays hold the same bits: -0.0 is not 0.0, and NaN is NaN."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
