"""What the tests of masks in data sets share: small images, files and bitmaps."""

import json

import numpy as np
from PIL import Image

from keras_frcnn import run_length

H, W = 30, 40
SQUARE = [5, 5, 15, 5, 15, 20, 5, 20]


def bitmaps(record):
    return [run_length.to_bitmap(m, record.height, record.width) for m in record.masks]


def filled(x1, y1, x2, y2):
    bitmap = np.zeros((H, W), np.uint8)
    bitmap[y1:y2, x1:x2] = 1
    return bitmap


def photograph(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(path)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
