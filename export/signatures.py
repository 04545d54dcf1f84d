"""What an exported detector takes and returns: the contract between the graph and its clients.

Shape letters: N images, R proposals an image (short rows padded), P proposals that the model makes
of an image (300 unless set otherwise), K object classes, D detections an image, M x M cells of a
mask (28 x 28).

| signature | takes | returns |
|---|---|---|
| `serving_default` | `image_bytes` string [N], `proposals` float32 [N, R, 4] | detections |
| `detect_pixels` | `images` uint8 RGB [N, H, W, 3], `proposals` float32 [N, R, 4] | detections |
| `raw` | `image_bytes` string [N], `proposals` float32 [N, R, 4] | every proposal's outputs |

A Faster R-CNN makes its proposals itself: its signatures take no `proposals`, and nothing below
about those of a request holds for it.

Inputs. `image_bytes` are whole JPEG or PNG files; the images of a batch may differ in size. They
are turned upright by their EXIF orientation, as `keras_frcnn.data.images.open_image` does it.
`proposals` are (x1, y1, x2, y2) in pixels of the upright original image, continuous, width =
x2 - x1; rows of four -1 are padding, and a row without area gives no detection.

Detections are those of models of the TensorFlow Object Detection API, best first, all float32:
`detection_boxes` [N, D, 4] as (ymin, xmin, ymax, xmax) in fractions of the upright image,
`detection_scores` [N, D], `detection_classes` [N, D] in 1..K, `num_detections` [N]. Rows from
`num_detections` on are zeros. Mask R-CNN adds `detection_masks` [N, D, M, M], probabilities in the
frame of each box; `keras_frcnn.detection.paste` makes pixels of them, as the client does.

`raw` returns, before any threshold or suppression and in the order of the proposals, float32:
`raw_detection_scores` [N, R, K + 1], probabilities with the background at 0, and
`raw_detection_boxes` [N, R, K, 4], each class's box, clipped to the image, as (ymin, xmin, ymax,
xmax) in fractions of it. Rows of padding are zeros. Of a Faster R-CNN R is P, and there are also
`proposals` [N, P, 4], best first, as (ymin, xmin, ymax, xmax) in fractions of the upright image,
like all boxes that come out and unlike those that a Fast R-CNN takes, and `objectness` [N, P],
their probabilities. Where it proposes fewer than P, the last rows are padding.

A request that cannot be answered is an InvalidArgument whose message names the element, such as
`image_bytes[2]` or `proposals[0, 17]`; `keras_frcnn.export.inputs` lists the conditions.
"""

from collections.abc import Callable

import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.detection.detector import Detector
from keras_frcnn.export import inputs
from keras_frcnn.models.heads import has_masks
from keras_frcnn.models.mask_head import MASK_SIZE

IMAGE_BYTES = tf.TensorSpec([None], tf.string, "image_bytes")
IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8, "images")
PROPOSALS = tf.TensorSpec([None, None, 4], tf.float32, "proposals")


def signatures(
    detector: Detector, max_pixels: int, max_proposals: int | None
) -> dict[str, Callable]:
    """The functions of the three signatures, by name; traced when they are saved.

    Args:
        detector: what they run.
        max_pixels: the largest image that `image_bytes` may hold, height times width; also of
            `images` where the detector makes its own proposals.
        max_proposals: how many may run at once, see `inputs`; None where it makes its own.
    """
    given = [PROPOSALS] if detector.needs_proposals else []

    @tf.function(input_signature=[IMAGE_BYTES, *given], autograph=False)
    def serving_default(image_bytes, *proposals):
        return of_files(_detections, image_bytes, proposals, _detection_specs(detector))

    @tf.function(input_signature=[IMAGES, *given], autograph=False)
    def detect_pixels(images, *proposals):
        if proposals:
            images, proposals = inputs.check_pixels(images, *proposals, max_proposals)
            return _detections(detector, images, proposals)
        images = inputs.check_pixels_alone(images, max_pixels)
        # At once they would take memory without measure: no limit of proposals is one of images.
        return _one_by_one(
            lambda image: _detections(detector, image[None]), images, _detection_specs(detector)
        )

    @tf.function(input_signature=[IMAGE_BYTES, *given], autograph=False)
    def raw(image_bytes, *proposals):
        return of_files(_raw, image_bytes, proposals, _raw_specs(detector))

    def of_files(answer, image_bytes, proposals, specs):
        """What `answer` says of each file.

        Padding the images to one size instead would change the features near the edges, and the
        answer about an image would depend on the others in its batch.
        """
        image_bytes, *proposals = inputs.check_encoded(
            image_bytes, *proposals, max_proposals=max_proposals
        )
        elements = {
            "image_bytes": image_bytes,
            "index": tf.range(tf.size(image_bytes)),
            "proposals": proposals,
        }

        def one_image(element):
            image = inputs.decode(element["image_bytes"], element["index"], max_pixels)
            return answer(detector, image[None], *(rows[None] for rows in element["proposals"]))

        return _one_by_one(one_image, elements, specs)

    return {"serving_default": serving_default, "detect_pixels": detect_pixels, "raw": raw}


def _one_by_one(answer, elements, specs):
    """`answer` about each element, a batch of one: all together need not fit into memory.

    `specs`: of a row of the outputs.
    """

    def one(element):
        return {name: value[0] for name, value in answer(element).items()}

    return tf.map_fn(one, elements, fn_output_signature=specs, parallel_iterations=1)


def _detection_specs(detector):
    d = detector.max_detections
    specs = {
        "detection_boxes": tf.TensorSpec([d, 4], tf.float32),
        "detection_scores": tf.TensorSpec([d], tf.float32),
        "detection_classes": tf.TensorSpec([d], tf.float32),
        "num_detections": tf.TensorSpec([], tf.float32),
    }
    if has_masks(detector.kind):
        specs["detection_masks"] = tf.TensorSpec([d, MASK_SIZE, MASK_SIZE], tf.float32)
    return specs


def _detections(detector, images, *proposals):
    boxes, scores, classes, count, *masks = detector.detect_batch(images, *proposals)
    outputs = {
        "detection_boxes": _normalized(boxes, images),
        "detection_scores": scores,
        "detection_classes": tf.cast(classes, tf.float32),
        "num_detections": tf.cast(count, tf.float32),
    }
    return outputs | ({"detection_masks": masks[0]} if masks else {})


def _raw_specs(detector):
    specs = {
        "raw_detection_boxes": tf.TensorSpec([None, None, 4], tf.float32),
        "raw_detection_scores": tf.TensorSpec([None, None], tf.float32),
    }
    if not detector.needs_proposals:
        p = detector.options.test
        specs["proposals"] = tf.TensorSpec([p, 4], tf.float32)
        specs["objectness"] = tf.TensorSpec([p], tf.float32)
    return specs


def _raw(detector, images, *proposals):
    probabilities, deltas, *made = detector.predict(images, *proposals)
    proposals = (proposals or made)[0]
    boxes = box_ops.clip(box_ops.decode(proposals[:, :, None], deltas), tf.shape(images)[1:3])
    is_real = ~box_ops.is_padding(proposals)
    outputs = {
        "raw_detection_boxes": tf.where(is_real[:, :, None, None], _normalized(boxes, images), 0.0),
        "raw_detection_scores": tf.where(is_real[:, :, None], probabilities, 0.0),
    }
    if made:
        outputs["proposals"] = tf.where(is_real[:, :, None], _normalized(proposals, images), 0.0)
        outputs["objectness"] = made[1]
    return outputs


def _normalized(boxes, images):
    """(x1, y1, x2, y2) in pixels [..., 4] as (ymin, xmin, ymax, xmax) in fractions of the image."""
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return tf.stack([y1 / height, x1 / width, y2 / height, x2 / width], axis=-1)
