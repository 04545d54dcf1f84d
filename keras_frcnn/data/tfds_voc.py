"""Pascal VOC from TensorFlow Datasets, unpacked once into a folder in VOC format.

Unpacking gives images a path like those of every other data set, keeps their bytes as they are,
and leaves the pixel convention to the one reader in `voc.py`.
"""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np

from keras_frcnn.data.images import read_header
from keras_frcnn.data.voc_writer import (
    WrittenObject,
    cached_folder,
    write_annotation,
    write_split,
)
from keras_frcnn.errors import InputError
from keras_frcnn.progress_bar import counted

VOC_SPLITS = {"train": "train", "validation": "val", "test": "test"}  # by TFDS name


def unpack(name: str, data_dir: str | os.PathLike | None = None) -> Path:
    """Unpacks `voc/2007` or `voc/2012` of TensorFlow Datasets on first use.

    Downloads and prepares the data set as TFDS does, unless it is prepared in `data_dir` (by
    default ~/tensorflow_datasets or $TFDS_DATA_DIR).

    Returns:
        A folder of the cache in VOC format, with the splits train, val, trainval and test, sorted
        as in the original archive.

    Raises:
        InputError: the data set is neither prepared nor can it be downloaded.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    builder = tfds.builder(name, data_dir=data_dir)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()  # which would fill a file or pipe with hundreds of lines
    try:
        builder.download_and_prepare()
    except (OSError, tfds.download.DownloadError, NonMatchingChecksumError) as error:
        archives = " and ".join(builder.builder_config.filenames.values())
        manual = Path(builder.data_dir).parents[2] / "downloads" / "manual"
        raise InputError(
            f"{name}: is not prepared in {builder.data_dir} and could not be downloaded ({error}). "
            f"Put the original archives {archives} into {manual} and try again, give the folder "
            "that holds a prepared copy as data directory, or give an unpacked VOCdevkit folder "
            "as data set"
        ) from error

    # Another preparation, of another version or in another place, gets a folder of its own.
    info = (Path(builder.data_dir) / "dataset_info.json").read_bytes()
    key = hashlib.sha256(os.fsencode(os.path.abspath(builder.data_dir)) + info).hexdigest()[:12]
    folder = f"{builder.info.full_name.replace('/', '-')}-{key}"
    return cached_folder(folder, lambda folder: _write(builder, folder))


def _write(builder, folder: Path) -> None:
    import tensorflow_datasets as tfds

    class_name = builder.info.features["objects"]["label"].int2str
    source = f"PASCAL VOC{builder.builder_config.year}"
    ids: dict[str, list[str]] = {}
    for split, voc_split in VOC_SPLITS.items():
        annotated = split != "test" or builder.builder_config.has_test_annotations
        examples = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
        ids[voc_split] = []
        for example in counted(
            tfds.as_numpy(examples),
            builder.info.splits[split].num_examples,
            f"unpacking {builder.info.full_name} {split}",
        ):
            filename = example["image/filename"].decode()
            image = folder / "JPEGImages" / filename
            image.write_bytes(example["image"])
            ids[voc_split].append(image.stem)
            if annotated:
                header = read_header(image)
                size = (header.height, header.width)
                objects = _objects(example["objects"], size, class_name)
                write_annotation(folder, filename, size, objects, source)
    ids["trainval"] = ids["train"] + ids["val"]
    for voc_split in ids:
        write_split(folder, voc_split, sorted(ids[voc_split]))


def _objects(objects, size: tuple[int, int], class_name) -> list[WrittenObject]:
    # TFDS divides the numbers of the XML by height and width and makes no other change to them:
    # multiplied again they are still 1-based and inclusive. Three decimals are more than the
    # annotations have and fewer than float32 loses.
    height, width = size
    yxyx = np.round(objects["bbox"].astype(np.float64) * (height, width, height, width), 3)
    return [
        WrittenObject(class_name(label), (xmin, ymin, xmax, ymax), truncated, difficult)
        for (ymin, xmin, ymax, xmax), label, truncated, difficult in zip(
            yxyx, objects["label"], objects["is_truncated"], objects["is_difficult"], strict=True
        )
    ]
