"""`keras-frcnn show`: pictures of what stands between the files and a step of training.

OUT/NAME.png    an image
OUT/WHAT.png    all of them on one sheet
"""

import dataclasses
from pathlib import Path

from keras_frcnn.cli.common import asked_classes, asked_fractions, load_dataset
from keras_frcnn.cli.show_options import TRAINING_KEYS
from keras_frcnn.cli.training_options import PROPOSAL_KEYS, given
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.images import read_image
from keras_frcnn.errors import InputError
from keras_frcnn.file_names import file_names, printable
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.pictures.draw import contact_sheet
from keras_frcnn.proposals.find import proposals_of
from keras_frcnn.settings import Settings, option

COLUMNS = 4
MOST_ROIS = 4  # objects of an image whose features are shown


def show(args) -> None:
    """Draw what is asked for."""
    if args.count < 1:
        raise InputError(f"--count is {args.count}; it must be at least 1")
    if args.what == "data" and args.run_dir:
        raise InputError("--run: ground truth is of no run; leave it out")
    asked = given(args, PROPOSAL_KEYS)
    if asked and (args.what in ("data", "features") or (args.what == "proposals" and args.run_dir)):
        raise InputError(f"{option(next(iter(asked)))}: has no meaning here; leave it out")
    filenames, pictures = _FUNCTIONS[args.what](args)
    if not pictures:
        raise InputError(f"--data: {args.data} has no image to show")
    out = Path(args.out)
    make_folder(out)
    # The sheet's name is taken before those of images.
    stems = [args.what, *(Path(name).stem for name in filenames)]
    sheet = contact_sheet(pictures, min(COLUMNS, len(pictures)))
    for name, picture in zip(file_names(stems), [sheet, *pictures], strict=True):
        with replacing(out / f"{name}.png") as partial:
            picture.save(partial, "PNG")
    print(f"{len(pictures)} images drawn in {printable(args.out)}")


def _dataset(args, class_names=None) -> Dataset:
    names = asked_classes(args) or class_names
    return load_dataset(args.data, args.split, args.data_dir, names, asked_fractions(args))


def _first(dataset: Dataset, count: int) -> Dataset:
    """Nobody waits for the proposals of images that are not shown."""
    return dataclasses.replace(dataset, images=dataset.images[:count])


def _data(args):
    from keras_frcnn.inspection.show_data import show_data

    shown = show_data(_dataset(args), args.count)
    return [s.filename for s in shown], [s.picture for s in shown]


def _proposals(args):
    from keras_frcnn.inspection.show_proposals import show_proposals

    if args.run_dir:
        found, dataset = _of_network(args)
    else:
        dataset, asked = _dataset(args), given(args, PROPOSAL_KEYS)
        if "proposals" not in asked:  # a file is of all images of the data set
            dataset = _first(dataset, args.count)
        found = proposals_of(dataset, Settings(**asked)).proposals
    shown = show_proposals(dataset, found, args.count)
    for s in shown:
        print(f"{s.filename}: {s.reached} of {len(s.object_iou)} objects at IoU 0.5")
    return [s.filename for s in shown], [s.picture for s in shown]


def _of_network(args):
    import keras_frcnn.cli.keras_setup  # noqa: F401
    from keras_frcnn.detection.region_network import network_proposals
    from keras_frcnn.runs.directory import PROPOSALS, load_proposer

    proposer, _ = load_proposer(args.run_dir)
    dataset = _first(_dataset(args), args.count)
    return network_proposals(proposer, dataset, Path(args.run_dir) / PROPOSALS), dataset


def _training(args):
    """The images, proposals and settings that a training would have."""
    import keras_frcnn.cli.keras_setup  # noqa: F401
    from keras_frcnn.runs.directory import load_settings

    settings = load_settings(Path(args.run_dir)) if args.run_dir else Settings()
    asked = given(args, (*PROPOSAL_KEYS, *TRAINING_KEYS))
    settings = dataclasses.replace(settings, weights=None, **asked)  # no model is built
    if settings.makes_proposals:
        raise InputError(
            f"--run: {args.run_dir} is {settings.detector}; name one of fast_rcnn or mask_fast_rcnn"
        )
    dataset = _dataset(args, settings.class_names or None)
    return dataset, proposals_of(dataset, settings).proposals, settings, args.step


def _samples(args):
    from keras_frcnn.inspection.show_samples import show_samples

    shown = show_samples(*_training(args))
    return [r.filename for r in shown.batch.records], shown.pictures


def _batch(args):
    from keras_frcnn.inspection.show_batch import show_batch

    shown = show_batch(*_training(args))
    return [r.filename for r in shown.batch.records], shown.pictures


def _features(args):
    if not args.run_dir:
        raise InputError("--run: name the run whose network is to be shown")
    import keras_frcnn.cli.keras_setup  # noqa: F401
    from keras_frcnn.inspection.show_features import show_features
    from keras_frcnn.runs.directory import load_detector

    detector, settings = load_detector(args.run_dir)
    dataset = _dataset(args, settings.class_names)
    records = [record for record in dataset.images if len(record.boxes)][: args.count]
    pictures = [
        show_features(
            detector, read_image(record.path, record.orientation), record.boxes[:MOST_ROIS]
        ).picture
        for record in records
    ]
    return [record.filename for record in records], pictures


_FUNCTIONS = {
    "data": _data,
    "proposals": _proposals,
    "samples": _samples,
    "batch": _batch,
    "features": _features,
}
