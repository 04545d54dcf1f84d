"""What RoIAlign is measured with: the maps of a pyramid, or one, and RoIs on them."""

from dataclasses import dataclass

import numpy as np

from keras_frcnn.benchmarks.roi_pool_workload import selective_search_like_rois


@dataclass(frozen=True)
class Workload:
    """Maps [1, H, W, C], and RoIs that are shared out among them."""

    image: tuple[int, int]  # height and width, pixels
    cells: tuple[tuple[int, int], ...]  # of each map
    scales: tuple[float, ...]
    channels: int
    rois: int
    size: int  # bins a side
    ratio: int

    def inputs(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Maps, RoIs [K, 5] and the map of each, [K], by the rule of Lin et al. (2017, eq. 1)."""
        rng = np.random.default_rng(1)
        maps = [rng.normal(size=(1, *c, self.channels)).astype(np.float32) for c in self.cells]
        rois = selective_search_like_rois(self.rois, 1, *self.image)
        side = np.sqrt(np.prod(rois[:, 3:] - rois[:, 1:3], axis=1))
        levels = np.floor(2 + np.log2(side / 224)).clip(0, len(maps) - 1)
        return maps, rois, levels.astype(np.int32)


WORKLOADS = {
    "pyramid, 1000 RoIs, 7 x 7, 2 samples, 256 channels": Workload(
        (800, 1216),
        ((200, 304), (100, 152), (50, 76), (25, 38)),
        (1 / 4, 1 / 8, 1 / 16, 1 / 32),
        256,
        1000,
        7,
        2,
    ),
    "one map, 2000 RoIs, 14 x 14, adaptive, 512 channels": Workload(
        (600, 1000), ((38, 63),), (1 / 16,), 512, 2000, 14, 0
    ),
}
