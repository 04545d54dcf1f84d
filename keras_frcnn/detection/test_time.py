"""Detection with other choices at test time than those of the paper.

Shape letters: V views of an image, R proposals, K object classes, D detections.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.postprocess import decode_boxes, suppress
from keras_frcnn.errors import InputError
from keras_frcnn.models.heads import has_masks


@dataclass(frozen=True)
class TestOptions:
    """What is done at test time; the defaults are what `Detector` does.

    Raises:
        InputError: a value that cannot be.
    """

    __test__ = False  # pytest takes it for a test otherwise

    flip: bool = False  # also see the mirrored image
    scales: tuple[int, ...] = ()  # see the image at these shorter sides in place of the run's one
    nms_iou: float = 0.3  # a box goes whose IoU with a better one of its class is above it
    soft_nms: float | None = None  # sigma: lower scores in place of taking boxes away
    box_regression: bool = True  # or take the proposals themselves as boxes

    def __post_init__(self):
        object.__setattr__(self, "scales", tuple(self.scales))
        shown = ",".join(map(str, self.scales))
        if not all(isinstance(s, int) and s > 0 for s in self.scales):
            raise InputError(f"--test-scales: must be whole numbers above 0, not {shown}")
        if len(set(self.scales)) < len(self.scales):
            raise InputError(f"--test-scales: must be different numbers, not {shown}")
        if not 0 <= self.nms_iou <= 1:
            raise InputError(f"--nms-iou: must be from 0 to 1, not {self.nms_iou}")
        if self.soft_nms is not None and not 0 < self.soft_nms < float("inf"):
            raise InputError(f"--soft-nms: must be above 0, not {self.soft_nms}")
        if self.soft_nms is not None and self.nms_iou != TestOptions.nms_iou:
            raise InputError("--nms-iou: soft suppression has no such threshold; leave one out")


class TestTimeDetector:
    """A detector of another kind of test; what is not mentioned here is the detector's own.

    All views of an image, at each scale and mirrored, give boxes of their own; those of all views
    together are suppressed within each class. (The paper's several scales are another thing: each
    proposal is seen at one of them, `MultiScaleDetector`.) A detector that makes its own proposals
    makes them in each view.

    Args:
        detector: a `Detector` or `ProposingDetector`.
        options: what is to be done.
    """

    __test__ = False

    def __init__(self, detector: Detector, options: TestOptions):
        self.detector = detector
        self.options = options
        self.needs_proposals = detector.needs_proposals
        self.class_names = detector.class_names
        self.max_detections = detector.max_detections
        views = [_at_side(detector, side) for side in options.scales] or [detector]
        specs = [tf.TensorSpec([None, None, None, 3], tf.uint8)]
        if self.needs_proposals:
            specs.append(tf.TensorSpec([None, None, 4], tf.float32))
        self._views = [
            # A partial function, since of several with the same code TensorFlow warns.
            tf.function(partial(_boxes_of, view, options.box_regression), input_signature=specs)
            for view in views
        ]

    def detect(self, image: np.ndarray, proposals: np.ndarray | None = None) -> Detections:
        """Detections of one image, best first; the arguments are those of the detector's own."""
        return self._detect(image, proposals)[0]

    def examine(self, image: np.ndarray) -> tuple[Detections, np.ndarray]:
        """The detections of one image, and the proposals of all views that they came from."""
        return self._detect(image, None)

    def _detect(self, image, proposals):
        boxes, scores, used = [], [], []
        for view in self._views:
            for is_mirrored in (False, True)[: 1 + self.options.flip]:
                b, s, p = _seen(view, image, proposals, is_mirrored)
                boxes.append(b)
                scores.append(s)
                used.append(p)
        joined = tf.concat(boxes, axis=0), tf.concat(scores, axis=0)
        found = self._suppressed(*joined)
        return Detections(*found, self.class_names), np.concatenate(used)

    def _suppressed(self, boxes: tf.Tensor, scores: tf.Tensor) -> tuple[np.ndarray, ...]:
        """Boxes [D, 4], scores [D] and classes [D] out of [V * R, K, 4] and [V * R, K]."""
        threshold, most = self.detector.score_threshold, self.max_detections
        if self.options.soft_nms is not None:
            return soft_suppress(boxes, scores, threshold, self.options.soft_nms, most)
        found = suppress(boxes[None], scores[None], threshold, self.options.nms_iou, most)
        boxes, scores, classes, count = (x[0].numpy() for x in found)
        return boxes[:count], scores[:count], classes[:count]


def soft_suppress(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    score_threshold: float,
    sigma: float,
    max_detections: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Soft suppression with the Gaussian penalty (Bodla et al. 2017, section 3, equation 4).

    Within a class, the best box lowers the score of each other by exp(-IoU^2 / sigma), then the
    best of those that are left does, and so on.

    Args:
        boxes: [R, K, 4].
        scores: [R, K].
        score_threshold: detections have lowered scores above it.
        sigma: 0.5 in the paper.
        max_detections: of all classes together.

    Returns:
        boxes [D, 4], scores [D], best first, and classes [D] in 1..K.
    """
    found = []
    for k in range(boxes.shape[1]):
        # The op's penalty is exp(-IoU^2 / (2 sigma)); no box is too near to be kept.
        chosen, lowered, _ = tf.raw_ops.NonMaxSuppressionV5(
            boxes=boxes[:, k],
            scores=scores[:, k],
            max_output_size=max_detections,
            iou_threshold=1.0,
            score_threshold=score_threshold,
            soft_nms_sigma=sigma / 2,
        )
        classes = np.full(len(chosen), k + 1, np.int32)
        found.append((tf.gather(boxes[:, k], chosen).numpy(), lowered.numpy(), classes))
    boxes, scores, classes = map(np.concatenate, zip(*found, strict=True))
    best = np.argsort(-scores, kind="stable")[:max_detections]
    return boxes[best], scores[best], classes[best]


def _at_side(detector: Detector, side: int) -> Detector:
    """The detector at another shorter side; the longest side grows along."""
    longest = round(detector.max_side * side / detector.min_side)
    settings = detector.settings() | {"min_side": side, "max_side": longest}
    return type(detector)(detector.model, **settings)


def _boxes_of(detector: Detector, box_regression: bool, images, *given):
    """From images, and proposals if need be, to boxes, scores and proposals."""
    outputs = detector.predict(images, *given)
    probabilities, deltas = outputs[:2]
    proposals = given[0] if given else outputs[2]
    if not box_regression:
        deltas = tf.zeros_like(deltas)
    return *decode_boxes(probabilities, deltas, proposals, tf.shape(images)[1:3]), proposals


def _seen(view, image: np.ndarray, proposals: np.ndarray | None, is_mirrored: bool):
    """Boxes, scores and proposals of one view, in pixels of the image as it is."""
    width = image.shape[1]
    shown = np.ascontiguousarray(image[:, ::-1]) if is_mirrored else image
    given = ()
    if proposals is not None:
        proposals = np.asarray(proposals, np.float32)
        given = (
            box_ops.flip_horizontally(proposals, width) if is_mirrored else tf.constant(proposals),
        )
    boxes, scores, used = (x[0] for x in view(shown[None], *(g[None] for g in given)))
    used = used.numpy()
    used = used[~box_ops.is_padding(used).numpy()]
    if is_mirrored:
        boxes, used = (
            box_ops.flip_horizontally(boxes, width),
            box_ops.flip_horizontally(used, width).numpy(),
        )
    return boxes, scores, used


def with_options(detector: Detector, options: TestOptions) -> Detector | TestTimeDetector:
    """The detector itself where nothing is asked for.

    Raises:
        InputError: it predicts masks, and more than another `nms_iou` is asked for: masks are of
            the one image as the network sees it.
    """
    if options == TestOptions():
        return detector
    if not has_masks(detector.kind):
        return TestTimeDetector(detector, options)
    if replace(options, nms_iou=TestOptions.nms_iou) != TestOptions():
        raise InputError(
            f"--flip, --test-scales, --soft-nms, --no-box-regression: {detector.kind} finds masks "
            "in the image as it is, at the run's scale; leave them out"
        )
    settings = detector.settings() | {"nms_iou": options.nms_iou}
    return type(detector)(detector.model, **settings)
