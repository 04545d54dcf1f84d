"""Checkpoints and weight files."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from keras_frcnn.models.caffemodel import read_caffemodel
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.faster_rcnn import FasterRCNN
from keras_frcnn.models.hdf5 import read_hdf5
from keras_frcnn.models.weights import load_pretrained
from keras_frcnn.runs.checkpoints import read_sums, save_checkpoint
from keras_frcnn.runs.directory import load_checkpoint, save_settings
from keras_frcnn.training.optimizer import SGD
from tests.faults.campaign import Lost, refusal_names
from tests.faults.mutations import mutated_bytes, mutated_json
from tests.models.caffe_files import net
from tests.models.caffe_network import ANCHOR_OPTIONS, TRUNK, random_layers
from tests.tiny import add_trunk, tiny_settings


def checkpoint(folder: Path):
    """The newer of two: its weights, those of the older one with a word, or a refusal.

    Half of the files are prepared ones: a member is changed and the checksums are right.
    """
    add_trunk(pytest.MonkeyPatch())
    settings = tiny_settings()
    model = FastRCNN(settings.class_names, "tiny", None)
    model.compile(SGD(0.01), "mse", jit_compile=False)
    save_settings(folder, settings)
    weights = []
    for step in (1, 2):
        model.optimizer.iterations.assign(step)
        model.get_layer("conv1").bias.assign(np.full(8, step, np.float32))
        path = save_checkpoint(folder, model, keep=2)
        weights.append(model.get_weights())
    whole = path.read_bytes()

    def attempt(rng):
        is_prepared = rng.integers(2)
        damaged = _prepared(rng, whole) if is_prepared else mutated_bytes(rng, whole)
        path.write_bytes(damaged)
        # Without a word about the older one: a whole file that is no model is not passed over.
        with refusal_names(path):
            read = load_checkpoint(folder, settings, compile=bool(rng.integers(2)))
            found = read.get_weights()
            if not is_prepared and not any(_same(found, known) for known in weights):
                raise Lost("other weights than were saved")
        with refusal_names(path):
            if zipfile.is_zipfile(path):
                read_sums(path)
        if path.read_bytes() != damaged:
            raise Lost("the file was changed by reading it")

    return attempt


def _prepared(rng, content):
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        names = old.namelist()
        changed = names[rng.integers(len(names))]
        for name in names:
            member = old.read(name)
            if name == changed:
                is_json = name.endswith(".json") and rng.integers(4)
                change = mutated_json if is_json else mutated_bytes
                member = change(rng, member.decode() if is_json else member)
            new.writestr(name, member)
    return file.getvalue()


def _same(found, expected):
    return len(found) == len(expected) and all(map(np.array_equal, found, expected))


def hdf5(folder: Path):
    """Weights in the layout of Keras Applications: finite numbers, or a refusal."""
    whole = folder / "whole.h5"
    rng = np.random.default_rng(7)
    with h5py.File(whole, "w") as file:
        layers = ("conv1", "conv2", "fc6")
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name in layers:
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            group[f"{name}/kernel:0"] = rng.normal(size=(3, 3, 4, 8)).astype(np.float32)
            group.create_dataset(
                f"{name}/bias:0", data=np.ones(8, np.float32), chunks=(8,), compression="gzip"
            )
    content = whole.read_bytes()
    path = folder / "weights.h5"
    parts = [content.index(mark) for mark in (b"TREE", b"SNOD", b"HEAP", b"layer_names")]

    def attempt(rng):
        if rng.integers(2):  # near what describes the rest
            start = parts[rng.integers(len(parts))]
            damaged = content[:start] + mutated_bytes(rng, content[start : start + 400])
            damaged += content[start + 400 :]
        else:
            damaged = mutated_bytes(rng, content)
        path.write_bytes(damaged)
        with refusal_names(path):
            _check_numbers(read_hdf5(path))

    return attempt


def _check_numbers(layers):
    for name, values in layers.items():
        for value in values:
            if value.dtype.kind not in "fiu" or not np.isfinite(value).all():
                raise Lost(f"{name} is read as {value}")


def caffemodel(folder: Path):
    """Caffe's weights in both kinds of messages: finite numbers in a detector, or a refusal."""
    network = random_layers(num_classes=2)
    whole = [net(network, v1=v1, old_shapes=v1).SerializeToString() for v1 in (False, True)]
    # Where a layer begins; behind it come its name, type and shapes.
    starts = [
        [content.index(name.encode()) for name, _, arrays in network if arrays] for content in whole
    ]
    model = FasterRCNN(("one", "two"), TRUNK, None, ANCHOR_OPTIONS)
    path = folder / "weights.caffemodel"

    def attempt(rng):
        which = rng.integers(2)
        content = whole[which]
        if rng.integers(2):
            start = max(starts[which][rng.integers(len(starts[which]))] - 8, 0)
            damaged = content[:start] + mutated_bytes(rng, content[start : start + 60])
            damaged += content[start + 60 :]
        else:
            damaged = mutated_bytes(rng, content)
        path.write_bytes(damaged)
        with refusal_names(path):
            _check_numbers(read_caffemodel(path))
            load_pretrained(model, TRUNK, str(path))

    return attempt
