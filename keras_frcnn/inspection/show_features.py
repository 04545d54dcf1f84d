"""What RoI pooling reads: the cells of a RoI on the feature map, and which of them its bins take.

Shape letters: H x W cells of the feature map, C channels, R RoIs, PH x PW bins.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from keras_frcnn.custom_ops import roi_pool
from keras_frcnn.custom_ops.reference import bin_bounds, round_half_away
from keras_frcnn.data.preprocessing import box_scale, pad_small, scale_image, scaled_size
from keras_frcnn.detection.detector import Detector
from keras_frcnn.errors import InputError
from keras_frcnn.models.heads import REGION_LAYER
from keras_frcnn.pictures.canvas import GREY, WHITE, Canvas, class_colour
from keras_frcnn.pictures.draw import contact_sheet

CHANNELS = 3  # of which the chosen cells are drawn
_CELL = 24  # pixels of a cell in the picture, fewer where the map is large
_MOST = 1200  # pixels of a side of the picture of the map


class ShownFeatures(NamedTuple):
    """The feature map of one image, and what the layer reads of it for each RoI."""

    features: np.ndarray  # [H, W, C] float32
    rois: np.ndarray  # [R, 4] float32, in pixels of the scaled image
    cells: np.ndarray  # [R, 4] int, first and last column and row: x1, y1, x2, y2
    rows: np.ndarray  # [R, PH, 2] int, of each bin the first row and the one behind the last
    columns: np.ndarray  # [R, PW, 2] int
    pooled: np.ndarray  # [R, PH, PW, C] float32
    argmax: np.ndarray  # [R, PH, PW, C] int, y * W + x of the cell, -1 in an empty bin
    channels: np.ndarray  # [R, CHANNELS] int, the strongest ones of each RoI
    picture: Image.Image  # the RoIs below each other: the map, and the bins of a channel each


def show_features(detector: Detector, image: np.ndarray, boxes: np.ndarray) -> ShownFeatures:
    """Pool RoIs as the detector does, and draw what is read.

    The map is the mean over the channels, bright where it is high. Over it lie the cells of the
    RoI in white, its bins in grey, and the cells that the bins of the strongest channels took, a
    dot of a colour each; beside it are these channels' bins. The strongest channels are those with
    the highest sum over the bins.

    Args:
        detector: a `Detector` or `ProposingDetector`, whose layer is RoI max pooling.
        image: uint8 RGB [H, W, 3].
        boxes: [R, 4] in its pixels, at least one.

    Raises:
        InputError: there is no box.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    if not len(boxes):
        raise InputError("boxes: there is none to show")
    layer = detector.model.get_layer(REGION_LAYER)
    features, rois = _read(detector, image, boxes)
    height, width = features.shape[:2]
    flat = np.column_stack([np.zeros(len(rois), np.float32), rois])
    pooled, argmax = roi_pool(features[None], flat, *layer.pool_size, layer.spatial_scale)
    pooled, argmax = tf.cast(pooled, tf.float32).numpy(), argmax.numpy()
    corners = np.array(
        [[round_half_away(v * np.float32(layer.spatial_scale)) for v in roi] for roi in rois]
    )
    rows = np.array([bin_bounds(y1, y2, layer.pool_size[0], height) for _, y1, _, y2 in corners])
    columns = np.array([bin_bounds(x1, x2, layer.pool_size[1], width) for x1, _, x2, _ in corners])
    count = min(CHANNELS, features.shape[2])
    sums = pooled.sum(axis=(1, 2))
    channels = np.argsort(-sums, axis=1, kind="stable")[:, :count]
    features = tf.cast(features, tf.float32).numpy()
    shown = ShownFeatures(
        features, rois, corners.astype(int), rows, columns, pooled, argmax, channels, None
    )
    return shown._replace(picture=_draw(shown))


def _read(detector: Detector, image: np.ndarray, boxes: np.ndarray):
    """The feature map of an image, and its boxes in pixels of the scaled image."""
    features = detector.model.get_layer(REGION_LAYER).input[0]
    images = next(x for x in detector.model.inputs if len(x.shape) == 4)
    image_size = tf.constant(image.shape[:2])
    size = scaled_size(image_size, detector.min_side, detector.max_side)
    scaled = pad_small(scale_image(image[None], size, detector.pixel_means))
    found = keras.Model(images, features)(scaled, training=False)[0]
    return found, (boxes * box_scale(image_size, size)).numpy()


def _draw(shown: ShownFeatures) -> Image.Image:
    pictures = []
    cell = max(2, min(_CELL, _MOST // max(shown.features.shape[:2])))
    ground = _grey(shown.features.mean(axis=2), cell)
    for r in range(len(shown.rois)):
        pictures.append(_map(shown, r, ground, cell))
        pictures += [
            _bins(shown.pooled[r, :, :, channel], channel, class_colour(i + 1))
            for i, channel in enumerate(shown.channels[r])
        ]
    return contact_sheet(pictures, 1 + shown.channels.shape[1], 600)


def _map(shown: ShownFeatures, r: int, ground: np.ndarray, cell: int) -> Image.Image:
    """The feature map with the cells of a RoI."""
    width = shown.features.shape[1]
    canvas = Canvas(ground, 450)
    for top, bottom in shown.rows[r]:
        for left, right in shown.columns[r]:
            canvas.box(cell * np.array([left, top, right, bottom]), GREY)
    x1, y1, x2, y2 = shown.cells[r]
    canvas.box(cell * np.array([x1, y1, x2 + 1, y2 + 1]), WHITE)
    for i, channel in enumerate(shown.channels[r]):
        for place in np.unique(shown.argmax[r, :, :, channel]):
            if place >= 0:
                y, x = divmod(int(place), width)
                # Dots of several channels side by side in their cell.
                middle = (x + (i + 1) / (1 + len(shown.channels[r]))) * cell, (y + 0.5) * cell
                canvas.dot((*middle, *middle), class_colour(i + 1))
    box = ", ".join(f"{v:.0f}" for v in shown.rois[r])
    canvas.caption(f"RoI {box}: {x2 - x1 + 1} x {y2 - y1 + 1} cells")
    return canvas.finished()


def _bins(values: np.ndarray, channel: int, colour: Sequence[int]) -> Image.Image:
    """The bins of one channel, and which dots are its."""
    cell = max(2, 280 // max(values.shape))
    canvas = Canvas(np.pad(_grey(values, cell), ((0, 28), (0, 0), (0, 0)), constant_values=255))
    canvas.caption(f"channel {channel}")
    canvas.box((0, 0, values.shape[1] * cell, values.shape[0] * cell), tuple(colour))
    return canvas.finished()


def _grey(values: np.ndarray, cell: int) -> np.ndarray:
    """Values [H, W] as squares of `cell` pixels, the least of them dark and the most bright."""
    low, high = float(values.min()), float(values.max())
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    pixels = np.repeat(np.repeat(np.uint8(np.round(20 + 200 * share)), cell, 0), cell, 1)
    return np.repeat(pixels[..., None], 3, axis=2)
