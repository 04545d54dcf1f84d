"""`keras-frcnn proposals`: those of selective search or of a trained network, kept and written."""

from pathlib import Path

import keras_frcnn.cli.keras_setup  # noqa: F401
from keras_frcnn.cli.common import asked_classes, asked_fractions, load_dataset
from keras_frcnn.cli.training_options import given
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.proposer import Proposer
from keras_frcnn.detection.region_network import network_proposals
from keras_frcnn.errors import InputError
from keras_frcnn.file_names import file_names, printable
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.monitoring.region_pictures import draw_region_stages
from keras_frcnn.proposals.find import proposals_of
from keras_frcnn.proposals.recall import ranked_recall
from keras_frcnn.proposals.saved import save_proposals
from keras_frcnn.runs.directory import PROPOSALS, load_proposer
from keras_frcnn.settings import Settings, option

PICTURES = 8  # images that are drawn


def proposals(args) -> None:
    """Find the proposals of a data set; write and draw them where that is asked for."""
    _check(args)
    if args.run_dir:  # before the data set, which may take longer
        proposer, settings = load_proposer(args.run_dir, args.best, args.count)
    names, fractions = asked_classes(args), asked_fractions(args)
    dataset = load_dataset(args.data, args.split, args.data_dir, names, fractions, masks=False)
    if args.run_dir:
        found = network_proposals(proposer, dataset, Path(args.run_dir) / PROPOSALS)
    else:
        found = proposals_of(dataset, Settings(**given(args)), args.processes).proposals
        if args.count is not None:
            found = [boxes[: args.count] for boxes in found]
    if args.out:
        save_proposals(args.out, dataset, found)
    if args.pictures:
        _draw(Path(args.pictures), proposer, dataset, settings)
    print(_summary(ImageSet(dataset, found)))
    if args.out:
        print(f"written to {printable(args.out)}")
    if args.pictures:
        print(f"drawn in {printable(args.pictures)}")


def _check(args) -> None:
    """Refuse options that do not go together, and a file that could not be written in the end."""
    if args.run_dir:
        searching = [option(key) for key in given(args, ("search", "search_side"))]
        searching += ["--processes"] if args.processes is not None else []
        if searching:
            raise InputError(
                f"{searching[0]}: is of selective search, but the network of {args.run_dir} makes "
                f"the proposals; leave out {searching[0]} or --from"
            )
    elif args.best or args.pictures:
        name = "--best" if args.best else "--pictures"
        raise InputError(f"{name}: is of a region proposal network; name its run with --from")
    if args.out and Path(args.out).suffix != ".npz":
        raise InputError(f"--out: proposals are written as .npz, not to {args.out}; rename it")


def _draw(folder: Path, proposer: Proposer, dataset: Dataset, settings: Settings) -> None:
    """A sheet for each of the first images: what the network learns from it and says of it."""
    make_folder(folder)
    records = dataset.images[:PICTURES]
    names = file_names(Path(record.filename).stem for record in records)
    for i, (record, name) in enumerate(zip(records, names, strict=True)):
        sheet = draw_region_stages(
            proposer,
            read_image(record.path, record.orientation),
            record,
            dataset.class_names,
            settings.anchors_per_image,
            (settings.seed, i),
        )
        with replacing(folder / f"{name}.png") as partial:
            sheet.save(partial)


def _summary(images: ImageSet) -> str:
    """How many proposals there are and what they find."""
    most = max(map(len, images.proposals), default=0)
    found = ranked_recall(images, [max(most, 1)])
    name, count = images.dataset.name, len(images.proposals)
    lines = [f"{name}: {count} images, {found.mean_counts[0]:.0f} proposals an image"]
    if len(found.overlaps):
        half, more = found.at([0.5, 0.7])[0]
        lines.append(
            f"recall of {len(found.overlaps)} objects: {half:.3f} at IoU 0.5, {more:.3f} at 0.7; "
            f"average recall {found.average()[0]:.3f}"
        )
    return "\n".join(lines)
