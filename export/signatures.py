"""What an exported detector takes and returns: the contract between the graph and its clients.

Shape letters: N images, R proposals an image (short rows padded), K object classes,
D detections an image.

| signature | takes | returns |
|---|---|---|
| `serving_default` | `image_bytes` string [N], `proposals` float32 [N, R, 4] | detections |
| `detect_pixels` | `images` uint8 RGB [N, H, W, 3], `proposals` float32 [N, R, 4] | detections |
| `raw` | `image_bytes` string [N], `proposals` float32 [N, R, 4] | every proposal's outputs |

Inputs. `image_bytes` are whole JPEG or PNG files; the images of a batch may differ in size. They
are turned upright by their EXIF orientation, as `keras_frcnn.data.images.open_image` does it.
`proposals` are (x1, y1, x2, y2) in pixels of the upright original image, continuous, width =
x2 - x1; rows of four -1 are padding, and a row without area gives no detection.

Detections are those of models of the TensorFlow Object Detection API, best first, all float32:
`detection_boxes` [N, D, 4] as (ymin, xmin, ymax, xmax) in fractions of the upright image,
`detection_scores` [N, D], `detection_classes` [N, D] in 1..K, `num_detections` [N]. Rows from
`num_detections` on are zeros.

`raw` returns, before any threshold or suppression and in the order of the proposals, float32:
`raw_detection_scores` [N, R, K + 1], probabilities with the background at 0, and
`raw_detection_boxes` [N, R, K, 4], each class's box, clipped to the image, as (ymin, xmin, ymax,
xmax) in fractions of it. Rows of padding are zeros.

A request that cannot be answered is an InvalidArgument whose message names the element, such as
`image_bytes[2]` or `proposals[0, 17]`; `keras_frcnn.export.inputs` lists the conditions.
"""

from collections.abc import Callable

import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.detection.detector import Detector
from keras_frcnn.export import inputs

IMAGE_BYTES = tf.TensorSpec([None], tf.string, "image_bytes")
IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8, "images")
PROPOSALS = tf.TensorSpec([None, None, 4], tf.float32, "proposals")


def signatures(detector: Detector, max_pixels: int, max_proposals: int) -> dict[str, Callable]:
    """The functions of the three signatures, by name; traced when they are saved.

    Args:
        detector: what they run.
        max_pixels: the largest image that `image_bytes` may hold, height times width.
        max_proposals: how many may run at once, see `inputs`.
    """

    @tf.function(input_signature=[IMAGE_BYTES, PROPOSALS], autograph=False)
    def serving_default(image_bytes, proposals):
        image_bytes, proposals = inputs.check_encoded(image_bytes, proposals, max_proposals)

        def one_image(element):
            image = inputs.decode(element["image_bytes"], element["index"], max_pixels)
            found = _detections(detector, image[None], element["proposals"][None])
            return {name: value[0] for name, value in found.items()}

        d = detector.max_detections
        specs = {
            "detection_boxes": tf.TensorSpec([d, 4], tf.float32),
            "detection_scores": tf.TensorSpec([d], tf.float32),
            "detection_classes": tf.TensorSpec([d], tf.float32),
            "num_detections": tf.TensorSpec([], tf.float32),
        }
        return _map_images(one_image, image_bytes, proposals, specs)

    @tf.function(input_signature=[IMAGES, PROPOSALS], autograph=False)
    def detect_pixels(images, proposals):
        images, proposals = inputs.check_pixels(images, proposals, max_proposals)
        return _detections(detector, images, proposals)

    @tf.function(input_signature=[IMAGE_BYTES, PROPOSALS], autograph=False)
    def raw(image_bytes, proposals):
        image_bytes, proposals = inputs.check_encoded(image_bytes, proposals, max_proposals)

        def one_image(element):
            image = inputs.decode(element["image_bytes"], element["index"], max_pixels)
            found = _raw(detector, image[None], element["proposals"][None])
            return {name: value[0] for name, value in found.items()}

        specs = {
            "raw_detection_boxes": tf.TensorSpec([None, None, 4], tf.float32),
            "raw_detection_scores": tf.TensorSpec([None, None], tf.float32),
        }
        return _map_images(one_image, image_bytes, proposals, specs)

    return {"serving_default": serving_default, "detect_pixels": detect_pixels, "raw": raw}


def _map_images(one_image, image_bytes, proposals, specs):
    """One image after the other: the batch does not have to fit into memory as pixels.

    Padding them to one size instead would change the features near the edges, and the answer
    about an image would depend on the others in its batch.
    """
    elements = {
        "image_bytes": image_bytes,
        "index": tf.range(tf.size(image_bytes)),
        "proposals": proposals,
    }
    return tf.map_fn(one_image, elements, fn_output_signature=specs, parallel_iterations=1)


def _detections(detector, images, proposals):
    boxes, scores, classes, count = detector.detect_batch(images, proposals)
    return {
        "detection_boxes": _normalized(boxes, images),
        "detection_scores": scores,
        "detection_classes": tf.cast(classes, tf.float32),
        "num_detections": tf.cast(count, tf.float32),
    }


def _raw(detector, images, proposals):
    probabilities, deltas = detector.predict(images, proposals)
    boxes = box_ops.clip(box_ops.decode(proposals[:, :, None], deltas), tf.shape(images)[1:3])
    is_real = ~inputs.is_padding(proposals)
    return {
        "raw_detection_boxes": tf.where(is_real[:, :, None, None], _normalized(boxes, images), 0.0),
        "raw_detection_scores": tf.where(is_real[:, :, None], probabilities, 0.0),
    }


def _normalized(boxes, images):
    """(x1, y1, x2, y2) in pixels [..., 4] as (ymin, xmin, ymax, xmax) in fractions of the image."""
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return tf.stack([y1 / height, x1 / width, y2 / height, x2 / width], axis=-1)
