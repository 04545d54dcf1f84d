"""Whether a data set teaches every anchor something, before a training begins.

An anchor that is positive nowhere is never trained but scored at detection: its logits stay near
zero while those of trained background sink, so it may flood the best proposals.
"""

from collections.abc import Sequence

import numpy as np

from keras_frcnn.batches.anchor_scales import suggest_scales
from keras_frcnn.batches.anchor_statistics import (
    anchor_statistics,
    count_positives,
    images_without_anchors,
)
from keras_frcnn.batches.scaled_objects import ScaledObjects, scaled_objects
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.errors import InputError
from keras_frcnn.models.anchors import RATIOS, SCALES, base_anchors
from keras_frcnn.settings import format_value

FEW = 10  # positives: fewer are worth a warning
NAMED = 3  # files in a message, at most


def check_anchors(
    dataset: Dataset,
    scales: Sequence[float] = SCALES,
    ratios: Sequence[float] = RATIOS,
    stride: int = 16,
    min_side: Sequence[int] = (600,),
    max_side: int = 1000,
) -> list[str]:
    """Refuse anchors that would stay untrained; it reads no image.

    Args:
        dataset: to train on.
        scales, ratios, stride: as for `anchors.base_anchors`.
        min_side, max_side: how images are scaled, as for `scaled_objects`.

    Returns:
        warnings, a line each: anchors with fewer than ten positives in all images, and images that
        are too small for any anchor.

    Raises:
        InputError: an anchor is positive nowhere; the message has scales, or scales and ratios,
            with which none is.
    """
    objects = scaled_objects(dataset, min_side, max_side)
    base = base_anchors(scales, ratios, stride)
    positives = np.zeros(len(base), int)
    for image in count_positives(objects, base, stride):
        positives += image.positives
        if positives.min() >= FEW:  # which in most data sets a few hundred images show
            break
    if not positives.all():
        idle = np.flatnonzero(positives == 0)
        raise InputError(
            f"--anchor-scales {format_scales(scales)}: {len(idle)} of {len(base)} anchors have no "
            f"object to learn from in {dataset.name} ({describe(base, idle)}) and would be scored "
            f"untrained; {_remedy(objects, len(scales), ratios, stride)}"
        )
    warnings = []
    if positives.min() < FEW:
        few = describe(base, np.flatnonzero(positives < FEW))
        warnings.append(
            f"{dataset.name}: anchors with fewer than {FEW} positives in all images: {few}; "
            f"keras-frcnn anchors compares other --anchor-scales"
        )
    if small := images_without_anchors(objects, base, stride):
        named = ", ".join(small[:NAMED]) + (", ..." if len(small) > NAMED else "")
        warnings.append(
            f"{dataset.name}: {len(small)} of {len(set(objects.filenames))} images are too small "
            f"for any anchor and teach the proposals nothing: {named}"
        )
    return warnings


def describe(base: np.ndarray, which: Sequence[int]) -> str:
    """The sizes of these anchors of `base` [A, 4] in pixels, such as "352 x 704, 88 x 176"."""
    sizes = (base[which, 2:] - base[which, :2]).astype(int)
    return ", ".join(f"{width} x {height}" for width, height in sizes)


def format_scales(scales: Sequence[float]) -> str:
    """The scales, or ratios, as the command line takes them, whole ones without a point."""
    return format_value(tuple(int(s) if s == int(s) else s for s in scales))


def _remedy(objects: ScaledObjects, count: int, ratios: Sequence[float], stride: int) -> str:
    """The options that leave no anchor idle: as many scales, else fewer, else fewer ratios."""
    for n in range(count, 0, -1):
        scales = suggest_scales(objects, n, ratios, stride)
        base = base_anchors(scales, ratios, stride)
        idle = anchor_statistics(objects, base, stride).idle
        if not len(idle):
            return f"with --anchor-scales {format_scales(scales)} all learn"
    used = [ratio for i, ratio in enumerate(ratios) if i not in idle]  # of the one scale left
    if not used:
        return "the objects are too small, scale the images to a larger --min-side"
    return (
        f"with --anchor-scales {format_scales(scales)} --anchor-ratios {format_scales(used)} "
        "all learn"
    )
