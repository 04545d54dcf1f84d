"""Pictures of every stage of a batch of images while a model trains."""

import keras
import tensorflow as tf
from PIL import Image

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.proposer import Proposer
from keras_frcnn.monitoring.region_pictures import BEST, draw_objectness, draw_training_anchors
from keras_frcnn.monitoring.tensorboard import EventFile
from keras_frcnn.pictures import draw as pictures
from keras_frcnn.sampling import sample_rois
from keras_frcnn.settings import Settings


class StagePictures(keras.callbacks.Callback):
    """Every so many steps: a batch of images in every stage, for TensorBoard.

    A row for each image: its ground truth, the RoIs or anchors that the training would sample from
    it (as in a step, other ones each time), the best `BEST` proposals of a detector that makes its
    own, and the detections with a score of at least `MIN_SCORE`. On a sheet of their own the heat
    maps of objectness, where there is a region proposal network.

    Args:
        detector: around the model in training, whose weights it shares; a `Proposer` for region
            proposals alone.
        images: the first `COUNT` of these with an object that is not difficult are shown.
        settings: of the run.
        every: steps between pictures.
        events, tag: where the pictures go.
    """

    MIN_SCORE = 0.5
    COUNT = 4

    def __init__(
        self,
        detector: Detector | Proposer,
        images: ImageSet,
        settings: Settings,
        every: int,
        events: EventFile,
        tag: str,
    ):
        super().__init__()
        self.detector = detector
        self.class_names = images.dataset.class_names
        self.proposes = images.proposals is None  # the detector does
        records = images.dataset.images
        shown = [i for i, r in enumerate(records) if not r.is_difficult.all()][: self.COUNT]
        self.records = [records[i] for i in shown]
        self.proposals = [] if self.proposes else [images.proposals[i] for i in shown]
        self.every = every
        self.settings = settings
        self.events = events
        self.tag = tag

    def on_train_batch_end(self, batch, logs=None):
        """Draw when the time has come."""
        step = int(self.model.optimizer.iterations.numpy())
        if step % self.every == 0:
            self.events.image(step, self.tag, self.draw(step))
            if self.proposes:
                self.events.image(step, f"{self.tag}_objectness", self.draw_objectness())
            self.events.flush()

    def draw(self, step: int) -> Image.Image:
        """The pictures of the model as it is now."""
        rows = []
        for i, record in enumerate(self.records):
            image = read_image(record.path, record.orientation)
            seed = tf.random.fold_in(tf.constant([self.settings.seed, i]), step)
            if self.proposes:
                stages = self._from_anchors(image, record, seed)
            else:
                stages = self._from_proposals(image, record, self.proposals[i], seed)
            rows.append([pictures.draw_ground_truth(image, record, self.class_names), *stages])
        stages = [picture for row in rows for picture in row]
        return pictures.contact_sheet(stages, columns=len(stages) // len(rows), cell_size=360)

    def draw_objectness(self) -> Image.Image:
        """The heat maps of the region proposal network as it is now, a row for each image."""
        rows = [
            draw_objectness(self._proposer(), read_image(record.path, record.orientation))
            for record in self.records
        ]
        drawn = [picture for row in rows for picture in row]
        return pictures.contact_sheet(drawn, columns=len(rows[0]), cell_size=360)

    def _from_proposals(self, image, record, proposals, seed) -> list[Image.Image]:
        counted = ~record.is_difficult
        # Overlaps do not depend on the scale, so these are RoIs as the training draws them.
        rois, labels, _ = sample_rois(
            tf.constant(proposals),
            tf.constant(record.boxes[counted]),
            tf.constant(record.labels[counted]),
            seed,
            self.settings.rois_per_image,
            bg_iou=(self.settings.bg_iou_low, 0.5),
        )
        found = self.detector.detect(image, proposals).above(self.MIN_SCORE)
        return [
            pictures.draw_sampled_rois(image, rois.numpy(), labels.numpy()),
            pictures.draw_detections(image, found, self.class_names),
        ]

    def _from_anchors(self, image, record, seed) -> list[Image.Image]:
        anchors_per_image = self.settings.anchors_per_image
        if isinstance(self.detector, Proposer):
            proposals, found = self.detector.propose(image)[0], None
        else:
            found, proposals = self.detector.examine(image)
        drawn = [
            draw_training_anchors(self._proposer(), image, record, anchors_per_image, seed),
            pictures.draw_proposals(image, proposals[:BEST]),
        ]
        if found is not None:
            shown = found.above(self.MIN_SCORE)
            drawn.append(pictures.draw_detections(image, shown, self.class_names))
        return drawn

    def _proposer(self) -> Proposer:
        is_proposer = isinstance(self.detector, Proposer)
        return self.detector if is_proposer else self.detector.proposer
