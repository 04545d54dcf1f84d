import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from keras_frcnn.benchmarks.train_stages import REST, STAGES, stage_of, stage_seconds

MS = 1_000_000_000  # picoseconds
MODEL = "StatefulPartitionedCall/fast_rcnn_vgg16_1/"
GRADIENT = "StatefulPartitionedCall/gradient_tape/fast_rcnn_vgg16_1/"
RELU = "StatefulPartitionedCall/conv_relu_gradient_2/"
JOINT = "StatefulPartitionedCall/faster_rcnn_vgg16_1/"
JOINT_GRADIENT = "StatefulPartitionedCall/gradient_tape/faster_rcnn_vgg16_1/"
RPN = "StatefulPartitionedCall/rpn_squeezenet_1/"


def space(*threads):
    """Threads of (name, first millisecond, last millisecond)."""
    result = xplane_pb2.XSpace()
    plane = result.planes.add()
    for events in threads:
        line = plane.lines.add(timestamp_ns=1000)
        for name, start, end in events:
            key = len(plane.event_metadata) + 1
            plane.event_metadata[key].name = name
            line.events.add(metadata_id=key, offset_ps=start * MS, duration_ps=(end - start) * MS)
    return result


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        (MODEL + "block3_conv2_1/Relu:_MklNativeFusedConv2D", "trunk forward"),
        (MODEL + "fire2_expand3x3_1/Relu:_MklNativeFusedConv2D", "trunk forward"),
        (GRADIENT + "block3_pool_1/MaxPool2d/MaxPoolGrad:MaxPoolGrad", "trunk backward"),
        (RELU + "block5_conv3/MatMul_3:_MklMatMul", "trunk backward"),
        (MODEL + "roi_pool_1/KerasFrcnn>RoiPool:KerasFrcnn>RoiPool", "RoI pooling"),
        (GRADIENT + "roi_pool_1/KerasFrcnn>RoiPoolGrad:KerasFrcnn>RoiPoolGrad", "RoI pooling"),
        (MODEL + "fc6_1/Tensordot/MatMul:_MklMatMul", "heads forward"),
        (MODEL + "drop_fc7_1/stateless_dropout/Mul:Mul", "heads forward"),
        (MODEL + "bbox_deltas_1/Tensordot/MatMul:MatMul", "heads forward"),
        (GRADIENT + "cls_score_1/Tensordot/MatMul/MatMul_1:_MklMatMul", "heads backward"),
        ("StatefulPartitionedCall/sgd/add_18:AddV2", "optimizer"),
        ("decode_and_scale/DecodeJpeg:DecodeJpeg", "decode and scale"),
        ("sample_rois/ArgSort/TopKV2:TopKV2", "sampling"),
        (JOINT + "block3_conv2_1/Relu:_MklNativeFusedConv2D", "trunk forward"),
        (JOINT_GRADIENT + "block3_pool_1/MaxPool2d/MaxPoolGrad:MaxPoolGrad", "trunk backward"),
        (JOINT + "rpn_conv_1/Relu:_MklNativeFusedConv2D", "rpn forward"),
        (JOINT + "rpn_scores_1/Reshape:Reshape", "rpn forward"),
        (JOINT + "take_anchors_1/BatchGatherND/GatherNd:GatherNd", "rpn forward"),
        (JOINT_GRADIENT + "take_anchors_1/BatchGatherND/ScatterNd:ScatterNd", "rpn backward"),
        (JOINT_GRADIENT + "rpn_cls_score_1/Conv2DBackpropFilter:Conv2D", "rpn backward"),
        (RELU + "rpn_conv/MatMul_3:_MklMatMul", "rpn backward"),
        (JOINT + "propose_1/TopKV2:TopKV2", "proposals"),
        (JOINT + "sample_rois_1/map/while/body/_9/sample_rois/map/while/Pad:Pad", "sampling"),
        (JOINT + "roi_pool_1/KerasFrcnn>RoiPool:KerasFrcnn>RoiPool", "RoI pooling"),
        (JOINT + "carry_targets_1/concat:ConcatV2", "heads forward"),
        ("sample_anchors/argsort/TopKV2:TopKV2", "sampling"),
        (RPN + "fire9_concat_1/concat:ConcatV2", "trunk forward"),
        (RPN + "rpn_conv_1/Relu:_MklNativeFusedConv2D", "rpn forward"),
        ("StatefulPartitionedCall/compile_loss/Sum:Sum", REST),
        ("StatefulPartitionedCall/gradient_tape/compile_loss/rpn_cls_score/Mul:Mul", REST),
        ("StatefulPartitionedCall/compile_loss/bbox_pred/Sum:Sum", REST),
        ("StatefulPartitionedCall:StatefulPartitionedCall", None),
        ("Iterator::Root::Prefetch", None),
        ("ExecutorState::Process", None),
        ("EagerExecute", None),
    ],
)
def test_stages_by_the_names_of_ops(name, stage):
    assert stage_of(name) == stage


def test_ops_that_overlap_share_the_time_and_the_sum_is_the_step():
    profile = space(
        [(MODEL + "block1_conv1/Relu:Conv2D", 0, 10), ("ExecutorState::Process", 0, 40)],
        [(MODEL + "fc6/MatMul:MatMul", 4, 8), ("StatefulPartitionedCall/sgd/add:AddV2", 20, 30)],
        [(GRADIENT + "block1_conv1/MatMul:MatMul", 6, 8)],
    )
    seconds = stage_seconds(profile, 0.05)
    # Alone for 6 ms, one of two from 4 to 6 ms, one of three from 6 to 8 ms.
    assert seconds["trunk forward"] == pytest.approx(0.006 + 0.001 + 0.002 / 3)
    assert seconds["heads forward"] == pytest.approx(0.001 + 0.002 / 3)
    assert seconds["trunk backward"] == pytest.approx(0.002 / 3)
    assert seconds["optimizer"] == pytest.approx(0.010)
    assert seconds[REST] == pytest.approx(0.05 - 0.020)
    assert set(seconds) == {*STAGES, REST}
    assert sum(seconds.values()) == pytest.approx(0.05)
