"""`keras-frcnn recall`: how many objects the proposals of several sources find, side by side.

OUT/recall.md    the table: a row for each source and number of proposals
OUT/recall.csv   the same, to compute with
OUT/recall.png   recall over the number of proposals, and over IoU
OUT/groups.csv   the first 300 proposals by size and class of the objects; in recall.md too
OUT/groups.png   the same as bars
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import keras_frcnn.cli.keras_setup  # noqa: F401
from keras_frcnn.cli.common import asked_classes, asked_fractions, load_dataset
from keras_frcnn.cli.training_options import given
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.detection.region_network import network_proposals
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.tables import Row, format_markdown, write_csv
from keras_frcnn.file_names import printable
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.pictures.charts import draw_groups, draw_recall
from keras_frcnn.proposals.find import proposals_of
from keras_frcnn.proposals.recall import SIZES, RankedRecall, ranked_recall
from keras_frcnn.proposals.saved import load_proposals
from keras_frcnn.runs.directory import PROPOSALS, load_proposer
from keras_frcnn.settings import Settings

GROUPED = 300  # proposals of which recall is told by size and class
COUNTS = (50, 100, 300, 1000, 2000)
IOUS = (0.5, 0.6, 0.7, 0.8, 0.9)
_CURVE = sorted({*np.geomspace(10, max(COUNTS), 40).round().astype(int).tolist(), *COUNTS})

Find = Callable[[Dataset], Sequence[np.ndarray]]


def recall(args) -> None:
    """Compare the sources of proposals: print a table, write and draw it."""
    sources = _sources(args)
    names, fractions = asked_classes(args), asked_fractions(args)
    dataset = load_dataset(args.data, args.split, args.data_dir, names, fractions, masks=False)
    objects = sum(int((~record.is_difficult).sum()) for record in dataset.images)
    if not objects:
        raise InputError(f"{dataset.name}: has no object to find, so that there is no recall")
    found = {
        name: ranked_recall(ImageSet(dataset, find(dataset)), _CURVE)
        for name, find in sources.items()
    }
    rows = [row for name, curve in found.items() for row in _rows(name, curve)]
    out = Path(args.out)
    make_folder(out)
    title = "Recall of proposals"
    about = f"{len(dataset.images)} images of {dataset.name}, {objects} objects"
    groups = [row for name, curve in found.items() for row in _groups(name, curve, dataset)]
    table = f"{format_markdown(rows)}\n\nThe first {GROUPED} by size and class of the objects:\n\n"
    table += format_markdown(groups)
    write_csv(out / "recall.csv", rows)
    write_csv(out / "groups.csv", groups)
    with replacing(out / "groups.png") as partial:
        names = [group for group, _ in _parts(next(iter(found.values())), dataset)]
        values = {
            name: [float(part.at([0.5])[part.counts.index(GROUPED), 0]) for _, part in parts]
            for name, parts in ((name, _parts(curve, dataset)) for name, curve in found.items())
        }
        draw_groups(f"Recall at IoU 0.5 of {GROUPED} proposals", names, values).save(partial)
    with replacing(out / "recall.png") as partial:
        draw_recall(f"{title}: {about}", found).save(partial)
    with replacing(out / "recall.md") as partial:
        picture = f"![{title}](recall.png)\n\n![By objects](groups.png)"
        partial.write_text(f"# {title}\n\n{about}.\n\n{table}\n\n{picture}\n", "utf-8")
    print(f"{about}\n{table}\ndrawn in {printable(str(out / 'recall.png'))}")


def _sources(args) -> dict[str, Find]:
    """Where proposals come from, by name; runs are loaded at once, so that errors come early."""
    sources: dict[str, Find] = {}

    def add(name: str, otherwise: str, find: Find):
        name = name if name not in sources else otherwise
        if name in sources:
            raise InputError(f"{name}: is named twice; leave one out")
        sources[name] = find

    for run in args.run_dirs:
        add(printable(run), printable(run), _network(run, args.best))
    for file in args.proposals:
        add(printable(Path(file).name), printable(file), lambda d, f=file: load_proposals(f, d))
    for mode in args.search:
        settings = Settings(search=mode, **given(args, ("search_side",)))
        name = f"selective search ({mode})"
        add(name, name, lambda d, s=settings: proposals_of(d, s, args.processes).proposals)
    if not sources:
        raise InputError(
            "recall: name what to compare: --from RUN, --proposals FILE, --search fast"
        )
    return sources


def _network(run: str, best: bool) -> Find:
    proposer, _ = load_proposer(run, best, max(COUNTS))
    return lambda dataset: network_proposals(proposer, dataset, Path(run) / PROPOSALS)


def _rows(name: str, found: RankedRecall) -> list[Row]:
    """The rows of one source."""
    average, at = found.average(), found.at(IOUS)
    rows = []
    for n in COUNTS:
        i = found.counts.index(n)
        mean = f"{found.mean_counts[i]:.1f}"
        row: Row = {"source": name, "proposals at most": n, "on average": mean}
        row |= {f"IoU {iou}": float(x) for iou, x in zip(IOUS, at[i], strict=True)}
        rows.append(row | {"average recall": float(average[i])})
    return rows


def _parts(found: RankedRecall, dataset: Dataset) -> list[tuple[str, RankedRecall]]:
    """What is found of the objects of each size and class; of all where there are some."""
    names = enumerate(dataset.class_names, start=1)
    parts = [(f"{size} objects", found.of_size(size)) for size in SIZES]
    parts += [(name, found.of_class(k)) for k, name in names]
    return [(name, part) for name, part in parts if len(part.labels)]


def _groups(name: str, found: RankedRecall, dataset: Dataset) -> list[Row]:
    """The rows of one source."""
    rows = []
    for group, part in _parts(found, dataset):
        i = part.counts.index(GROUPED)
        row: Row = {"source": name, "objects of": group, "objects": len(part.labels)}
        recalls = part.at(IOUS)[i]
        row |= {f"IoU {iou}": float(x) for iou, x in zip(IOUS, recalls, strict=True)}
        rows.append(row | {"average recall": float(part.average()[i])})
    return rows
