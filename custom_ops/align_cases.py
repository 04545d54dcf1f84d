"""The inputs that catch wrong RoIAlign implementations, shared by all of its tests."""

import dataclasses

import numpy as np

from keras_frcnn.custom_ops.cases import DTYPES, random_features, random_rois, rows


@dataclasses.dataclass
class AlignCase:
    """One input of `roi_align`: maps of the levels, RoIs and what is asked for."""

    name: str
    maps: list[np.ndarray]  # [N, H, W, C] each
    rois: np.ndarray  # [K, 5]
    size: tuple[int, int] = (3, 5)
    scales: tuple[float, ...] = (1.0,)
    levels: np.ndarray | None = None
    oracle: bool = True  # ONNX Runtime computes the same function on it

    def __post_init__(self):
        if self.levels is None:
            self.levels = np.zeros(len(self.rois), np.int32)

    def with_dtype(self, name):
        """The same case with features of another type."""
        with np.errstate(over="ignore", invalid="ignore"):
            return dataclasses.replace(self, maps=[m.astype(DTYPES[name]) for m in self.maps])


def boxes(corners):
    """RoIs [K, 5] of the first image."""
    return rows(*([0, *box] for box in corners))


def all_cases() -> list[AlignCase]:
    """Every form of input of the definition's list, as float32."""
    f = random_features
    h, w = 9, 12  # of most maps, at scale 1/16: an image of 144 x 192
    inside = random_rois(8, 2, 144, 192)
    outside = [[-99, 20, -40, 90], [300, 20, 400, 90], [20, -99, 90, -40], [20, 300, 90, 400]]
    outside += [[-99, -99, -40, -40], [300, -99, 400, -40], [-99, 300, -40, 400]]
    outside += [[300, 300, 400, 400]]
    halves = [[0.5, 1.5, 3.5, 6.5], [1, 1, 2, 2], [-1, 0, h - 1, h], [-1, -1, 0, 0]]
    halves += [[w - 1, h - 1, w, h], [-0.5, -0.5, w + 0.5, h + 0.5], [0, 0, w, h]]
    ones = np.ones((1, h, w, 4), np.float32)
    ramp = np.arange(h * w, dtype=np.float32).reshape(1, h, w, 1) * [1, -0.5, 3]
    hot = np.zeros((1, 5, 5, 2), np.float32)
    hot[0, 2, 3, 0] = 1
    poisoned = f((1, 6, 7, 19), seed=5)
    poisoned[0, 0, 0] = np.nan
    poisoned[0, 5, 6] = np.inf
    negative = [[8, 2, 3, 7], [3, 7, 8, 2], [8, 7, 3, 2], [4.2, 3, 4, 6]]
    return [
        AlignCase("inside", [f((2, h, w, 17))], inside, scales=(1 / 16,)),
        AlignCase("an odd scale", [f((2, h, w, 3))], inside, (2, 2), (0.0623,)),
        AlignCase("many channels", [f((1, 4, 5, 130))], rows([0, 0, 0, 70, 60]), (2, 2), (1 / 16,)),
        AlignCase(
            "outside", [f((1, h, w, 3))], rows(*([0, *r] for r in outside)), scales=(1 / 16,)
        ),
        AlignCase("halves and rims", [f((1, h, w, 3))], boxes(halves)),
        AlignCase("huge", [f((1, h, w, 3))], rows([0, -20, -15, 25, 20], [0, 3, 3, 30, 4])),
        AlignCase("small", [f((1, h, w, 3))], rows([0, 3.2, 4.1, 3.3, 4.7], [0, 3, 3, 3.9, 3.9])),
        AlignCase("no size", [f((1, h, w, 3))], rows([0, 4.5, 4.5, 4.5, 4.5], [0, 0, 0, 0, 0])),
        AlignCase("inverted", [f((1, h, w, 3))], boxes(negative), (2, 3), oracle=False),
        AlignCase("twice", [f((1, h, w, 3))], np.repeat(rows([0, 1.2, 2.3, 7.7, 6.1]), 3, axis=0)),
        AlignCase("between images", [f((2, h, w, 3))], rows([0.9, 1, 1, 5, 5], [1.0, 1, 1, 5, 5])),
        AlignCase("ones", [ones], rows([0, -3, -2, 5, 4], [0, 6, 5, 20, 20])),
        AlignCase("a ramp", [ramp.astype(np.float32)], rows([0, 1.3, 2.1, 7.9, 6.4])),
        AlignCase("one hot", [hot], rows([0, 0, 0, 5, 5]), (5, 5)),
        AlignCase(
            "zeros of both signs", [np.full((1, 4, 4, 2), -0.0, np.float32)], rows([0, 1, 1, 3, 3])
        ),
        AlignCase(
            "not a number",
            [poisoned],
            rows([0, -9, -9, -4, -4], [0, 1, 1, 5, 5], [0, 4, 3, 7, 6]),
            oracle=False,
        ),
        *(
            AlignCase(
                f"{a} x {b} cells", [f((1, a, b, 3))], rows([0, -0.4, -0.3, b + 0.2, a + 0.6])
            )
            for a, b in ((1, 1), (1, 7), (7, 1))
        ),
        AlignCase(
            "no cells", [np.zeros((1, 0, 4, 3), np.float32)], rows([0, 0, 0, 2, 2]), oracle=False
        ),
        AlignCase("no RoIs", [f((1, h, w, 3))], rows(), oracle=False),
        AlignCase("no channels", [f((1, h, w, 0))], rows([0, 0, 0, 2, 2]), oracle=False),
        AlignCase(
            "levels",
            [f((2, 16, 20, 6), 1), f((2, 8, 10, 6), 2), f((2, 4, 5, 6), 3)],
            random_rois(12, 2, 64, 80),
            (2, 2),
            (1 / 4, 1 / 8, 1 / 16),
            np.array([2, 0, 1, 1, 0, 2, 2, 0, 0, 1, 2, 0], np.int32),
            oracle=False,
        ),
    ]


def random_cases(count: int, seed: int = 0) -> list[AlignCase]:
    """Small random maps, and RoIs on, off and in between cells."""
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(count):
        n, height, width, channels = (int(rng.integers(1, high)) for high in (3, 9, 9, 70))
        corners = rng.integers(-8, 26, (int(rng.integers(0, 5)), 4)) / 2
        if number % 2:
            corners = corners + rng.normal(size=corners.shape)
        rois = np.concatenate([rng.integers(0, n, (len(corners), 1)), corners], axis=1)
        features = random_features((n, height, width, channels), seed=number)
        size = tuple(rng.integers(1, 5, 2).tolist())
        cases.append(AlignCase(f"random {number}", [features], rois.astype(np.float32), size))
    return cases


def same(a, b):
    """Whether arrays hold the same bits, any NaN being the same as another."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    nan = np.isnan(a.astype(np.float64))
    zero = a.dtype.type(0)
    return np.array_equal(nan, np.isnan(b.astype(np.float64))) and (
        np.where(nan, zero, a).tobytes() == np.where(nan, zero, b).tobytes()
    )
