"""`keras-frcnn evaluate`: average precision of a run on a split, or of detections from a file."""

from collections.abc import Sequence
from pathlib import Path

from keras_frcnn.cli.tested import tested
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.coco import evaluate_coco, filled_boxes, format_coco
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
    folder = Path(args.out) if args.out else found.run
    tables = judge(detections, dataset, found.metric, folder)
    if found.run:
        write_detections(found.run / DETECTIONS, detections, dataset)
    if args.voc_results:
        write_voc_results(args.voc_results, detections, dataset)
    if args.coco_results:
        write_coco_results(args.coco_results, detections, dataset)
    # After the files: what cannot be printed must not cost them.
    print(tables)


def judge(
    detections: Sequence[Detections], dataset: Dataset, metric: str, folder: Path | None
) -> str:
    """The tables of VOC and COCO; metrics and curves are written into the folder, if any."""
    result = evaluate_voc(detections, dataset, metric)
    coco = evaluate_coco(detections, dataset)
    tables = [format_table(result), format_coco(coco)]
    masks = filled = None
    if dataset.has_masks and any(found.masks is not None for found in detections):
        masks = evaluate_coco(detections, dataset, of_masks=True)
        filled = evaluate_coco(filled_boxes(detections, dataset), dataset, of_masks=True)
        tables += [format_coco(masks), f"{format_coco(filled).splitlines()[0]}: filled boxes"]
    if folder:
        make_folder(folder)
        with replacing(folder / "precision_recall.png") as partial:
            draw_precision_recall(result).save(partial)
        save_metrics(folder, dataset, result, coco, masks, filled)
    return "\n".join(tables)
