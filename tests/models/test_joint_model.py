"""The graph of joint training in a file and in bfloat16."""

import dataclasses
import operator

import keras
import numpy as np
import pytest

from tests.exactness import tiny_faster

# Not one of them is a number of bfloat16, which has eight bits.
GT_BOXES = np.array(
    [[[1.0625, 2.53125, 257.0625, 129.015625]] * 3, [[3.140625, 6.28125, 14.6875, 9.4375]] * 3],
    np.float32,
)
BOX_SCALES = np.array([[1.0009765625, 0.99755859375], [2.0078125, 257.0625]], np.float32)


def test_a_saved_model_has_the_same_losses(tmp_path):
    """Losses, their weights, metric, options, optimizer and what is drawn: all in the file."""
    model = tiny_faster.tiny_faster_rcnn(rois_per_image=16, bg_iou_low=0.05)
    first, second = (tiny_faster.as_keras(*tiny_faster.joint_batch(seed)) for seed in (0, 1))
    model.train_on_batch(*first)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.options == model.options == dataclasses.replace(tiny_faster.OPTIONS, stride=4)
    assert again.detector == "faster_rcnn"
    results = []
    for one in (model, again):
        one.reset_metrics()
        results.append(one.test_on_batch(*second, return_dict=True))
    assert results[0] == results[1] and len(results[0]) == 7  # four losses, their sum, two shares
    assert 0 < results[0]["cls_score_foreground_share"] < 0.3
    for kind in ("weights", "optimizer.variables"):
        pairs = zip(*(operator.attrgetter(kind)(m) for m in (model, again)), strict=True)
        assert all((a.numpy() == b.numpy()).all() for a, b in pairs), kind


@pytest.fixture(scope="module")
def bfloat16():
    """A model in mixed_bfloat16, what its layers are called with in a step, and its outputs."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = tiny_faster.tiny_faster_rcnn(rois_per_image=16)
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(model.optimizer, run_eagerly=True)
    seen = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("take_anchors", "propose", "sample_rois", "roi_pool", "carry_targets"):
            layer = model.get_layer(name)

            def call(*args, name=name, inner=layer.call):
                seen[name] = args, inner(*args)
                return seen[name][1]

            patch.setattr(layer, "call", call)
        x, y = tiny_faster.as_keras(*tiny_faster.joint_batch(0))
        x |= {"gt_boxes": GT_BOXES, "box_scales": BOX_SCALES, "images": x["images"][:, :, ::-1]}
        model.train_on_batch(x, y)
    outputs = model({k: keras.ops.convert_to_tensor(v) for k, v in x.items()})
    return model, seen, outputs


def test_no_coordinate_is_rounded(bfloat16):
    _, seen, _ = bfloat16
    (*_, sizes, scales), (proposals, _) = seen["propose"]
    np.testing.assert_array_equal(scales, BOX_SCALES)
    assert sizes.dtype == "int32" and scales.dtype == "float32"
    (drawn_from, gt_boxes, *_, seed), (rois, labels, targets) = seen["sample_rois"]
    np.testing.assert_array_equal(gt_boxes, GT_BOXES)
    np.testing.assert_array_equal(drawn_from, proposals)
    assert (np.max(np.abs(seed), axis=1) > 0).all()
    (features, pooled), _ = seen["roi_pool"]
    np.testing.assert_array_equal(pooled, rois)
    assert features.dtype == "bfloat16" and pooled.dtype == "float32"
    (*_, carried_labels, carried), _ = seen["carry_targets"]
    np.testing.assert_array_equal(carried, targets)
    np.testing.assert_array_equal(carried_labels, labels)
    for i, boxes in enumerate(GT_BOXES):  # the object itself is a RoI, to the last bit
        assert (rois.numpy()[i][labels.numpy()[i] > 0] == boxes[0]).all(axis=1).any()


def test_scores_and_deltas_of_anchors_are_float32(bfloat16):
    model, seen, outputs = bfloat16
    assert model.get_layer("rpn_conv").compute_dtype == "bfloat16"
    for name in ("rpn_cls_score", "rpn_bbox_deltas", "rpn_scores", "rpn_deltas", "cls_score"):
        assert model.get_layer(name).compute_dtype == "float32", name
    (scores, deltas, _), _ = seen["take_anchors"]
    for x in (scores, deltas, *outputs.values()):
        assert x.dtype == "float32"
        rounded = keras.ops.cast(keras.ops.cast(x, "bfloat16"), "float32")
        assert np.mean(x == rounded) < 0.5  # numbers that bfloat16 has not
    assert set(outputs) == {"rpn_cls_score", "rpn_bbox_pred", "cls_score", "bbox_pred"}
