"""`keras-frcnn evaluate`: average precision of a run on a split."""

import sys
from pathlib import Path

from keras_frcnn.cli.common import asked_fractions, load_dataset
from keras_frcnn.cli.run_inputs import image_set, load_run, metric_of, of_its_data, with_proposals
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.evaluate import describe_limit, evaluate_detector, save_metrics
from keras_frcnn.evaluation.voc import format_table, write_voc_results
from keras_frcnn.files import replacing
from keras_frcnn.pictures.charts import draw_precision_recall
from keras_frcnn.recipes import recipe_of
from keras_frcnn.runs.fingerprint import fingerprint, load_fingerprint


def evaluate(args) -> None:
    """Print and save per-class AP and mAP of a run on a split; draw its curves."""
    run = Path(args.run_dir)
    detector, settings = load_run(args)
    tested = None if args.data else of_its_data(recipe_of(settings), settings)
    data, split = args.data, args.split
    if tested:
        data, split = tested.test_data, split or tested.test_split
    elif not data:
        raise InputError(f"--data: name what to test on, {run} was not trained on a recipe's data")
    # In the order of the run's labels.
    fractions = asked_fractions(args) or settings.fractions
    dataset = load_dataset(data, split, args.data_dir, settings.class_names, fractions)
    images = image_set(dataset, with_proposals(args, settings), args)
    _warn_of_training_images(run, images)
    metric = args.metric or metric_of(data, tested)
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


def _warn_of_training_images(run: Path, images: ImageSet) -> None:
    trained_on = load_fingerprint(run)
    shared = trained_on.count_shared(fingerprint(images)) if trained_on else 0
    if shared:
        print(
            f"{images.dataset.name}: {shared} of its {len(images.dataset.images)} images are "
            f"among those that {run} was trained on; the result says little about others",
            file=sys.stderr,
        )
