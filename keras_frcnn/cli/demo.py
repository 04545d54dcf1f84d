"""The demo: everything the project does, on images it makes itself."""

import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_frcnn import data
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.evaluate import evaluate_detector
from keras_frcnn.evaluation.metrics import save_metrics
from keras_frcnn.evaluation.voc import format_table
from keras_frcnn.export.saved_model import export_saved_model
from keras_frcnn.files import replacing
from keras_frcnn.pictures import draw as pictures
from keras_frcnn.runs import directory as runs
from keras_frcnn.settings import Settings
from keras_frcnn.training import fit as training

SETTINGS = Settings(
    data="shapes",
    split="trainval",
    detector="faster_rcnn",  # as accurate here as fast_rcnn, and no search before it
    # Anchors of 48, 64 and 96 pixels for shapes of 50 to 140; the paper's begin at 128.
    anchor_scales=(3, 4, 6),
    proposal_min_size=8,
    trunk="vgg_cnn_m_half",
    weights=None,
    dropout=0.0,
    min_side=(192,),  # as they are drawn
    max_side=224,
    steps=3000,
    rate=0.02,
    decay_at=(2500,),
    warmup=100,
)
PICTURES = 8  # of detections on the contact sheet
MIN_SCORE = 0.5


def run_demo(out: Path) -> float:
    """Generate, train, evaluate, draw, export and load back; returns the mAP.

    Writes `out/run`, `out/run/model/1` and `out/detections.png`, replacing those of an earlier
    demo.

    Raises:
        InputError: `out/run` is there and is no run directory.
    """
    run = out / "run"
    if run.exists() and not (run / "config.json").is_file():
        raise InputError(f"{run} exists and is no run of the demo; give another --out")
    print("1/5  images")
    trainval, test = data.load("shapes", "trainval"), data.load("shapes", "test")

    print("2/5  training from random weights")
    shutil.rmtree(run, ignore_errors=True)
    training.train(run, ImageSet(trainval), SETTINGS)

    print("3/5  evaluation on images it has not seen")
    detector, settings = runs.load_detector(run)
    detections, result = evaluate_detector(detector, ImageSet(test))
    print(format_table(result))
    save_metrics(run, test, result)

    print("4/5  pictures of detections")
    drawn = [
        pictures.draw_detections(
            read_image(record.path, record.orientation), d.above(MIN_SCORE), test.class_names
        )
        for record, d in zip(test.images[:PICTURES], detections, strict=False)
    ]
    picture = out / "detections.png"
    with replacing(picture) as partial:
        pictures.contact_sheet(drawn, columns=4).save(partial)

    print("5/5  export, loaded back and run")
    exported = export_saved_model(
        detector,
        run / "model",
        precision=settings.precision.removeprefix("mixed_"),
    )
    _check_export(exported, test, detections)

    command = shlex.quote(str(Path(sys.executable).with_name("keras-frcnn")))
    print(
        f"\nmAP {result.mean_ap:.3f} on {len(test.images)} images it was not trained on\n"
        f"detections: {picture}\n"
        f"SavedModel: {exported}\n"
        "on your own photographs, a folder with boxes as annotation tools write it:\n"
        f"  {command} train --data FOLDER --detector faster_rcnn --out runs/mine"
    )
    return result.mean_ap


def _check_export(exported: Path, test: Dataset, detections) -> None:
    """Run the SavedModel on the first image and compare with the model it was made from."""
    served = tf.saved_model.load(str(exported)).signatures["detect_pixels"]
    record = test.images[0]
    image = read_image(record.path, record.orientation)
    outputs = served(images=image[None])
    height, width = record.height, record.width
    exported_boxes = outputs["detection_boxes"][0].numpy() * [height, width, height, width]
    # Sure detections only: one at the threshold may fall on either side of it by a rounding.
    sure = outputs["detection_scores"][0].numpy() >= MIN_SCORE
    expected = detections[0].above(MIN_SCORE).boxes
    found = exported_boxes[sure][:, [1, 0, 3, 2]]
    if found.shape != expected.shape or not np.allclose(found, expected, atol=1.0):
        raise RuntimeError(f"{exported} does not give the detections of the trained model")
