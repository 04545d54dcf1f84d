"""Selective search (Uijlings et al., IJCV 2013) by OpenCV, as a function of the image alone.

P is the number of proposals of an image.
"""

from dataclasses import dataclass

import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.opencv import opencv

# Part of every cache key: raise it when the same parameters start to give other boxes.
_VERSION = 1


@dataclass(frozen=True)
class SelectiveSearch:
    """Object proposals of an image by selective search: a function with parameters.

    Args:
        mode: "fast" (2 colour spaces, 3 segmentations, 2 similarities) or "quality" (5, 5 and 4),
            several times slower.
        max_boxes: how many boxes are kept.
        min_size: the least width and height of a box, in pixels of the original image. R-CNN
            dropped sides below 20 pixels at a width of 500. A box of 12 overlaps an object of 9
            pixels by half, and smaller ones fall into a single cell of the feature map.
        max_side: an image with a longer side is searched scaled down to it, as R-CNN searched at
            a width of 500; time grows faster than the number of pixels.
        k: threshold of the finest segmentation; the others have 2k, 3k and so on. Smaller values
            give more and smaller regions.
        sigma: of the Gaussian blur before the segmentation, in searched pixels.

    Raises:
        InputError: a parameter is out of its range.
    """

    mode: str = "fast"
    max_boxes: int = 2000
    min_size: int = 12
    max_side: int = 500
    k: int = 50
    sigma: float = 0.5

    def __post_init__(self):
        if self.mode not in ("fast", "quality"):
            raise InputError(f'mode is {self.mode!r}; selective search has "fast" and "quality"')
        for name in ("max_boxes", "min_size", "max_side", "k"):
            value, least = getattr(self, name), 16 if name == "max_side" else 1
            if not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}; it must be an integer of at least {least}")
        if not 0 <= self.sigma < 100:
            raise InputError(f"sigma is {self.sigma!r}; it must be between 0 and 100")

    @property
    def cache_key(self) -> str:
        """What the boxes depend on besides the image."""
        return f"{self!r} version {_VERSION}"

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Find the proposals of a uint8 RGB image [H, W, 3].

        Returns float32 [P, 4], boxes (x1, y1, x2, y2) in pixels of `image`, inside it, all
        different, in a random but fixed order; the whole image where the search finds nothing.
        The same image and parameters always give the same boxes. Raises `InputError` for
        another kind of array, and where OpenCV lacks selective search.
        """
        cv2 = opencv()
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(
                "selective search needs a non-empty uint8 RGB image [H, W, 3], "
                f"got {image.dtype} {list(image.shape)}"
            )
        height, width = image.shape[:2]
        shrink = min(1.0, self.max_side / max(height, width))
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        if shrink < 1:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(image[:, :, ::-1]))  # OpenCV expects BGR
        if self.mode == "fast":
            search.switchToSelectiveSearchFast(self.k, self.k, self.sigma)
        else:
            search.switchToSelectiveSearchQuality(self.k, self.k, self.sigma)
        xywh = search.process().astype(np.float64)
        boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        boxes = (boxes * np.tile([width / size[0], height / size[1]], 2)).astype(np.float32)
        boxes = np.minimum(boxes, np.float32([width, height, width, height]))
        large = (boxes[:, 2:] - boxes[:, :2] >= self.min_size).all(axis=1)
        boxes = np.unique(boxes[large], axis=0)
        # OpenCV orders them by rand(), which depends on what ran before; the set does not. A
        # random order of our own, since any other would favour some sizes when it is cut off
        # (and RandomState, since NumPy promises that its numbers stay the same).
        boxes = boxes[np.random.RandomState(0).permutation(len(boxes))[: self.max_boxes]]
        return boxes if len(boxes) else np.float32([[0, 0, width, height]])
