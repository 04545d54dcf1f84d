"""Pictures of every stage of a batch of images while a model trains."""

import keras
import tensorflow as tf
from PIL import Image

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.detector import Detector
from keras_frcnn.monitoring.tensorboard import EventFile
from keras_frcnn.pictures import draw as pictures
from keras_frcnn.sampling import sample_rois
from keras_frcnn.settings import Settings


class StagePictures(keras.callbacks.Callback):
    """Every so many steps: a batch of images in every stage, for TensorBoard.

    A row for each image: its ground truth, the RoIs that the training would sample from it (as
    in a step, other ones each time) and the detections with a score of at least `MIN_SCORE`.

    Args:
        detector: around the model in training, whose weights it shares.
        images: the first `COUNT` of these with an object that is not difficult are shown.
        settings: of the run.
        every: steps between pictures.
        events, tag: where the pictures go.
    """

    MIN_SCORE = 0.5
    COUNT = 4

    def __init__(
        self,
        detector: Detector,
        images: ImageSet,
        settings: Settings,
        every: int,
        events: EventFile,
        tag: str,
    ):
        super().__init__()
        self.detector = detector
        self.class_names = images.dataset.class_names
        pairs = zip(images.dataset.images, images.proposals, strict=True)
        self.batch = [(r, p) for r, p in pairs if not r.is_difficult.all()][: self.COUNT]
        self.every = every
        self.settings = settings
        self.events = events
        self.tag = tag

    def on_train_batch_end(self, batch, logs=None):
        """Draw when the time has come."""
        step = int(self.model.optimizer.iterations.numpy())
        if step % self.every == 0:
            self.events.image(step, self.tag, self.draw(step))
            self.events.flush()

    def draw(self, step: int) -> Image.Image:
        """The pictures of the model as it is now."""
        stages = []
        for i, (record, proposals) in enumerate(self.batch):
            image = read_image(record.path, record.orientation)
            counted = ~record.is_difficult
            # Overlaps do not depend on the scale, so these are RoIs as the training draws them.
            rois, labels, _ = sample_rois(
                tf.constant(proposals),
                tf.constant(record.boxes[counted]),
                tf.constant(record.labels[counted]),
                tf.random.fold_in(tf.constant([self.settings.seed, i]), step),
                self.settings.rois_per_image,
            )
            found = self.detector.detect(image, proposals).above(self.MIN_SCORE)
            stages += [
                pictures.draw_ground_truth(image, record, self.class_names),
                pictures.draw_sampled_rois(image, rois.numpy(), labels.numpy()),
                pictures.draw_detections(image, found, self.class_names),
            ]
        return pictures.contact_sheet(stages, columns=3, cell_size=360)
