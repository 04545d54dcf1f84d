"""What `keras-frcnn bench train` trains on: made-up photographs with objects and proposals."""

from pathlib import Path

import numpy as np
from PIL import Image

from keras_frcnn.benchmarks.roi_pool_workload import selective_search_like_rois
from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.opencv import opencv

NUM_CLASSES = 20
PROPOSALS = 2000
OBJECTS = 3
NEAR = 64  # proposals around each object; a third foreground, the rest background
VOC_SIZE = (375, 500)  # height and width of most photographs of VOC; 600 x 800 when scaled


def workload(folder: Path, sizes: list[tuple[int, int]]) -> ImageSet:
    """Write a JPEG file of every (height, width) into `folder`; a data set and its proposals.

    The files are of the size of VOC's (about 90 KB for 375 x 500 pixels), as is the number of
    proposals, and enough of these lie around the objects to sample from.
    """
    rng = np.random.default_rng(0)
    records, proposals = [], []
    for i, (height, width) in enumerate(sizes):
        path = folder / f"{i:04d}.jpg"
        Image.fromarray(photograph(rng, height, width)).save(path, quality=85)
        boxes = selective_search_like_rois(PROPOSALS, 1, 600, 800)[rng.permutation(PROPOSALS), 1:]
        boxes *= np.float32([width / 800, height / 600] * 2)
        objects = boxes[:OBJECTS].copy()
        near = np.repeat(objects, NEAR, axis=0)
        shift = rng.uniform(0, 0.5, (len(near), 1)) * (near[:, 2:] - near[:, :2])
        boxes[OBJECTS : OBJECTS + len(near)] = near + np.tile(shift, 2)
        labels = rng.integers(1, NUM_CLASSES + 1, OBJECTS).astype(np.int32)
        difficult = np.zeros(OBJECTS, bool)
        records.append(
            ImageRecord(path.name, str(path), height, width, 1, objects, labels, difficult)
        )
        proposals.append(boxes)
    names = tuple(f"class {k}" for k in range(1, NUM_CLASSES + 1))
    return ImageSet(Dataset("made up for the benchmark", names, tuple(records)), proposals)


def photograph(rng, height, width):
    """Noise of every scale and the grain of a film: uint8 [height, width, 3]."""
    cv2 = opencv()
    image = rng.normal(128, 18, (height, width, 3)).astype(np.float32)
    for octave in range(9):
        cells = rng.normal(size=(2 + 2**octave, 2 + 2**octave, 3)).astype(np.float32)
        layer = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
        image += layer * (50 / 1.2**octave)
    return np.clip(image, 0, 255).astype(np.uint8)
