"""What the sub-commands of `keras-frcnn` do; `keras_frcnn.cli` describes their arguments."""

import argparse
import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np

from keras_frcnn import data, pictures, runs, training
from keras_frcnn.curves import draw_precision_recall
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.images import open_image
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation import Evaluation, format_table, write_voc_results
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.proposals.find import find_proposals
from keras_frcnn.proposals.saved import load_proposals
from keras_frcnn.proposals.selective_search import SelectiveSearch
from keras_frcnn.settings import Settings
from keras_frcnn.validation import evaluate_detector, known


def proposals(args) -> None:
    """Fill the proposal cache of a data set."""
    dataset = _load_dataset(args)
    found = _find(args, dataset)
    counts = [len(p) for p in found]
    print(f"{dataset.name}: {len(counts)} images, {np.mean(counts):.0f} proposals an image")


def train(args) -> None:
    """Train a detector in a run directory."""
    run = Path(args.out)
    dataset = _load_dataset(args)
    if args.resume:
        saved = runs.load_settings(run)
        if saved.class_names != dataset.class_names:
            raise InputError(
                f"{run} was trained on the classes {', '.join(saved.class_names)}; {dataset.name} "
                f"has {', '.join(dataset.class_names)}"
            )
        settings = dataclasses.replace(
            saved, data=args.data, split=args.split or "", **_given(args)
        )
    else:
        settings = Settings(args.data, args.split or "", dataset.class_names, **_chosen(args))
    # Before the search for proposals, which takes a while.
    training.check_run(run, settings, args.resume)
    validation = _validation(args, settings)
    found = _find(args, dataset)
    model = training.train(
        run,
        dataset,
        found,
        settings,
        args.resume,
        args.checkpoint_every,
        validation,
        args.validate_every,
        _metric(args.validate_data or settings.data),
    )
    print(f"{run}: trained for {int(model.optimizer.iterations.numpy())} steps")


def evaluate(args) -> None:
    """Print and save per-class AP and mAP of a run on a split; draw its curves."""
    run = Path(args.run_dir)
    detector, settings = runs.load_detector(run)
    dataset = _load_dataset(args, settings.class_names)  # in the order of the run's labels
    found = _find(args, dataset)
    metric = args.metric or _metric(args.data)
    detections, result = evaluate_detector(detector, dataset, found, metric)
    print(format_table(result))
    with replacing(run / "precision_recall.png") as partial:
        draw_precision_recall(result).save(partial)
    if args.voc_results:
        write_voc_results(args.voc_results, detections, dataset)
    save_metrics(run, dataset, result)


def detect(args) -> None:
    """Draw the detections of image files and list them in detections.json."""
    detector, settings = runs.load_detector(args.run_dir)
    out = Path(args.out)
    make_folder(out)
    search = SelectiveSearch(mode=args.search)
    listed = {}
    taken = {Path(name).resolve() for name in args.images}  # never draw over an original
    try:
        for name in args.images:
            image = open_image(name)
            found = detector.detect(image, search(image))
            shown = found.above(args.min_score)
            target = out / f"{Path(name).stem}.png"
            while target.resolve() in taken:
                target = target.with_stem(target.stem + "_")
            taken.add(target.resolve())
            with replacing(target) as partial:
                pictures.draw_detections(image, shown, settings.class_names).save(partial)
            listed[name] = found.to_json(settings.class_names)
            print(f"{name}: {len(shown)} objects, drawn in {target}")
    finally:  # also what was found before an image that cannot be read
        runs.write_json(out / "detections.json", listed)


def export(args) -> None:
    """Write a SavedModel."""
    from keras_frcnn.export.saved_model import export_saved_model

    detector, settings = runs.load_detector(args.run_dir)
    print(f"exported to {export_saved_model(detector, settings.class_names, args.to)}")


def demo(args) -> None:
    """The whole way on generated images."""
    from keras_frcnn.demo import run_demo

    run_demo(Path(args.out))


def bench(args) -> None:
    """Run a benchmark."""
    module = importlib.import_module(f"keras_frcnn.benchmarks.{args.name.replace('-', '_')}")
    module.main(args.args)


def save_metrics(run: Path, dataset: Dataset, result: Evaluation) -> None:
    """Write `metrics.json`."""
    content = {
        "data": dataset.name,
        "metric": result.metric,
        "mAP": known(result.mean_ap),
        "AP": dict(zip(dataset.class_names, map(known, result.ap), strict=True)),
    }
    runs.write_json(run / "metrics.json", content)


def _load_dataset(args, class_names=None) -> Dataset:
    if getattr(args, "classes", None):
        class_names = tuple(name.strip() for name in args.classes.split(","))
    dataset = data.load(args.data, args.split, class_names, args.data_dir)
    for line in dataset.warnings:
        print(f"skipped: {line}", file=sys.stderr)
    return dataset


def _validation(args, settings: Settings) -> tuple[Dataset, list[np.ndarray]] | None:
    """The data set to validate with and its proposals, if the user asked for one."""
    if args.validate is None and args.validate_data is None:
        return None
    options = {
        "data": args.validate_data or settings.data,
        "split": args.validate,
        "classes": None,
        "proposals": args.validate_proposals,
    }
    args = argparse.Namespace(**{**vars(args), **options})
    dataset = _load_dataset(args, settings.class_names)
    return dataset, _find(args, dataset)


def _metric(data: str) -> str:
    """The metric a data set is evaluated with by default: that of its year's challenge."""
    return "11point" if data.startswith("voc/2007") else "area"


def _find(args, dataset: Dataset) -> list[np.ndarray]:
    if args.proposals:
        return load_proposals(args.proposals, dataset)
    return find_proposals(dataset, SelectiveSearch(mode=args.search), processes=args.processes)


def _given(args) -> dict:
    """The training settings that the user spelled out."""
    names = {f.name for f in dataclasses.fields(Settings)} - {"data", "split", "class_names"}
    given = {k: v for k, v in vars(args).items() if k in names and v is not None}
    if given.get("weights") == "none":
        given["weights"] = None
    return given


def _chosen(args) -> dict:
    """The settings of a new run: what the user spelled out, and pretrained weights if possible."""
    chosen = _given(args)
    if args.weights is None and chosen.get("trunk", "vgg16") == "vgg16":
        chosen["weights"] = "imagenet"
    return chosen
