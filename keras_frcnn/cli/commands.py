"""What most sub-commands of `keras-frcnn` do; `keras_frcnn.cli.parser` has their arguments."""

import dataclasses
import sys
from pathlib import Path

import numpy as np

from keras_frcnn.ablations import load_ablation
from keras_frcnn.ablations.ablation import plan, run_ablation
from keras_frcnn.cli.common import asked_classes, asked_fractions, load_dataset
from keras_frcnn.cli.resolve import resolve
from keras_frcnn.cli.training_options import PROPOSAL_KEYS, given
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.data.images import open_image, read_header
from keras_frcnn.data.load import training_split
from keras_frcnn.detection.detector import Detector
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.evaluate import describe_limit, evaluate_detector, save_metrics
from keras_frcnn.evaluation.voc import format_table, write_voc_results
from keras_frcnn.file_names import printable
from keras_frcnn.files import make_folder, replacing, write_json
from keras_frcnn.inspection.data_faults import quick_warnings
from keras_frcnn.monitoring.validation import ValidationSet
from keras_frcnn.pictures import draw as pictures
from keras_frcnn.pictures.charts import draw_precision_recall
from keras_frcnn.proposals.find import proposals_of, search_of
from keras_frcnn.recipes import Recipe, load_recipe, recipe_of
from keras_frcnn.runs import directory as runs
from keras_frcnn.runs.fingerprint import fingerprint, load_fingerprint
from keras_frcnn.settings import Settings, option
from keras_frcnn.training.alternating import check_steps, train_alternating
from keras_frcnn.training.checks import check_run, completed
from keras_frcnn.training.fit import train as fit


def train(args) -> None:
    """Train a detector in a run directory."""
    run = Path(args.out)
    if args.changed_data and not args.resume:
        raise InputError("--changed-data: belongs to --resume, a new run takes any data")
    resolved = resolve(args)
    settings, recipe = resolved.settings, resolved.recipe
    split = settings.split
    if not split and not args.resume and (split := training_split(settings.data, args.data_dir)):
        print(f"{settings.data}: training on its split {split}")
        settings = dataclasses.replace(settings, split=split)
    # Named again, the data set must have the run's classes by itself.
    names = asked_classes(args) or (settings.class_names if args.resume and not args.data else None)
    dataset = load_dataset(settings.data, split, args.data_dir, names, settings.fractions)
    settings = completed(settings, dataset)
    # Before the search for proposals, which takes a while.
    _say_what_is_left_out(dataset)
    for line in quick_warnings(dataset, max(settings.min_side), settings.max_side):
        print(f"warning: {line}; keras-frcnn check tells more", file=sys.stderr)
    (check_steps if settings.alternating else check_run)(run, settings, args.resume)
    print(resolved.report())
    (train_alternating if settings.alternating else fit)(
        run,
        _image_set(dataset, settings, args),
        settings,
        _validation(args, settings, recipe),
        resume=args.resume,
        changed_data=args.changed_data,
        checkpoint_every=args.checkpoint_every,
        validate_every=args.validate_every,
        devices=args.devices,
    )
    print(f"{run}: trained for {settings.steps} steps")


def evaluate(args) -> None:
    """Print and save per-class AP and mAP of a run on a split; draw its curves."""
    run = Path(args.run_dir)
    detector, settings = _load_detector(args)
    tested = None if args.data else _of_its_data(recipe_of(settings), settings)
    data, split = args.data, args.split
    if tested:
        data, split = tested.test_data, split or tested.test_split
    elif not data:
        raise InputError(f"--data: name what to test on, {run} was not trained on a recipe's data")
    # In the order of the run's labels.
    fractions = asked_fractions(args) or settings.fractions
    dataset = load_dataset(data, split, args.data_dir, settings.class_names, fractions)
    images = _image_set(dataset, _with_proposals(args, settings), args)
    _warn_of_training_images(run, images)
    metric = args.metric or _metric(data, tested)
    detections, result = evaluate_detector(detector, images, metric)
    with replacing(run / "precision_recall.png") as partial:
        draw_precision_recall(result).save(partial)
    if args.voc_results:
        write_voc_results(args.voc_results, detections, dataset)
    save_metrics(run, dataset, result)
    # After the files: what cannot be printed must not cost them.
    print(format_table(result))
    if said := describe_limit(detections, settings.max_detections):
        print(said, file=sys.stderr)


def detect(args) -> None:
    """Draw the detections of image files and list them in detections.json."""
    detector, settings = _load_detector(args)
    if settings.proposals and not given(args, PROPOSAL_KEYS):
        print(
            f"{args.run_dir}: was trained on the proposals of {settings.proposals}; here they are "
            f"found by selective search ({settings.search})",
            file=sys.stderr,
        )
    settings = _with_proposals(args, settings)
    search = search_of(settings) if detector.needs_proposals else None

    def find(name):
        image = _opened(name, args.max_pixels)
        found = detector.detect(image, search(image)) if search else detector.detect(image)
        if len(found) == settings.max_detections:
            print(
                f"{name}: has {len(found)} detections, the most there may be; --max-detections "
                "allows more",
                file=sys.stderr,
            )
        return image, found

    _draw_and_list(args, find, settings.class_names)


def client(args) -> None:
    """As `detect`, by asking a server."""
    from keras_frcnn.export.client import Client, class_names, makes_proposals, training_settings

    server = Client(args.url, args.timeout, args.retries)
    names = args.classes and class_names(args.classes)
    asked = given(args)
    if args.classes and args.classes.endswith(".json"):  # which also tells how to search, or not to
        trained = training_settings(args.classes)
        needs_proposals = not makes_proposals(args.classes)
    else:
        trained, needs_proposals = {}, server.needs_proposals()
    if asked and not needs_proposals:
        raise InputError(
            f"{option(next(iter(asked)))}: the model of {server.url} makes its own proposals; "
            "leave it out"
        )
    asked = {k: trained[k] for k in ("search", "search_side") if k in trained} | asked
    search = search_of(Settings(**asked)) if needs_proposals else None

    def find(name):
        image = _opened(name, args.max_pixels)
        found = server.detect(name, search(image) if search else None)
        if names and found.classes.max(initial=0) > len(names):
            raise InputError(
                f"--classes: {len(names)} names, but the server found class {found.classes.max()}"
            )
        return image, found

    _draw_and_list(args, find, names)


def serving(args) -> None:
    """Write the files for TensorFlow Serving."""
    from keras_frcnn.export.serving_files import write_serving_files

    write_serving_files(Path(args.to))
    print(f"{args.to}: written; docs/serving.md says how to use them")


def export(args) -> None:
    """Write a SavedModel."""
    from keras_frcnn.export.inputs import MAX_PIXELS
    from keras_frcnn.export.saved_model import export_saved_model
    from keras_frcnn.export.svd import parse_svd

    svd = parse_svd(args.svd) if args.svd else None
    detector, settings = _load_detector(args)
    folder = export_saved_model(
        detector,
        args.to,
        version=args.version,
        overwrite=args.overwrite,
        ops=args.ops,
        precision=args.precision,
        svd=svd,
        max_pixels=MAX_PIXELS if args.max_pixels is None else args.max_pixels,
        max_proposals=args.max_proposals,
        settings=settings.to_dict(),
    )
    print(f"exported to {folder}")


def demo(args) -> None:
    """The whole way on generated images."""
    from keras_frcnn.cli.demo import run_demo

    run_demo(Path(args.out))


def ablate(args) -> None:
    """Train the variants of an experiment of the paper and compare them."""
    ablation, recipe, out = load_ablation(args.name), load_recipe(args.recipe), Path(args.out)
    test_data, test_split = args.data or recipe.test_data, args.test_split or recipe.test_split
    args.split = args.split or recipe.settings.split or None
    resolved = resolve(args)
    settings = resolved.settings
    if settings.detector != "fast_rcnn":
        raise InputError(f"--recipe {args.recipe}: the experiments vary a fast_rcnn")
    dataset = load_dataset(
        settings.data, settings.split, args.data_dir, fractions=settings.fractions
    )
    settings = completed(settings, dataset)
    test_set = load_dataset(
        test_data, test_split, args.data_dir, settings.class_names, settings.fractions
    )
    _say_what_is_left_out(dataset)
    plan(ablation, out, settings)  # before the search for proposals, which takes a while
    print(resolved.report())
    run_ablation(
        ablation,
        out,
        settings,
        proposals_of(dataset, settings, args.processes),
        proposals_of(test_set, settings, args.processes),
        _metric(settings.data, _of_its_data(recipe, settings)),
    )


def _draw_and_list(args, find, class_names) -> None:
    """Draw and list what `find(name)`, (image, detections), gives for each image file.

    Without class names a class is called by its number.
    """
    out = Path(args.out)
    make_folder(out)
    listed = {}
    taken = {Path(name).resolve() for name in args.images}  # never draw over an original
    try:
        for name in args.images:
            image, found = find(name)
            names = class_names or [f"class {k + 1}" for k in range(found.classes.max(initial=0))]
            shown = found.above(args.min_score)
            target = out / f"{Path(name).stem}.png"
            while target.resolve() in taken:
                target = target.with_stem(target.stem + "_")
            taken.add(target.resolve())
            with replacing(target) as partial:
                pictures.draw_detections(image, shown, names).save(partial)
            listed[printable(name)] = found.to_json(names)
            print(f"{printable(name)}: {len(shown)} objects, drawn in {printable(str(target))}")
    finally:  # also what was found before an image that cannot be read
        write_json(out / "detections.json", listed)


def _opened(name: str, max_pixels: int) -> np.ndarray:
    """An image file, unless it would take memory without measure."""
    header = read_header(name)
    if header.height * header.width > max_pixels:
        raise InputError(
            f"{name}: has {header.width} x {header.height} pixels; give --max-pixels to open more "
            f"than {max_pixels:,}, or scale it down"
        )
    return open_image(name)


def _say_what_is_left_out(dataset: Dataset) -> None:
    """Say how many images the training leaves out, before the search for proposals."""
    count = len(dataset.images)
    if left_out := count - len(dataset.trainable()):
        print(
            f"{dataset.name}: {left_out} of {count} images have no object to train on (none, or "
            "difficult ones only) and are not trained on",
            file=sys.stderr,
        )


def _validation(args, settings: Settings, recipe: Recipe | None) -> ValidationSet | None:
    """What to validate with, if the user asked for it."""
    if args.validate is None and args.validate_data is None:
        if args.validate_proposals is not None:
            raise InputError("--validate-proposals: also give --validate SPLIT, to validate on it")
        if args.resume and (Path(args.out) / "validation.csv").exists():
            print(
                f"{args.out}: was validated before; give --validate as then, to go on with it",
                file=sys.stderr,
            )
        return None
    spec = args.validate_data or settings.data
    dataset = load_dataset(
        spec, args.validate, args.data_dir, settings.class_names, settings.fractions
    )
    if args.validate_proposals:
        settings = dataclasses.replace(settings, proposals=args.validate_proposals)
    metric = _metric(spec, None if args.validate_data else _of_its_data(recipe, settings))
    return ValidationSet(_image_set(dataset, settings, args), metric)


def _load_detector(args) -> tuple[Detector, Settings]:
    """The detector of a run, as the options that all commands with a run have it."""
    keys = ("max_detections", "proposals_test")
    return runs.load_detector(args.run_dir, args.best, **given(args, keys))


def _image_set(dataset: Dataset, settings: Settings, args) -> ImageSet:
    """A data set with the proposals that the detector needs, if it needs some."""
    if settings.detector == "fast_rcnn":
        return proposals_of(dataset, settings, args.processes)
    _refuse_proposals(args, settings)
    return ImageSet(dataset)


def _refuse_proposals(args, settings: Settings) -> None:
    """Say that options about proposals have no meaning where the detector makes its own."""
    asked = [option(key) for key in given(args, PROPOSAL_KEYS)]
    if getattr(args, "processes", None) is not None:  # `detect` has no such option
        asked.append("--processes")
    if asked and settings.detector != "fast_rcnn":
        raise InputError(
            f"{asked[0]}: {settings.detector} makes its own proposals; leave it out, or train "
            "fast_rcnn"
        )


def _with_proposals(args, settings: Settings) -> Settings:
    """The run's settings, with proposals found as the user says now, if anything is said."""
    _refuse_proposals(args, settings)
    asked = given(args, PROPOSAL_KEYS)
    if asked:  # to search means not to import
        asked.setdefault("proposals", None)
    return dataclasses.replace(settings, **asked)


def _warn_of_training_images(run: Path, images: ImageSet) -> None:
    trained_on = load_fingerprint(run)
    shared = trained_on.count_shared(fingerprint(images)) if trained_on else 0
    if shared:
        print(
            f"{images.dataset.name}: {shared} of its {len(images.dataset.images)} images are "
            f"among those that {run} was trained on; the result says little about others",
            file=sys.stderr,
        )


def _of_its_data(recipe: Recipe | None, settings: Settings) -> Recipe | None:
    """The recipe, if the training is on its own data set: then it knows metric and test data."""
    return recipe if recipe and settings.data == recipe.settings.data else None


def _metric(data: str, recipe: Recipe | None = None) -> str:
    """The recipe's metric, else that of the challenge of the data set's year."""
    if recipe:
        return recipe.metric
    return "11point" if data.startswith("voc/2007") else "area"
