"""Proposals that come from files: .npz, .mat and the cache."""

import shutil
from pathlib import Path

import numpy as np
import scipy.io

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.proposals.cache import ProposalCache
from keras_frcnn.proposals.saved import load_proposals, save_proposals
from tests.faults.campaign import Lost, refusal_names
from tests.faults.mutations import mutated_bytes

NAMES = ("a.jpg", "sub/b.png", "ż.jpg")
DATASET = Dataset("photos", ("cat",), tuple(ImageRecord(n, n, 400, 500) for n in NAMES))


def _boxes(count=60):
    rng = np.random.default_rng(5)
    corners = np.sort(rng.integers(1, 400, (len(NAMES), count, 2, 2)), axis=2)
    return [np.add(c.reshape(-1, 4), (0, 0, 1, 1), dtype=np.float32) for c in corners]


def npz(folder: Path):
    """A file by `save_proposals`: it has checksums, so that other boxes are no result."""
    path, boxes = folder / "proposals.npz", _boxes()
    save_proposals(path, DATASET, boxes)
    content = path.read_bytes()

    def attempt(rng):
        path.write_bytes(mutated_bytes(rng, content))
        with refusal_names(path):
            _check_same(load_proposals(path, DATASET), boxes)

    return attempt


def mat(folder: Path):
    """A file as the Fast R-CNN code has them; without compression nothing tells other boxes."""
    boxes = _boxes()
    cells = {
        "images": np.empty((len(NAMES), 1), object),
        "boxes": np.empty((1, len(NAMES)), object),
    }
    cells["images"][:, 0] = [name.rsplit(".")[0] for name in NAMES]
    for i, b in enumerate(boxes):  # rows (y1, x1, y2, x2), from 1, both ends inside
        cells["boxes"][0, i] = (b[:, (1, 0, 3, 2)] + (1, 1, 0, 0)).astype(np.uint16)
    contents = []
    for do_compression in (False, True):
        scipy.io.savemat(folder / "whole.mat", cells, do_compression=do_compression)
        contents.append((folder / "whole.mat").read_bytes())
    path = folder / "proposals.mat"

    def attempt(rng):
        is_compressed = rng.integers(2)
        path.write_bytes(mutated_bytes(rng, contents[is_compressed]))
        with refusal_names(path):
            found = load_proposals(path, DATASET)
            for b in found:
                if b.dtype != np.float32 or (b < 0).any() or (b > (500, 400) * 2).any():
                    raise Lost(f"boxes outside the image: {b}")
            if is_compressed:
                _check_same(found, boxes)

    return attempt


def cache(folder: Path):
    """The SQLite file: what it still gives is what was put in."""
    boxes = dict(zip(NAMES, _boxes(), strict=True))
    path = folder / "whole.sqlite"
    with ProposalCache(path) as whole:
        for i in range(20):
            for name, b in boxes.items():
                whole.put(name, f"fast {i}", b)
    content = path.read_bytes()

    def attempt(rng):
        shutil.rmtree(folder / "tried", ignore_errors=True)
        damaged = folder / "tried" / "photos.sqlite"
        damaged.parent.mkdir()
        damaged.write_bytes(mutated_bytes(rng, content))
        with refusal_names(damaged), ProposalCache(damaged) as opened:
            for i in range(20):
                for name, b in boxes.items():
                    if (found := opened.get(name, f"fast {i}")) is not None:
                        _check_same([found], [b])
            opened.put("new", "fast", boxes["a.jpg"])
            # None: a damaged index does not find it, and the image is searched again.
            if (found := opened.get("new", "fast")) is not None:
                _check_same([found], [boxes["a.jpg"]])

    return attempt


def _check_same(found, expected):
    for f, e in zip(found, expected, strict=True):
        if f.shape != e.shape or not np.array_equal(f, e):
            raise Lost("other boxes than were stored")
