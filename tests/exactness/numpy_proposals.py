"""The proposal layer in NumPy: float32, one operation after the other (Ren et al. 2015, 3.3).

Written from the definition, without the package. Whoever compares bit for bit gives sizes from
`exponents`: TensorFlow's `exp` and the correctly rounded one differ in the last place now and then.
"""

import numpy as np
import tensorflow as tf

# The authors' nine anchors of the first cell, in continuous boxes.
NINE = np.array(
    [
        *([-84, -40, 100, 56], [-176, -88, 192, 104], [-360, -184, 376, 200]),
        *([-56, -56, 72, 72], [-120, -120, 136, 136], [-248, -248, 264, 264]),
        *([-36, -80, 52, 96], [-80, -168, 96, 184], [-168, -344, 184, 360]),
    ],
    np.float32,
)


def propose(scores, deltas, size, scale, pre, post, base=NINE, stride=16, nms_iou=0.7, min_size=16):
    """The proposals of one image and the difference of their logits, best first.

    Args:
        scores: [H', W', A, 2], background and object.
        deltas: [H', W', A, 4].
        size: (height, width) of the image in pixels.
        scale: (x, y), of these pixels in one of the original image.
        pre, post: numbers before and after the suppression; `pre` None: no limit.
    """
    boxes = clipped_boxes(deltas, size, base, stride)
    logits = (scores[..., 1] - scores[..., 0]).reshape(-1)
    least = np.float32(min_size) * np.float32(scale)
    usable = is_usable(scores, deltas, boxes, size, least, stride)
    boxes = boxes.reshape(-1, 4)
    # Stable: of equal scores the one with the lower index first.
    order = [i for i in np.argsort(-logits, kind="stable") if usable[i]][:pre]
    order = np.array(order, int)
    kept = order[suppress(boxes[order], nms_iou, post)]
    return boxes[kept], logits[kept]


def clipped_boxes(deltas, size, base, stride):
    """The moved anchors [H', W', A, 4], cut at the image."""
    rows, columns = deltas.shape[:2]
    shift = np.zeros((rows, columns, 1, 4), np.float32)
    shift[..., 0::2] = stride * np.arange(columns, dtype=np.float32)[None, :, None, None]
    shift[..., 1::2] = stride * np.arange(rows, dtype=np.float32)[:, None, None, None]
    corner, side = base[:, :2] + shift[..., :2], base[:, 2:] - base[:, :2]
    half = np.float32(0.5) * side
    largest = np.float32(np.log(1000 / 16))
    with np.errstate(over="ignore", invalid="ignore"):
        center = corner + half + deltas[..., :2] * side
        half = half * exp(np.minimum(deltas[..., 2:], largest))
        moved = np.concatenate([center - half, center + half], axis=-1)
    limit = np.float32([size[1], size[0], size[1], size[0]])
    return np.minimum(np.maximum(moved, np.float32(0)), limit)


def is_usable(scores, deltas, boxes, size, least, stride):
    """Which anchors [H' W' A] may become proposals; `least` is the shortest (width, height)."""
    is_own = np.zeros(scores.shape[:3], bool)
    is_own[: max(size[0] // stride, 1), : max(size[1] // stride, 1)] = True
    side = boxes[..., 2:] - boxes[..., :2]
    with np.errstate(invalid="ignore"):
        is_large = ((side >= least) & (side > 0)).all(axis=-1)
    is_finite = np.isfinite(scores).all(axis=-1) & np.isfinite(deltas).all(axis=-1)
    return (is_own & is_large & is_finite).reshape(-1)


def suppress(boxes, iou, count):
    """The first `count` boxes that overlap no kept one before them by more: their indices."""
    kept, left = [], np.arange(len(boxes))
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(left) and len(kept) < count:
        i, left = left[0], left[1:]
        kept.append(i)
        width = np.minimum(boxes[i, 2], boxes[left, 2]) - np.maximum(boxes[i, 0], boxes[left, 0])
        height = np.minimum(boxes[i, 3], boxes[left, 3]) - np.maximum(boxes[i, 1], boxes[left, 1])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        left = left[common / (area[i] + area[left] - common) <= np.float32(iou)]
    return np.array(kept, int)


def exp(x):
    """Correctly rounded, but for one case in many millions."""
    return np.exp(x.astype(np.float64)).astype(np.float32)


def exponents(count, low=-1.0, high=1.0, seed=0):
    """Random float32 numbers whose `exp` TensorFlow gives as NumPy does, alone and in a vector."""
    x = np.random.default_rng(seed).uniform(low, high, 2 * count).astype(np.float32)
    x = x[(tf.exp(x).numpy() == exp(x)) & [tf.exp(v).numpy() == exp(v) for v in x]]
    assert len(x) >= count
    return x[:count]
