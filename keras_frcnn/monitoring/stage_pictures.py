"""Pictures of every stage of a batch of images while a model trains."""

import keras
import tensorflow as tf
from PIL import Image

from keras_frcnn.batches.anchor_targets import anchor_targets
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.data.preprocessing import box_scale, scaled_size
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.proposer import Proposer
from keras_frcnn.models.anchors import anchor_boxes
from keras_frcnn.monitoring.tensorboard import EventFile
from keras_frcnn.pictures import draw as pictures
from keras_frcnn.sampling import sample_rois
from keras_frcnn.settings import Settings


class StagePictures(keras.callbacks.Callback):
    """Every so many steps: a batch of images in every stage, for TensorBoard.

    A row for each image: its ground truth, the RoIs or anchors that the training would sample from
    it (as in a step, other ones each time), the best `BEST` proposals of a detector that makes its
    own, and the detections with a score of at least `MIN_SCORE`.

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
    BEST = 20

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
        proposals = images.proposals or [None] * len(images.dataset.images)
        pairs = zip(images.dataset.images, proposals, strict=True)
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
        rows = []
        for i, (record, proposals) in enumerate(self.batch):
            image = read_image(record.path, record.orientation)
            seed = tf.random.fold_in(tf.constant([self.settings.seed, i]), step)
            stages = self._from_proposals if proposals is not None else self._from_anchors
            row = [pictures.draw_ground_truth(image, record, self.class_names)]
            rows.append(row + stages(image, record, proposals, seed))
        stages = [picture for row in rows for picture in row]
        return pictures.contact_sheet(stages, columns=len(stages) // len(rows), cell_size=360)

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

    def _from_anchors(self, image, record, _, seed) -> list[Image.Image]:
        options = self.model.options
        image_size = tf.constant(image.shape[:2])
        size = scaled_size(image_size, self.detector.min_side, self.detector.max_side)
        scale = box_scale(image_size, size)
        index, labels, _ = anchor_targets(
            size,
            tf.constant(record.boxes[~record.is_difficult]) * scale,
            seed,
            options.base(),
            options.stride,
            self.settings.anchors_per_image,
        )
        anchors = anchor_boxes(index, options.base(), options.stride) / scale
        if isinstance(self.detector, Proposer):
            proposals, found = self.detector.propose(image)[0], None
        else:
            found, proposals = self.detector.examine(image)
        drawn = [
            pictures.draw_sampled_rois(image, anchors.numpy(), labels.numpy()),
            pictures.draw_proposals(image, proposals[: self.BEST]),
        ]
        if found is not None:
            shown = found.above(self.MIN_SCORE)
            drawn.append(pictures.draw_detections(image, shown, self.class_names))
        return drawn
