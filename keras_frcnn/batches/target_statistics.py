"""Mean and standard deviation of the regression targets of a training set, and their cache.

They depend on the boxes alone and take a pass over all of them. Each training set with its
proposals has a file of its own, `targets/<fingerprint>.npz` in the cache folder.
"""

import hashlib
import warnings
import zipfile
from pathlib import Path

import numpy as np

from keras_frcnn import boxes as box_ops
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_cache_folder, replacing
from keras_frcnn.sampling import assign
from keras_frcnn.waiting import telling_of_waits

# Less spread than this is none to normalise by: the proposals of a class agree in a coordinate with
# their objects, or there are none.
_MIN_STD = 1e-4

# Part of every fingerprint: raise it when the same boxes start to give other statistics.
_VERSION = 1


def target_statistics(images: ImageSet, fg_iou: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Per-class statistics of every foreground RoI's targets, as the released code takes them.

    All proposals and ground-truth boxes with IoU >= `fg_iou` count, in the image and in its
    mirror image; difficult objects do not. Targets do not depend on the scale of the image.

    Returns:
        mean [K, 4] and std [K, 4], float32. A std below 1e-4 becomes 1; a class without objects
        has mean 0 and std 1.
    """
    num_classes = len(images.dataset.class_names)
    count = np.zeros((num_classes, 1))
    total = np.zeros((num_classes, 4))
    squares = np.zeros((num_classes, 4))
    for record, image_proposals in zip(images.dataset.images, images.proposals, strict=True):
        gt_boxes = record.boxes[~record.is_difficult]
        gt_classes = record.labels[~record.is_difficult]
        if not len(gt_boxes):
            continue
        rois = np.concatenate([image_proposals, gt_boxes])
        overlap, best = (x.numpy() for x in assign(rois, gt_boxes))
        is_fg = overlap >= fg_iou
        targets = box_ops.encode(rois[is_fg], gt_boxes[best[is_fg]]).numpy().astype(np.float64)
        index = gt_classes[best[is_fg]] - 1
        for t in (targets, targets * [-1, 1, 1, 1]):  # the image, and its mirror image
            np.add.at(count, index, 1)
            np.add.at(total, index, t)
            np.add.at(squares, index, t**2)
    mean = total / np.maximum(count, 1)
    std = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0))
    return mean.astype(np.float32), np.where(std < _MIN_STD, 1, std).astype(np.float32)


def cached_target_statistics(
    images: ImageSet, fg_iou: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """The mean and std, float32 [K, 4], of `target_statistics`, computed once.

    Of more than 10,000 images they are those of so many (`ImageSet.sample`). A damaged file is
    replaced, with a warning.

    Raises:
        InputError: the cache folder cannot be written.
    """
    images = images.sample()
    path = make_cache_folder("targets") / f"{fingerprint(images, fg_iou)}.npz"
    shape = (len(images.dataset.class_names), 4)
    if path.exists():
        try:
            with telling_of_waits(f"reading {path}"):
                return _read(path, shape)
        # What NumPy raises depends on which bytes are damaged.
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(f"{path} is damaged ({error}) and computed again", stacklevel=2)
    mean, std = target_statistics(images, fg_iou)
    _write(path, mean, std)
    return mean, std


def fingerprint(images: ImageSet, fg_iou: float) -> str:
    """SHA-256 of all that the statistics depend on: number of classes, objects and proposals."""
    digest = hashlib.sha256(f"{_VERSION} {len(images.dataset.class_names)} {fg_iou!r}".encode())
    for record, image_proposals in zip(images.dataset.images, images.proposals, strict=True):
        for array, dtype in (
            (record.boxes, "<f4"),
            (record.labels, "<i4"),
            (record.is_difficult, "u1"),
            (image_proposals, "<f4"),
        ):
            digest.update(f" {len(array)} ".encode())
            digest.update(np.ascontiguousarray(array, dtype))
    return digest.hexdigest()


def _read(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as file:
        mean, std = file["mean"], file["std"]
    for values in (mean, std):
        if values.shape != shape or values.dtype != np.float32 or not np.isfinite(values).all():
            raise ValueError(f"holds {values.dtype} {values.shape}, not finite float32 {shape}")
    return mean, std


def _write(path: Path, mean: np.ndarray, std: np.ndarray) -> None:
    try:
        with telling_of_waits(f"writing {path}"), replacing(path) as partial:
            np.savez(partial, mean=mean, std=std)
    except InputError as error:
        raise InputError(
            f"{error}; see that the cache folder ($KERAS_FRCNN_CACHE) can be written to and that "
            "the disk has room"
        ) from error
