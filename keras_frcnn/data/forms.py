"""Which form a data set on disk has."""

import os
from pathlib import Path

from keras_frcnn.data.coco import find_coco, read_coco
from keras_frcnn.data.csv_table import find_tables, read_tables
from keras_frcnn.data.labelme import find_labelme, read_labelme
from keras_frcnn.data.mask_images import find_mask_images, read_mask_images
from keras_frcnn.data.source import Source
from keras_frcnn.data.via import find_via, read_via
from keras_frcnn.data.voc import VOC_CLASSES, VocFolder
from keras_frcnn.data.voc_files import Files
from keras_frcnn.data.voc_layout import find_layout
from keras_frcnn.data.voc_masks import find_voc_masks, read_voc_masks
from keras_frcnn.data.yolo import find_yolo, read_yolo
from keras_frcnn.errors import InputError


def recognise(path: str | os.PathLike) -> Source:
    """The data set in a folder, or of one file of annotations (.json, .yaml, .csv).

    Where a folder could be read in several forms, the first of Pascal VOC, COCO, YOLO, a table,
    LabelMe, VIA and images of masks is taken.

    Raises:
        InputError: it has none of these forms, or its files are at fault.
    """
    path = Path(path)
    layout = find_layout(path) if path.is_dir() else None
    if layout and Files(layout.annotations, (".xml",)).paths:
        return VocFolder(path)
    if files := find_coco(path):
        return read_coco(path, files)
    if file := find_yolo(path):
        return read_yolo(path, file)
    if files := find_tables(path):
        return read_tables(path, files)
    if files := find_labelme(path):
        return read_labelme(path, files)
    if files := find_via(path):
        return read_via(path, files)
    if folder := find_voc_masks(path):
        return read_voc_masks(path, folder, VOC_CLASSES)
    if folders := find_mask_images(path):
        return read_mask_images(path, folders)
    if layout:  # Annotations without any: VocFolder says what is missing
        return VocFolder(path)
    raise InputError(
        f"{path}: is no data set in a form that is known: Pascal VOC (an .xml an image, beside it "
        "or in Annotations), COCO (instances_*.json or _annotations.coco.json), YOLO (data.yaml, "
        "or labels with classes.txt), a table (.csv with image, x1, y1, x2, y2, class), LabelMe (a "
        ".json an image), VIA (a .json of many) or images of masks (beside images a folder masks)"
    )
