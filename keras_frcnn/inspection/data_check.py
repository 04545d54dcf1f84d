"""`keras-frcnn check`: what a data set holds, and what in it would spoil or stop a training."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.data.hash_splits import FRACTIONS, HashSplits
from keras_frcnn.data.images import read_image
from keras_frcnn.data.load import load, open_source
from keras_frcnn.data.split_names import SPLIT_NAMES, TRAINING_SPLITS
from keras_frcnn.errors import InputError
from keras_frcnn.inspection.data_faults import (
    CELL,
    Finding,
    duplicated_boxes,
    misspelled_classes,
    tiny_objects,
)
from keras_frcnn.inspection.mask_check import (
    MaskStatistics,
    beyond_boxes,
    mask_statistics,
    without_mask,
)
from keras_frcnn.progress_bar import counted
from keras_frcnn.proposals.recall import proposal_recall, total_recall

_EXAMPLES = 3
_IOU = 0.5  # at which a proposal reaches an object


@dataclass(frozen=True, eq=False)
class DataCheck:
    """What `check_data` finds out."""

    name: str  # the data set, as asked for
    form: str  # "" where the data set cannot be opened
    class_names: tuple[str, ...]
    splits: dict[str, Dataset]  # those that can be loaded; "all" of a data set without
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    # of the images that proposals were made of: how many, the share of objects that these reach
    # (NaN without any), and that of each class [K]
    searched: int = 0
    reached: float = float("nan")
    reached_of: np.ndarray = field(default_factory=lambda: np.zeros(0))
    masks: MaskStatistics | None = None  # where objects have masks

    @property
    def is_refused(self) -> bool:
        """Whether a training on it would be refused."""
        return any(finding.is_refused for finding in self.findings)

    def images(self) -> list[ImageRecord]:
        """All images, each once."""
        records = {r.path: r for dataset in self.splits.values() for r in dataset.images}
        return list(records.values())


def check_data(
    spec: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    fractions: Sequence[float] = FRACTIONS,
    min_side: int = 600,
    max_side: int = 1000,
    search: Callable[[Dataset], Sequence[np.ndarray]] | None = None,
    search_images: int = 20,
) -> DataCheck:
    """Load every split of a data set, read every image, and collect what is at fault.

    Args:
        spec, data_dir, fractions: as `keras_frcnn.data.load.load` takes them; one data set, not a
            union.
        min_side, max_side: of scaled images, to tell which objects are tiny.
        search: makes proposals, `keras_frcnn.proposals.find.find_proposals` for example; None to
            leave out how many objects they reach.
        search_images: of how many images, the first with objects of the split to train on.

    Returns:
        the findings; nothing is raised about faults of the data.
    """
    name = os.fspath(spec)
    try:
        source = open_source(name, data_dir, fractions)
    except InputError as error:
        return DataCheck(name, "", (), {}, (), (Finding("data sets", 1, (str(error),), True),))
    findings: list[Finding] = []
    splits: dict[str, Dataset] = {}
    names = [] if isinstance(source, HashSplits) else sorted(source.splits, key=_place)
    for split in names or [""]:
        try:
            splits[split or "all"] = load(name, split or None, None, data_dir, fractions)
        except InputError as error:
            kind = f"split {split}" if split else "data set"
            findings.append(Finding(f"faults of the {kind}", 1, (str(error),), True))
    notes = tuple(dict.fromkeys(note for d in splits.values() for note in d.notes))
    if isinstance(source, HashSplits) and splits:
        notes += (source.described(),)
    class_names = next((d.class_names for d in splits.values()), ())
    found = DataCheck(name, source.form, class_names, splits, notes, ())
    findings += _of_annotations(found, min_side, max_side)
    findings += _of_images(found)
    masks = mask_statistics(found.images())
    found = replace(found, findings=tuple(findings), masks=masks)
    if search is not None and not found.is_refused:
        return _with_reach(found, search, search_images)
    return found


def _place(split: str) -> int:
    return SPLIT_NAMES.index(split) if split in SPLIT_NAMES else len(SPLIT_NAMES)


def training_set(check: DataCheck) -> Dataset | None:
    """The split that a training takes where none is named; None where there is none."""
    for name in (*TRAINING_SPLITS, "all"):
        if name in check.splits:
            return check.splits[name]
    return None


def _of_annotations(check: DataCheck, min_side: int, max_side: int) -> list[Finding]:
    records = check.images()
    lines = dict.fromkeys(line for d in check.splits.values() for line in d.warnings)
    if not records:
        return []
    every = replace(next(iter(check.splits.values())), images=tuple(records))
    empty = [record.filename for record in records if not len(record.labels)]
    found = [
        _finding("boxes left out or doubtful files", list(lines)),
        _finding("pairs of class names that may be one", misspelled_classes(every)),
        _finding("objects annotated twice", duplicated_boxes(records)),
        _finding(
            f"objects smaller than a cell of the feature map ({CELL} pixels at {min_side} / "
            f"{max_side})",
            tiny_objects(records, min_side, max_side),
        ),
        _finding("images without objects", empty),
    ]
    if every.has_masks:
        found += [
            _finding("objects without a mask", without_mask(records)),
            _finding("masks that reach more than 2 pixels out of their box", beyond_boxes(records)),
        ]
    trained = training_set(check)
    if trained is not None and all(record.is_difficult.all() for record in trained.images):
        text = f"{trained.name}: no image has an object that is not difficult"
        found.append(Finding("splits with nothing to train on", 1, (text,), True))
    return [finding for finding in found if finding.count]


def _of_images(check: DataCheck) -> list[Finding]:
    """Reads every image: those that cannot be, and those that are in several splits."""
    records = check.images()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        results = threads.map(_read, records)
        read = dict(
            zip(
                (record.path for record in records),
                counted(results, len(records), "reading images", leave=False),
                strict=True,
            )
        )
    broken = [message for _, message in read.values() if message]
    copies: dict[bytes, list[tuple[str, str]]] = {}
    for split, dataset in check.splits.items():
        for record in dataset.images:
            copies.setdefault(read[record.path][0], []).append((split, record.filename))
    shared = [text for where in copies.values() if (text := _in_two_splits(where))]
    found = [
        _finding("unreadable images", broken, is_refused=True),
        _finding("images in two splits", shared),
    ]
    return [finding for finding in found if finding.count]


def _read(record: ImageRecord) -> tuple[bytes, str]:
    """A digest of the file, and why it cannot be read, "" where it can."""
    try:
        digest = hashlib.sha256(Path(record.path).read_bytes()).digest()
        read_image(record.path)
    except (InputError, OSError) as error:
        return record.path.encode("utf-8", "surrogateescape"), str(error)
    return digest, ""


def _in_two_splits(where: Iterable[tuple[str, str]]) -> str:
    """How an image is in two splits of which one should not know the other's; "" if it is not."""
    splits = {split: name for split, name in reversed(list(where))}
    if "trainval" in splits:  # has those of the two by its definition
        splits = {s: n for s, n in splits.items() if s not in ("train", "val", "valid")}
    if len(splits) < 2:
        return ""
    return ", ".join(f"{split}: {name}" for split, name in splits.items())


def _with_reach(check: DataCheck, search, count: int) -> DataCheck:
    trained = training_set(check)
    images = trained.images if trained else ()
    chosen = tuple(r for r in images if not r.is_difficult.all())[:count]
    if not chosen:
        return check
    dataset = replace(trained, images=chosen)
    reached = ImageSet(dataset, search(dataset))
    return replace(
        check,
        searched=len(chosen),
        reached=total_recall(reached, _IOU),
        reached_of=proposal_recall(reached, _IOU),
    )


def _finding(kind: str, texts: Sequence[str], is_refused: bool = False) -> Finding:
    return Finding(kind, len(texts), tuple(texts[:_EXAMPLES]), is_refused)
