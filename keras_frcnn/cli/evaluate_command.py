"""`keras-frcnn evaluate`: average precision of a run on a split, or of detections from a file."""

from pathlib import Path

from keras_frcnn.cli.tested import tested
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.coco import evaluate_coco, format_coco
from keras_frcnn.evaluation.coco_results import write_coco_results
from keras_frcnn.evaluation.metrics import save_metrics
from keras_frcnn.evaluation.results import write_detections
from keras_frcnn.evaluation.voc import evaluate as evaluate_voc
from keras_frcnn.evaluation.voc import format_table
from keras_frcnn.evaluation.voc_results import write_voc_results
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.pictures.charts import draw_precision_recall

DETECTIONS = "detections.json"


def evaluate(args) -> None:
    """Print and save AP by the rules of VOC and of COCO; draw the curves.

    Into the run, or for detections from a file into --out, if that is given.
    """
    if args.out and args.run_dir:
        raise InputError("--out: belongs to --detections; the results of a run go into it")
    found = tested(args)
    detections, dataset = found.detections, found.images.dataset
    result = evaluate_voc(detections, dataset, found.metric)
    coco = evaluate_coco(detections, dataset)
    folder = Path(args.out) if args.out else found.run
    if folder:
        make_folder(folder)
        with replacing(folder / "precision_recall.png") as partial:
            draw_precision_recall(result).save(partial)
        save_metrics(folder, dataset, result, coco)
    if found.run:
        write_detections(found.run / DETECTIONS, detections, dataset)
    if args.voc_results:
        write_voc_results(args.voc_results, detections, dataset)
    if args.coco_results:
        write_coco_results(args.coco_results, detections, dataset)
    # After the files: what cannot be printed must not cost them.
    print(format_table(result))
    print(format_coco(coco))
