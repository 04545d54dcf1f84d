"""The tables of `keras-frcnn bench detect`.

Times come as median seconds by `Step`. Those of R-CNN are of all proposals (`scale_up`).
"""

from collections.abc import Mapping

from keras_frcnn.benchmarks.detect_steps import (
    CALLERS,
    CUSTOM,
    DECODED,
    DETECT,
    HEADS,
    NETWORK,
    ONNX_RUNTIME,
    OPENVINO,
    POOL,
    PRECISIONS,
    PREPARE,
    RCNN,
    SERVED,
    SUPPRESS,
    TRUNK,
    Calls,
    Step,
)
from keras_frcnn.benchmarks.tables import markdown, ms

Times = Mapping[Step, float]

_BOTH = [Step(NETWORK, "float32", engine, True) for engine in (ONNX_RUNTIME, OPENVINO)]
_RCNN = Step(RCNN, "float32")
# Against what (the fastest of these), precision, SVD in ours, and the aim for theirs / ours.
AIMS = (
    ("ONNX Runtime", [Step(NETWORK, "float32", ONNX_RUNTIME)], "float32", False, 1.6),
    ("OpenVINO", [Step(NETWORK, "float32", OPENVINO)], "float32", False, 1.4),
    ("OpenVINO", [Step(NETWORK, "bfloat16", OPENVINO)], "bfloat16", False, 1.3),
    ("the better of both", _BOTH, "float32", True, 2.2),
    ("the better of both", [Step(NETWORK, "bfloat16", OPENVINO, True)], "bfloat16", True, 2.2),
    ("R-CNN", [_RCNN], "float32", False, 70),
    ("R-CNN", [_RCNN], "float32", True, 120),
)
STAGES = {
    PREPARE: "scaling the image, finding distinct proposals",
    TRUNK: "trunk",
    POOL: "RoI pooling",
    HEADS: "heads",
    SUPPRESS: "decoding and suppression",
}


def scale_up(seconds: float, sample: int, count: int) -> float:
    """What `count` proposals take if `sample` of them take `seconds`, each by itself as R-CNN."""
    return seconds * count / sample


def format_programs(times: Times) -> str:
    """All programs as a Markdown table."""
    lines = [["program", "precision", "ours with SVD, or beside it", "what is timed", "time (ms)"]]
    scope = {
        DETECT: "pixels and proposals to detections",
        NETWORK: "scaled image and RoIs to probabilities and offsets",
        RCNN: "the same, each RoI warped; scaled up from a sample",
    }
    for step, seconds in times.items():
        if step.what in scope:
            peer = step.engine in (ONNX_RUNTIME, OPENVINO)
            name = step.engine if peer else f"ours, {step.what}, {step.engine} ops"
            name = "R-CNN" if step.what == RCNN else name
            svd = "yes" if step.svd else "no"
            lines.append([name, step.precision, svd, scope[step.what], ms(seconds)])
    return markdown(lines)


def format_aims(times: Times) -> str:
    """Theirs / ours for each of `AIMS` that was measured, as a Markdown table.

    The network compares like with like: the same scaled image and all of the same RoIs. The last
    two columns set the whole of our detection, from pixels to boxes, against their network.
    """
    lines = [
        [
            "against",
            "precision",
            "ours",
            "theirs (ms)",
            "our network (ms)",
            "theirs / ours",
            "aim",
            "our detect_pixels (ms)",
            "their network / our detect_pixels",
        ]
    ]
    for name, peers, precision, svd, aim in AIMS:
        known = [times[peer] for peer in peers if peer in times]
        if not known:
            continue
        theirs = min(known)
        network = times[Step(NETWORK, precision, CUSTOM, svd)]
        whole = times[Step(DETECT, precision, CUSTOM, svd)]
        ratios = [f"{theirs / seconds:.2f}" for seconds in (network, whole)]
        ours = "with SVD" if svd else "without SVD"
        row = [name, precision, ours, ms(theirs), ms(network), ratios[0], f"{aim:g}"]
        lines.append([*row, ms(whole), ratios[1]])
    return markdown(lines)


def format_stages(times: Times, proposals: float) -> str:
    """Where the time of a detection goes, as a Markdown table of milliseconds and shares.

    Args:
        times: of the parts of the custom builds, each run by itself on all proposals.
        proposals: seconds of selective search.
    """
    measured = [precision for precision in PRECISIONS if Step(TRUNK, precision) in times]
    builds = [(precision, svd) for precision in measured for svd in (False, True)]
    lines = [["stage", *(f"{precision}{', SVD' * svd}" for precision, svd in builds)]]
    columns = []
    for precision, svd in builds:
        column = {"proposals (selective search)": proposals}
        for what, name in STAGES.items():
            column[name] = times[Step(what, precision, CUSTOM, svd and what == HEADS)]
        columns.append(column)
    for name in columns[0]:
        cells = [f"{ms(c[name])} ms ({c[name] / sum(c.values()):.1%})" for c in columns]
        lines.append([name, *cells])
    totals = [sum(column.values()) for column in columns]
    lines.append(["total", *(f"{ms(total)} ms" for total in totals)])
    without = (f"{ms(total - proposals)} ms" for total in totals)
    lines.append(["total without proposals", *without])
    return markdown(lines)


def format_calls(seconds: Mapping[Calls, float], processor: Mapping[Calls, float]) -> str:
    """`serving_default` beside what it is made of, as a Markdown table.

    Args:
        seconds: wall seconds an image.
        processor: the same of all threads together.
    """
    lines = [
        [
            "requests at once",
            f"{SERVED} (images/s)",
            f"{DECODED} (images/s)",
            f"{SERVED} (processor ms)",
            f"{DECODED} (processor ms)",
            "ratio",
        ]
    ]
    for callers in CALLERS:
        both = Calls(SERVED, callers), Calls(DECODED, callers)
        times = [processor[calls] for calls in both]
        row = [str(callers), *(f"{1 / seconds[calls]:.1f}" for calls in both)]
        lines.append([*row, *map(ms, times), f"{times[0] / times[1]:.2f}"])
    return markdown(lines)
