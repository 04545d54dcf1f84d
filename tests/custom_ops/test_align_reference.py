"""The NumPy loop against tables worked out elsewhere, ONNX's vectors and ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.backend.test.case.node import roialign

from keras_frcnn.custom_ops.align_cases import all_cases, random_cases, same
from keras_frcnn.custom_ops.align_reference import roi_align_reference
from keras_frcnn.custom_ops.cases import rows


def one(values, box, size, ratio, aligned):
    """RoIAlign of one box on one map of one channel, at scale 1: [PH, PW]."""
    features = np.array(values, np.float32)[None, :, :, None]
    output = roi_align_reference([features], rows([0, *box]), [0], *size, [1.0], ratio, aligned)
    return output[0, :, :, 0]


def onnx_align(features, rois, size, scale, ratio, aligned):
    """ONNX Runtime's RoiAlign: output [K, PH, PW, C] for float32 `features` [N, H, W, C]."""
    node = onnx.helper.make_node(
        "RoiAlign",
        ["features", "boxes", "images"],
        ["output"],
        mode="avg",
        output_height=size[0],
        output_width=size[1],
        sampling_ratio=ratio,
        spatial_scale=float(scale),
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
    )
    types = {"features": "FLOAT", "boxes": "FLOAT", "images": "INT64", "output": "FLOAT"}
    inputs = [
        onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), None)
        for name, kind in types.items()
    ]
    graph = onnx.helper.make_graph([node], "align", inputs[:3], inputs[3:])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=8
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    given = {
        "features": np.ascontiguousarray(features.transpose(0, 3, 1, 2)),
        "boxes": np.ascontiguousarray(rois[:, 1:]),
        "images": rois[:, 0].astype(np.int64),
    }
    (output,) = session.run(None, given)
    return output.transpose(0, 2, 3, 1)


@pytest.mark.parametrize("aligned, first, last", [(False, 7.5, 15.0), (True, 4.5, 12.0)])
def test_the_table_of_detectron2(aligned, first, last):
    values = np.arange(25).reshape(5, 5)
    found = one(values, (1, 1, 3, 3), (4, 4), 0, aligned)
    np.testing.assert_array_equal(found[0], first + np.arange(4) / 2)
    np.testing.assert_array_equal(found[3], last + np.arange(4) / 2)


@pytest.mark.parametrize(
    "aligned, ratio, expected",
    [
        (True, 1, [2.8, 3.8, 8, 9]),
        (True, 2, [1.4, 3.8, 4, 9]),
        (True, 0, [1.4, 3.8, 4, 9]),
        # The row of the last two is (0.3 + 1.8) + 0.9, which float32 rounds to above 3: outside.
        (False, 1, [4.8, 6.3, 0, 0]),
        (False, 2, [4.875, 6.3, 4.0375, 4.75]),
        (False, 0, [4.875, 6.3, 4.0375, 4.75]),
    ],
)
def test_the_table_of_both_clamps(aligned, ratio, expected):
    found = one(np.arange(12).reshape(3, 4), (-1.2, 0.3, 2.4, 3.9), (2, 2), ratio, aligned).ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(found == 0, np.array(expected) == 0)


@pytest.mark.parametrize(
    "box, size, ratio, aligned, legacy",
    [
        ((-1, -1, 0, 0), (1, 1), 1, [0], [0]),
        ((3, 2, 5, 4), (1, 1), 1, [11], [11]),
        ((1.5, 1.5, 1.5, 1.5), (1, 1), 1, [5], [10]),
        ((1.5, 1.5, 1.5, 1.5), (1, 1), 0, [0], [10]),  # no size: no sample but in legacy mode
        ((1, 1, 3, 2), (1, 2), 1, [5, 6], None),
        ((3, 1, 1, 2), (1, 2), 1, [6, 5], None),  # its mirror image
        ((3, 1, 1, 2), (1, 2), 0, [0, 0], None),  # inverted by a bin or more: no sample
    ],
)
def test_single_boxes(box, size, ratio, aligned, legacy):
    values = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(one(values, box, size, ratio, True).ravel(), aligned)
    if legacy is not None:
        np.testing.assert_array_equal(one(values, box, size, ratio, False).ravel(), legacy)


def test_whole_cells_are_copied():
    values = np.random.default_rng(0).normal(size=(6, 7)).astype(np.float32)
    np.testing.assert_array_equal(one(values, (1, 2, 5, 6), (4, 4), 1, True), values[2:6, 1:5])


def test_the_vectors_of_onnx(monkeypatch):
    collected = []
    monkeypatch.setattr(roialign, "expect", lambda node, **given: collected.append((node, given)))
    roialign.RoiAlign.export_roialign_aligned_false()
    roialign.RoiAlign.export_roialign_aligned_true()
    assert len(collected) == 2
    for (node, given), aligned in zip(collected, (False, True), strict=True):
        asked = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        features, boxes, images = given["inputs"]
        found = roi_align_reference(
            [features.transpose(0, 2, 3, 1)],
            np.concatenate([images[:, None], boxes], axis=1).astype(np.float32),
            [0] * len(boxes),
            asked["output_height"],
            asked["output_width"],
            [asked["spatial_scale"]],
            asked["sampling_ratio"],
            aligned,
        )
        expected = given["outputs"][0].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(found, expected, atol=1e-4)  # they are printed so far


ORACLE = [case for case in all_cases() if case.oracle] + random_cases(20)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
def test_onnx_runtime(ratio, aligned):
    for case in ORACLE:
        if not len(case.rois):
            continue
        widths = case.rois[:, 3:] - case.rois[:, 1:3]
        if ratio == 0 and (widths < 0).any():
            continue  # an error there; here 0
        arguments = *case.size, case.scales, ratio, aligned
        found = roi_align_reference(case.maps, case.rois, case.levels, *arguments)
        expected = onnx_align(case.maps[0], case.rois, case.size, case.scales[0], ratio, aligned)
        assert same(found, expected), case.name


@pytest.mark.parametrize(
    "row, level, message",
    [
        ([-1, 0, 0, 1, 1], 0, "row 1: batch index -1"),
        ([2, 0, 0, 1, 1], 0, "row 1: batch index 2"),
        ([0, np.nan, 0, 1, 1], 0, "row 1: coordinates .* not finite"),
        ([0, 0, 0, np.inf, 1], 0, "row 1: coordinates .* not finite"),
        ([0, 0, 0, 1e9, 1], 0, "row 1: .* samples a bin"),
        ([0, 0, 0, 1, 1], 1, "row 1: level 1"),
        ([0, 0, 0, 1, 1], -1, "row 1: level -1"),
    ],
)
def test_rows_that_cannot_be_used(row, level, message):
    with pytest.raises(ValueError, match=message):
        roi_align_reference(
            [np.zeros((2, 4, 4, 1), np.float32)],
            rows([0, 0, 0, 1, 1], row),
            [0, level],
            2,
            2,
            [1.0],
        )
