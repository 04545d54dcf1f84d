"""What most sub-commands of `keras-frcnn` do; `keras_frcnn.cli.parser` has their arguments."""

import dataclasses
import sys
from pathlib import Path

from keras_frcnn.ablations import load_ablation
from keras_frcnn.ablations.ablation import plan, run_ablation
from keras_frcnn.cli.common import asked_classes, load_dataset
from keras_frcnn.cli.resolve import resolve
from keras_frcnn.cli.run_inputs import image_set, load_run, of_its_data, recipe_metric
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.load import training_split
from keras_frcnn.errors import InputError
from keras_frcnn.inspection.data_faults import quick_warnings
from keras_frcnn.monitoring.validation import ValidationSet
from keras_frcnn.proposals.find import proposals_of
from keras_frcnn.recipes import Recipe, load_recipe
from keras_frcnn.runs.directory import CONFIG
from keras_frcnn.settings import Settings
from keras_frcnn.training.alternating import check_steps, train_alternating
from keras_frcnn.training.checks import check_run, completed
from keras_frcnn.training.cluster import VARIABLE, cluster, first_before_others
from keras_frcnn.training.devices import distribution
from keras_frcnn.training.fit import train as fit


def train(args) -> None:
    """Train a detector in a run directory."""
    run = Path(args.out)
    if args.changed_data and not args.resume:
        raise InputError("--changed-data: belongs to --resume, a new run takes any data")
    workers = cluster()
    # Launchers give the same command to the first start of workers and to every other. All look
    # here before they meet, and nothing is written before that.
    if workers.count > 1 and args.resume and not (run / CONFIG).exists():
        args.resume = False
    resolved = resolve(args)
    settings, recipe = resolved.settings, resolved.recipe
    if settings.alternating and workers.count > 1:
        raise InputError(
            f"alternating: the four steps run on one machine, but {VARIABLE} names "
            f"{workers.count} workers; train jointly (--alternating no) or unset it"
        )
    # Workers meet before anything is done.
    strategy = distribution(args.devices, settings.images_per_batch)
    split = settings.split
    if not split and not args.resume and (split := training_split(settings.data, args.data_dir)):
        print(f"{settings.data}: training on its split {split}")
        settings = dataclasses.replace(settings, split=split)
    # Named again, the data set must have the run's classes by itself.
    names = asked_classes(args) or (settings.class_names if args.resume and not args.data else None)
    dataset = load_dataset(
        settings.data, split, args.data_dir, names, settings.fractions, settings.has_masks
    )
    settings = completed(settings, dataset)
    # Before the search for proposals, which takes a while.
    _say_what_is_left_out(dataset)
    for line in quick_warnings(dataset, max(settings.min_side), settings.max_side):
        print(f"warning: {line}; keras-frcnn check tells more", file=sys.stderr)
    if args.resume or workers.is_first:
        (check_steps if settings.alternating else check_run)(run, settings, args.resume)
    if workers.is_first:
        print(resolved.report())
    with first_before_others(workers, strategy):
        images = image_set(dataset, settings, args)
        validation = _validation(args, settings, recipe)
    (train_alternating if settings.alternating else fit)(
        run,
        images,
        settings,
        validation,
        resume=args.resume,
        changed_data=args.changed_data,
        checkpoint_every=args.checkpoint_every,
        validate_every=args.validate_every,
        devices=args.devices,
    )
    if workers.is_first:
        print(f"{run}: trained for {settings.steps} steps")


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
    detector, settings = load_run(args)
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
        recipe_metric(settings.data, of_its_data(recipe, settings)),
    )


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
    names, fractions = settings.class_names, settings.fractions
    dataset = load_dataset(spec, args.validate, args.data_dir, names, fractions, settings.has_masks)
    if args.validate_proposals:
        settings = dataclasses.replace(settings, proposals=args.validate_proposals)
    metric = recipe_metric(spec, None if args.validate_data else of_its_data(recipe, settings))
    return ValidationSet(image_set(dataset, settings, args), metric)
