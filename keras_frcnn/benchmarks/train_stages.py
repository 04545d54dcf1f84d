"""How the time of a training step is spread over its stages, from TensorFlow's profiler."""

import re
from pathlib import Path

from tensorflow.tsl.profiler.protobuf import xplane_pb2

REST = "losses, metrics, waiting"
_LOSSES = re.compile(r"(^|/)compile_(loss|metrics)")
_HEADS = r"/(fc6|fc7|drop_fc6|drop_fc7|flatten|cls_score|bbox_\w+?|carry_targets)(_\d+)?/"
_RPN = r"/(rpn_(conv|cls_score|bbox_deltas|scores|deltas)|take_anchors)(_\d+)?/"
_MODEL = r"(^|/)(fast_rcnn|faster_rcnn|rpn)_"  # how their names begin
# The first pattern that is found in the name of an op gives its stage.
STAGES = {
    "decode and scale": r"decode_and_scale",
    "sampling": r"sample_(rois|anchors)",
    "optimizer": r"(^|/)sgd/",
    "proposals": r"/propose(_\d+)?/",
    "RoI pooling": r"roi_pool",
    "heads backward": rf"gradient_tape/.*{_HEADS}",
    "heads forward": _HEADS,
    "rpn backward": rf"(gradient_tape/.*|conv_relu_gradient(_\d+)?){_RPN}",
    "rpn forward": _RPN,
    "trunk backward": rf"gradient_tape.*{_MODEL}|conv_relu_gradient",
    "trunk forward": _MODEL,
}
FASTER = ("proposals", "rpn backward", "rpn forward")  # what Fast R-CNN has not
# "name:Op"; the profiler's other events, such as "Iterator::Prefetch", are no ops.
_OP = re.compile(r"[^:]+:\w[\w>]*")
# Ops that only hold others, or wait for them.
_HOLDERS = re.compile(r":(StatefulPartitionedCall|PartitionedCall|IteratorGetNext|If|StatelessIf)$")


def stage_of(name: str) -> str | None:
    """The stage that an op, such as "fast_rcnn_vgg16/fc6/MatMul:MatMul", belongs to."""
    if not _OP.fullmatch(name) or _HOLDERS.search(name):
        return None
    if _LOSSES.search(name):  # of outputs, whose names are those of layers
        return REST
    return next((s for s, pattern in STAGES.items() if re.search(pattern, name)), REST)


def stage_seconds(space: xplane_pb2.XSpace, seconds: float) -> dict[str, float]:
    """Wall seconds of each stage; they add up to `seconds`, those of the profiled step.

    A moment at which k threads run ops counts 1/k for the stage of each; one without any op, for
    `REST`.
    """
    edges = []  # (picosecond, +1 or -1, stage)
    for plane in space.planes:
        names = {key: metadata.name for key, metadata in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                stage = stage_of(names[event.metadata_id])
                if stage:
                    start = line.timestamp_ns * 1000 + event.offset_ps
                    edges += [(start, 1, stage), (start + event.duration_ps, -1, stage)]
    total = dict.fromkeys([*STAGES, REST], 0.0)
    running = dict.fromkeys(total, 0)
    last = 0
    for time, change, stage in sorted(edges):
        count = sum(running.values())
        if count:
            for name, ops in running.items():
                total[name] += (time - last) * 1e-12 * ops / count
        running[stage] += change
        last = time
    total[REST] += seconds - sum(total.values())
    return total


def read_profile(folder: Path) -> xplane_pb2.XSpace:
    """What `tf.profiler.experimental` has written into `folder`."""
    (path,) = folder.glob("**/*.xplane.pb")
    space = xplane_pb2.XSpace()
    space.ParseFromString(path.read_bytes())
    return space
