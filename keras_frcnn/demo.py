"""The demo: everything the project does, on images it makes itself."""

import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_frcnn import data, pictures, runs, training
from keras_frcnn.commands import evaluate_detector, save_metrics
from keras_frcnn.data.images import read_image
from keras_frcnn.evaluation import format_table
from keras_frcnn.export.saved_model import export_saved_model
from keras_frcnn.proposals.find import find_proposals
from keras_frcnn.settings import Settings, default_precision

PICTURES = 8  # of detections on the contact sheet
MIN_SCORE = 0.5


def run_demo(out: Path) -> float:
    """Generate, propose, train, evaluate, draw, export and load back; returns the mAP.

    Writes the run directory `out` anew, with `detections.png` and `model/1/`.
    """
    print("1/5  images and proposals")
    trainval, test = data.load("shapes", "trainval"), data.load("shapes", "test")
    found, test_found = find_proposals(trainval), find_proposals(test)

    print("2/5  training from random weights")
    settings = Settings(
        data="shapes",
        split="trainval",
        class_names=trainval.class_names,
        trunk="vgg_cnn_m_1024",
        fc_units=(512, 512),
        dropout=0.0,
        min_side=(224,),
        max_side=262,
        rois_per_image=128,
        steps=2200,
        rate=0.02,
        decay_at=(1700,),
        warmup=100,
        precision=default_precision(),
    )
    run = out / "run"
    shutil.rmtree(run, ignore_errors=True)
    training.train(run, trainval, found, settings)

    print("3/5  evaluation on images it has not seen")
    detector, _ = runs.load_detector(run)
    detections, result = evaluate_detector(detector, test, test_found)
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
    pictures.contact_sheet(drawn, columns=4).save(picture)

    print("5/5  export, loaded back and run")
    model_dir = out / "model"
    shutil.rmtree(model_dir, ignore_errors=True)
    exported = export_saved_model(detector, test.class_names, model_dir)
    _check_export(exported, test, test_found, detections)

    print(
        f"\nmAP {result.mean_ap:.3f} on {len(test.images)} images it was not trained on\n"
        f"detections: {picture}\n"
        f"SavedModel: {exported}\n"
        "on your own photographs, a folder in VOC format:\n"
        "  keras-frcnn train --data FOLDER --split trainval --out runs/mine"
    )
    return result.mean_ap


def _check_export(exported: Path, test, test_found, detections) -> None:
    """Run the SavedModel on the first image and compare with the model it was made from."""
    served = tf.saved_model.load(str(exported)).signatures["serving_default"]
    record = test.images[0]
    image = read_image(record.path, record.orientation)
    outputs = served(images=image[None], proposals=test_found[0][None])
    count = int(outputs["num_detections"][0])
    scale = np.array([record.height, record.width] * 2)
    boxes = outputs["detection_boxes"][0, :count].numpy() * scale
    expected = detections[0]
    same = count == len(expected.scores) and np.allclose(
        boxes[:, [1, 0, 3, 2]], expected.boxes, atol=0.5
    )
    if not same:
        raise RuntimeError(f"{exported} does not give the detections of the trained model")
