"""The demo: everything the project does, on images it makes itself."""

import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_frcnn import data
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.evaluate import evaluate_detector, save_metrics
from keras_frcnn.evaluation.voc import format_table
from keras_frcnn.export.saved_model import export_saved_model
from keras_frcnn.files import replacing
from keras_frcnn.pictures import draw as pictures
from keras_frcnn.proposals.find import find_proposals
from keras_frcnn.runs import directory as runs
from keras_frcnn.settings import Settings
from keras_frcnn.training import fit as training

SETTINGS = Settings(
    data="shapes",
    split="trainval",
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
    """Generate, propose, train, evaluate, draw, export and load back; returns the mAP.

    Writes `out/run`, `out/run/model/1` and `out/detections.png`, replacing those of an earlier
    demo.

    Raises:
        InputError: `out/run` is there and is no run directory.
    """
    run = out / "run"
    if run.exists() and not (run / "config.json").is_file():
        raise InputError(f"{run} exists and is no run of the demo; give another --out")
    print("1/5  images and proposals")
    trainval, test = data.load("shapes", "trainval"), data.load("shapes", "test")
    train_set, test_set = (ImageSet(d, find_proposals(d)) for d in (trainval, test))

    print("2/5  training from random weights")
    shutil.rmtree(run, ignore_errors=True)
    training.train(run, train_set, SETTINGS)

    print("3/5  evaluation on images it has not seen")
    detector, settings = runs.load_detector(run)
    detections, result = evaluate_detector(detector, test_set)
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
    _check_export(exported, test_set, detections)

    command = shlex.quote(str(Path(sys.executable).with_name("keras-frcnn")))
    print(
        f"\nmAP {result.mean_ap:.3f} on {len(test.images)} images it was not trained on\n"
        f"detections: {picture}\n"
        f"SavedModel: {exported}\n"
        "on your own photographs, a folder in VOC format:\n"
        f"  {command} train --data FOLDER --split trainval --out runs/mine"
    )
    return result.mean_ap


def _check_export(exported: Path, test: ImageSet, detections) -> None:
    """Run the SavedModel on the first image and compare with the model it was made from."""
    served = tf.saved_model.load(str(exported)).signatures["detect_pixels"]
    record = test.dataset.images[0]
    image = read_image(record.path, record.orientation)
    outputs = served(images=image[None], proposals=test.proposals[0][None])
    height, width = record.height, record.width
    exported_boxes = outputs["detection_boxes"][0].numpy() * [height, width, height, width]
    # Sure detections only: one at the threshold may fall on either side of it by a rounding.
    sure = outputs["detection_scores"][0].numpy() >= MIN_SCORE
    expected = detections[0].above(MIN_SCORE).boxes
    found = exported_boxes[sure][:, [1, 0, 3, 2]]
    if found.shape != expected.shape or not np.allclose(found, expected, atol=1.0):
        raise RuntimeError(f"{exported} does not give the detections of the trained model")
