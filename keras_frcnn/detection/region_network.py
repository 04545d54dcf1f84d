"""The proposals of a whole data set from a trained region proposal network, kept in a cache.

In this process: TensorFlow uses all cores for one image already.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.proposer import Proposer
from keras_frcnn.proposals.cache import cached_proposals

# Part of every cache key: raise it when the same network starts to give other boxes.
_VERSION = 1


def network_proposals(
    proposer: Proposer,
    dataset: Dataset,
    cache_path: str | Path | None = None,
    progress: bool = True,
) -> Sequence[np.ndarray]:
    """The proposals of every image of a data set, in its order.

    Every image is stored as soon as it is done, so that Ctrl-C, or even SIGKILL, costs only the
    one at hand.

    Args:
        proposer: which also says how many are kept of an image and out of how many boxes.
        dataset: the images; each is seen upright.
        cache_path: the SQLite file to use instead of `default_cache_path(dataset)`.
        progress: whether to show progress while an image is missing in the cache.

    Returns:
        float32 [P, 4] for each image, best first, in pixels of the image and inside it.

    Raises:
        InputError: an image cannot be read, or the cache file is not usable; it is named.
    """

    def search(missing):
        for key, record in missing.items():
            boxes, _ = proposer.propose(read_image(record.path, record.orientation))
            # Scaled back, a box at the border may reach over it by a rounding.
            yield key, np.minimum(boxes, np.float32([record.width, record.height] * 2))

    return cached_proposals(dataset, cache_key(proposer), search, cache_path, progress)


def cache_key(proposer: Proposer) -> str:
    """What the boxes depend on besides the image: weights, options, scales, means and precision.

    Not the machine, though the last bits of a network's outputs are its own: cached boxes are
    those of the machine that made them.
    """
    config = proposer.layer.get_config()
    stride = "strides" if "strides" in config else "stride"
    options = {k: config[k] for k in ("scales", "ratios", stride, "nms_iou", "min_size")}
    options |= {k: config[k] for k in ("pre_nms", "post_nms")}
    seen = (proposer.min_side, proposer.max_side, proposer.pixel_means)
    precision = sorted({layer.compute_dtype for layer in proposer.maps.layers})
    digest = weights_sha256(proposer.maps)
    return f"region network {digest} {options} {seen} {precision} version {_VERSION}"


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 of all weights of a model, with their places, shapes and types."""
    digest = hashlib.sha256()
    for layer in model.layers:
        for i, value in enumerate(layer.get_weights()):
            digest.update(f"{layer.name} {i} {value.shape} {value.dtype.str}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
