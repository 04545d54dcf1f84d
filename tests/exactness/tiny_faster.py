"""A region proposal network and a Faster R-CNN on the trunk of `tiny`, and their mini-batches."""

import keras
import numpy as np

from keras_frcnn.models.faster_rcnn import FasterRCNN, RegionProposalNetwork
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.models.trunks import Trunk
from keras_frcnn.training.optimizer import SGD
from tests.exactness import numpy_fast_rcnn, numpy_faster_rcnn, tiny

OPTIONS = ProposalOptions(
    scales=(1.0, 2.0), min_size=5.0, pre_nms_train=100, train=40, pre_nms_test=50, test=8
)
ROIS = 256  # a quarter of them has room for all proposals and objects
BOX_WEIGHT, RPN_BOX_WEIGHT = 0.7, 1.3
TRUNK = Trunk(
    tiny.tiny_trunk,
    numpy_fast_rcnn.TRUNK_STRIDE,
    pool_size=(numpy_fast_rcnn.POOL,) * 2,
    fc_units=(7, 6),
    rpn_channels=5,
)
# Of kernels whose own would hide their gradients; proposals stay near their anchors.
STD = {"cls_score": 0.5, "bbox_deltas": 0.5}
STD |= {"rpn_conv": 0.3, "rpn_cls_score": 0.5, "rpn_bbox_deltas": 0.02}
SIZE = (22, 32)  # of the batch's images, of which the second is smaller


def tiny_rpn():
    """A compiled region proposal network whose outputs are of the size of trained ones."""
    return _ready(RegionProposalNetwork, numpy_faster_rcnn.RPN_LAYERS)


def tiny_faster_rcnn(**kwargs):
    """A compiled Faster R-CNN of 1200 weights, without dropout."""
    kwargs = {"targets": (tiny.MEAN, tiny.STD), "rois_per_image": ROIS, "dropout": 0.0} | kwargs
    return _ready(FasterRCNN, numpy_faster_rcnn.LAYERS, **kwargs)


def _ready(build, layers, **kwargs):
    keras.utils.set_random_seed(3)
    names = map(str, range(tiny.CLASSES))
    model = build(names, TRUNK, None, options=OPTIONS, **kwargs)
    rng = np.random.default_rng(1)
    for name in layers:
        layer = model.get_layer(name)
        layer.bias.assign(rng.normal(0.1, 0.1, layer.bias.shape))
        if name in STD:
            layer.kernel.assign(rng.normal(0, STD[name], layer.kernel.shape))
    model.compile(
        SGD(tiny.RATE, tiny.MOMENTUM, tiny.DECAY),
        box_loss_weight=BOX_WEIGHT if "targets" in kwargs else 1.0,
        rpn_box_loss_weight=RPN_BOX_WEIGHT,
    )
    return model


def rpn_batch(seed):
    """Images, places of nine sampled anchors of each, their labels and targets."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 58, (2, *SIZE, 3))
    images[1, 17:] = images[1, :, 27:] = 0
    places = np.array([(y, x, a) for y in range(4) for x in range(6) for a in range(6)], np.int32)
    anchors = np.stack([places[rng.permutation(len(places))[:9]] for _ in range(2)])
    labels = np.array([[1, 1, 1, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, -1, -1, -1, -1]])
    anchors[labels < 0] = 0
    # Errors on both sides of 1 / 9, where smooth L1 changes from square to line.
    targets = rng.normal(0, 0.3, (2, 9, 4)) * (labels > 0)[..., None]
    return images, anchors, labels, targets


def joint_batch(seed):
    """The same, and what Faster R-CNN needs to know of its images and their objects."""
    rng = np.random.default_rng(seed + 1000)
    # Near anchors, so that some proposals are foreground.
    gt_boxes = np.array([[[2, 2, 10, 10], [14, 7, 26, 13], [18, 9, 24, 21]], [[6, 2, 14, 10]] * 3])
    gt_boxes = (gt_boxes + rng.integers(-1, 2, gt_boxes.shape)).astype(np.float32)
    gt_boxes[1, 1:] = 0
    about = {
        "image_sizes": np.array([SIZE, (17, 27)], np.int32),
        "box_scales": np.array([[0.8, 0.7], [1.0, 0.5]], np.float32),
        "gt_boxes": gt_boxes,
        "gt_classes": np.array([[1, 3, 2], [2, 0, 0]], np.int32),
    }
    return *rpn_batch(seed), about


def as_keras(images, anchors, labels, targets, about=None):
    """Inputs and truth of a mini-batch."""
    rows = np.concatenate([labels[..., None], targets], axis=-1)
    x = {"images": images, "anchors": anchors}
    y = {"rpn_cls_score": labels, "rpn_bbox_pred": rows}
    if about is None:
        return x, y
    seed = np.array([[3, 4], [5, 6]], np.int32)
    return x | about | {"seed": seed}, y | {k: np.zeros((2, 1)) for k in ("cls_score", "bbox_pred")}
