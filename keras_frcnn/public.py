"""The functions of `import keras_frcnn as kf` that take a data set and its proposals one by one.

Inside the package the two travel together (`ImageSet`); a user has them from `load_data` and
`find_proposals`.
"""

import os
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.batches.pipeline import batches_for
from keras_frcnn.batches.target_statistics import cached_target_statistics
from keras_frcnn.data.classes import check_class_names
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.detector import Detector
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation import errors
from keras_frcnn.evaluation import evaluate as evaluation
from keras_frcnn.evaluation.errors import Errors
from keras_frcnn.evaluation.evaluate import check_fit, evaluate_detector
from keras_frcnn.evaluation.voc import Evaluation
from keras_frcnn.models.detection_model import DetectionModel
from keras_frcnn.models.heads import makes_proposals
from keras_frcnn.monitoring.validation import ValidationSet
from keras_frcnn.settings import Settings
from keras_frcnn.training import fit
from keras_frcnn.training.alternating import train_alternating

# The proposals of each image, float32 [P, 4] in pixels; None for a detector that makes its own.
Regions = Sequence[np.ndarray] | None


def target_statistics(photos: Dataset, regions: Regions) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the regression targets of each class, for `FastRCNN(targets=...)`.

    Over all proposals that overlap an object by half, as the released code takes them; computed
    once and kept in the cache folder.

    Returns:
        mean and std, float32 [K, 4].
    """
    return cached_target_statistics(ImageSet(photos, regions))


def training_batches(
    photos: Dataset,
    regions: Regions,
    model: DetectionModel,
    images_per_batch: int = 2,
    rois_per_image: int = 64,
    anchors_per_image: int = 256,
    group_by_aspect: bool = False,
    seed: int = 0,
    start: int = 0,
) -> tf.data.Dataset:
    """Endless mini-batches for `model.fit`, scaled as the model wants them.

    Give `fit` a number of `steps_per_epoch`, since they do not end.

    Args:
        photos: to train on, with the classes of the model in its order.
        regions: the proposals of each image.
        model: as `FastRCNN` or `FasterRCNN` builds it; it knows its scales and pixel means.
        images_per_batch, rois_per_image: the paper's 2 and 64; `FasterRCNN` itself knows how many
            RoIs it draws.
        anchors_per_image: of `FasterRCNN`, the paper's 256.
        group_by_aspect: whether the images of a batch are of one orientation, so that less of it is
            padding.
        seed, start: example i is a function of (seed, i); a fit that goes on after n mini-batches
            sees what an uninterrupted one would if `start` is n.

    Raises:
        InputError: the data set has other classes than the model or in another order, or no object
            to train on; the model is not one of this package, or needs regions and has none.
    """
    if not isinstance(model, DetectionModel) or model.pixel_means is None:
        raise InputError(f"model: {model.name} does not know its scales; build it with FastRCNN")
    check_class_names(model.class_names, photos)
    if (regions is None) != makes_proposals(model.detector):
        needs = "needs them: find_proposals(photos)" if regions is None else "makes its own: None"
        raise InputError(f"regions: the model {model.name} {needs}")
    settings = Settings(
        detector=model.detector,
        anchors_per_image=anchors_per_image,
        min_side=model.min_side,
        max_side=model.max_side,
        images_per_batch=images_per_batch,
        rois_per_image=rois_per_image,
        group_by_aspect=group_by_aspect,
        seed=seed,
    )
    return batches_for(model, ImageSet(photos, regions), model.pixel_means, settings, start)


def evaluate(
    detector: Detector, photos: Dataset, regions: Regions = None, metric: str = "area"
) -> Evaluation:
    """Average precision of each class and their mean, `.ap` and `.mean_ap`, by the rules of VOC.

    Args:
        detector: run over all images.
        photos, regions: to test on, and the proposals of each image.
        metric: "area", or "11point" as in VOC 2007.

    Raises:
        InputError: the data set has other classes than the detector or in another order.
    """
    return evaluate_detector(detector, ImageSet(photos, regions), metric)[1]


def detect_all(detector: Detector, photos: Dataset, regions: Regions = None) -> list[Detections]:
    """The detections in each image, for `evaluate_voc`, `evaluate_coco`, `find_errors` and files.

    Args and errors: as `evaluate`.
    """
    images = ImageSet(photos, regions)
    check_fit(detector, images)
    return list(evaluation.detect_all(detector, images))


def find_errors(
    detections: Sequence[Detections], photos: Dataset, regions: Regions = None, **thresholds: float
) -> Errors:
    """What is wrong with detections: `keras_frcnn.evaluation.errors.find_errors`.

    Args:
        detections: of each image.
        photos, regions: ground truth; proposals of each image, where they are known.
        **thresholds: `iou_threshold` and `background_iou`.
    """
    return errors.find_errors(detections, ImageSet(photos, regions), **thresholds)


def train(
    run: str | os.PathLike,
    photos: Dataset,
    regions: Regions = None,
    settings: Settings | None = None,
    validation: tuple[Dataset, Regions] | None = None,
    metric: str = "area",
    **options,
) -> keras.Model:
    """Train as `keras-frcnn train` does, in a run directory that can be resumed.

    Args:
        run: the directory.
        photos, regions: to train on, and the proposals of each image.
        settings: those of the paper by default; `detector="faster_rcnn"` needs no regions.
        validation: another data set and its proposals, to choose the best model by.
        metric: of the validation.
        **options: `resume`, `changed_data`, `checkpoint_every`, `validate_every` and `devices`, see
            `keras_frcnn.training.fit.train`, as for the errors.

    Returns:
        The trained, compiled model.
    """
    watched = ValidationSet(ImageSet(*validation), metric) if validation else None
    is_alternating = settings is not None and settings.alternating
    function = train_alternating if is_alternating else fit.train
    return function(run, ImageSet(photos, regions), settings, watched, **options)
