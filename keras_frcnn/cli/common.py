"""What several commands begin with: the data set asked for."""

import sys

from keras_frcnn import data
from keras_frcnn.cli.training_options import given
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.hash_splits import FRACTIONS
from keras_frcnn.data.voc_annotation import tidy_name


def load_dataset(
    spec, split, data_dir, class_names=None, fractions=None, masks: bool = True
) -> Dataset:
    """The data set of --data and its kind; how it was divided and what is doubtful in it is said.

    `fractions` are those of --fractions, or a run's; the default ones if None. Without `masks` the
    objects' masks are not looked at.
    """
    dataset = data.load(spec, split or None, class_names, data_dir, fractions or FRACTIONS, masks)
    for line in dataset.notes:
        print(line, file=sys.stderr)
    for line in dataset.warnings:
        print(f"warning: {line}", file=sys.stderr)
    return dataset


def asked_fractions(args) -> tuple[float, ...] | None:
    """The parts of --fractions; None where it is not given."""
    return given(args, ("fractions",)).get("fractions")


def asked_classes(args) -> tuple[str, ...] | None:
    """The names of --classes; None for those of the annotations."""
    return tuple(map(tidy_name, args.classes.split(","))) if args.classes else None


def metric_of(data: str) -> str:
    """The metric of the challenge of the data set's year."""
    return "11point" if data.startswith("voc/2007") else "area"
