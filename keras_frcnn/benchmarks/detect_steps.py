"""What `keras-frcnn bench detect` measures, by name, and what it measures it on."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

PRECISIONS = ("float32", "bfloat16")
PORTABLE, CUSTOM = "portable", "custom"  # builds of ours
ONNX_RUNTIME, OPENVINO = "ONNX Runtime", "OpenVINO"
ONNX_FILE = "model.onnx"  # in the folder of the models
# Whole programs: from pixels and proposals to detections, the exported signature; the network
# alone, from the scaled image and RoIs to probabilities and deltas; a sample of R-CNN.
DETECT, NETWORK, RCNN = "detect_pixels", "network", "R-CNN"
# Parts of `DETECT`.
PREPARE, TRUNK, POOL, HEADS, SUPPRESS = "prepare", "trunk", "RoI pooling", "heads", "suppression"
# Signatures that are called from several threads at once, and how many.
SERVED, DECODED = "serving_default", "decoding and detect_pixels"
CALLERS = (1, 2, 8)
IMAGES = 48  # of a measurement of them


class Step(NamedTuple):
    """One thing that is timed."""

    what: str
    precision: str
    engine: str = CUSTOM
    svd: bool = False  # of ours; of another library: timed beside ours with SVD


class Calls(NamedTuple):
    """Requests from several threads at once that are timed together."""

    what: str
    callers: int


@dataclass(frozen=True)
class Source:
    """Where the model comes from: a run, or random weights."""

    run: str | None = None
    # Of the model with random weights; what the model of a run has.
    trunk: str = "vgg16"
    num_classes: int = 20
    fc_units: tuple[int, int] = (4096, 4096)
    min_side: int = 600
    max_side: int = 1000


@dataclass(frozen=True, eq=False)
class Inputs:
    """One image with its proposals, as the programs take them.

    Shape letters: H x W pixels of the image, h x w of the scaled image, R proposals.
    """

    image: np.ndarray  # uint8 RGB [H, W, 3]
    proposals: np.ndarray  # float32 [R, 4], pixels of `image`
    scaled: np.ndarray  # float32 [1, h, w, 3], what the network sees
    rois: np.ndarray  # float32 [R, 4], pixels of `scaled`

    def of_peers(self) -> dict[str, np.ndarray]:
        """The inputs of the ONNX graph: channels first, RoIs with the index of their image."""
        images = np.ascontiguousarray(self.scaled.transpose(0, 3, 1, 2))
        index = np.zeros((len(self.rois), 1), np.float32)
        return {"images": images, "rois": np.concatenate([index, self.rois], axis=1)}


def our_steps(precision: str, svd: bool) -> list[Step]:
    """What is timed of ours, and R-CNN, which is made of the same parts.

    Compression changes nothing but the heads; R-CNN is compared in float32.
    """
    steps = [Step(DETECT, precision, ops, svd) for ops in (PORTABLE, CUSTOM)]
    steps += [Step(what, precision, CUSTOM, svd) for what in (NETWORK, HEADS)]
    if not svd:
        steps += [Step(what, precision) for what in (PREPARE, TRUNK, POOL, SUPPRESS)]
        if precision == "float32":
            steps.append(Step(RCNN, precision))
    return steps


def peer_steps(engine: str, precision: str, svd: bool) -> list[Step]:
    """What is timed of another library beside `our_steps`; it has no SVD itself."""
    if engine == ONNX_RUNTIME and precision != "float32":  # it computes in nothing else on a CPU
        return []
    return [Step(NETWORK, precision, engine, svd)]
