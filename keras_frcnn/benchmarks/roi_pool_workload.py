"""What RoI pooling is measured with: feature maps and RoIs of a detection and a training step."""

import platform
from pathlib import Path

import numpy as np

SPATIAL_SCALE = 1 / 16
POOL_SIZE = 7
CHANNELS = 512
# name: images, pixels of a padded image, RoIs in all
WORKLOADS = {"detection": (1, (600, 1000), 2000), "training": (2, (600, 800), 128)}


def selective_search_like_rois(count: int, n: int, height: int, width: int) -> np.ndarray:
    """RoIs [K, 5] with the sizes of fast selective search on VOC photographs scaled to 600 pixels.

    Log-normal, fitted to 9133 boxes of eight photographs: median 123 x 107 pixels, standard
    deviations 0.76 and 0.71 of the logarithms, correlation 0.51, at least 32 pixels. Positions are
    uniform.
    """
    rng = np.random.default_rng(0)
    log_size = rng.multivariate_normal(
        [4.81, 4.67], [[0.76**2, 0.51 * 0.76 * 0.71], [0.51 * 0.76 * 0.71, 0.71**2]], count
    )
    size = np.clip(np.exp(log_size), 32, [width, height])
    corner = rng.uniform(size=(count, 2)) * ([width, height] - size)
    image = rng.integers(0, n, (count, 1))
    return np.concatenate([image, corner, corner + size], axis=1).astype(np.float32)


def cells_along(pixels):
    """Cells of VGG16's conv5_3 along a side: four poolings that round down."""
    return pixels // 16 + (pixels % 16 > 7)


def processor_name() -> str:
    """The processor as its maker calls it."""
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
