"""The settings of a training run; the defaults are the paper's recipe for VGG16.

Only the precision is not the paper's: it is what the machine is fast in.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from keras_frcnn.errors import InputError, did_you_mean
from keras_frcnn.models.trunks import TRUNKS

PRECISIONS = ("float32", "mixed_bfloat16")


def default_precision() -> str:
    """`mixed_bfloat16` where the processor or the GPU multiplies bfloat16, else `float32`."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        has_bfloat16 = details.get("compute_capability", (0, 0)) >= (8, 0)
    else:
        has_bfloat16 = processor_has_bfloat16()
    return "mixed_bfloat16" if has_bfloat16 else "float32"


def processor_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16."""
    try:
        with open("/proc/cpuinfo") as file:
            flags = file.read()
    except FileNotFoundError:  # not Linux: no word from the processor
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@dataclass(frozen=True)
class Settings:
    """What `keras-frcnn train` was asked for; saved as `config.json` in the run directory."""

    data: str  # as given to --data
    split: str
    class_names: tuple[str, ...]  # empty in a recipe: those of the data set
    trunk: str = "vgg16"
    weights: str | None = None  # None (random), "imagenet" or the path of an HDF5 file
    initial: str | None = None  # a run whose detector this one starts from, in place of `weights`
    # The first layer to train where weights are loaded, such as "conv3_1" (the paper's choice for
    # VGG16, section 4.5); None: the trunk's. "fc6" trains no convolution, "bbox_pred" the box
    # regressor alone (stage-wise training, section 5.1).
    finetune_from: str | None = None
    fc_units: tuple[int, int] | None = None  # of fc6 and fc7; None: the trunk's
    dropout: float = 0.5
    min_side: tuple[int, ...] = (600,)  # several: multi-scale training
    max_side: int = 1000
    images_per_batch: int = 2
    group_by_aspect: bool = False  # batches of images of one orientation; recipes turn it on
    rois_per_image: int = 64
    steps: int = 40_000  # mini-batches
    rate: float = 0.001
    decay_at: tuple[int, ...] = (30_000,)  # the rate drops tenfold after these
    warmup: int = 0
    momentum: float = 0.9
    l2: float = 0.0005
    bias_decay: bool = True  # paper: biases decay too; its released code: they do not
    box_loss_weight: float = 1.0  # lambda of the paper
    precision: str = field(default_factory=default_precision)  # of PRECISIONS
    seed: int = 0
    keep_checkpoints: int = 3  # the last ones are kept
    # Whether steps give the same bits each time; slower on a GPU.
    deterministic: bool = False
    recipe: str | None = None  # the recipe that the run started from

    # May be another when a run is resumed: these do not change what a step does.
    FREE_ON_RESUME: ClassVar[tuple[str, ...]] = ("steps", "keep_checkpoints")

    def __post_init__(self):
        """Refuse impossible values, naming the option."""
        for name in ("min_side", "fc_units", "decay_at", "class_names"):  # JSON has only lists
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if value is not None else None)
        if self.trunk not in TRUNKS:
            raise InputError(
                f"trunk: {did_you_mean(self.trunk, TRUNKS)}; choose from {', '.join(TRUNKS)}"
            )
        if self.precision not in PRECISIONS:
            raise InputError(
                f"precision: {did_you_mean(self.precision, PRECISIONS)}; choose from "
                + ", ".join(PRECISIONS)
            )
        if self.weights == "imagenet" and self.trunk != "vgg16":
            raise InputError(f"weights: Keras has no ImageNet weights of {self.trunk}; give a file")
        if self.weights is not None and self.initial is not None:
            raise InputError("weights and initial: a detector starts from one of them, give one")
        if self.finetune_from is not None:
            TRUNKS[self.trunk].frozen(self.finetune_from)  # refuses a layer the trunk has not
            if self.weights is None and self.initial is None:
                raise InputError("finetune_from: random weights are all trained; give weights")
        if self.fc_units is not None and (len(self.fc_units) != 2 or min(self.fc_units) < 1):
            raise InputError(f"fc_units: needs two positive numbers, not {list(self.fc_units)}")
        for name in ("warmup", "l2", "box_loss_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(
                    f"{name}: must be at least 0 and finite, not {getattr(self, name)}"
                )
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed: must be from 0 to 2**32 - 1, not {self.seed}")
        counts = ("steps", "images_per_batch", "rois_per_image", "keep_checkpoints")
        for name in ("rate", "max_side", *counts):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name}: must be positive and finite, not {getattr(self, name)}")
        if any(step < 1 for step in self.decay_at):
            raise InputError(f"decay_at: steps count from 1, not {list(self.decay_at)}")
        if len(set(self.decay_at)) < len(self.decay_at):
            raise InputError(f"decay_at: a step is given twice: {list(self.decay_at)}")
        if not self.min_side or min(self.min_side) < 1 or max(self.min_side) > self.max_side:
            raise InputError(
                f"min_side: needs values from 1 to max_side ({self.max_side}), "
                f"not {list(self.min_side)}"
            )
        for name in ("dropout", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}: must be from 0 to below 1, not {getattr(self, name)}")

    def to_dict(self) -> dict:
        """Return plain data for JSON."""
        return dataclasses.asdict(self)


def differences(settings: Settings, base: Settings) -> list[str]:
    """The settings that are not those of `base`: lines as `steps=100 (not 3000)`."""
    return [
        f"{f.name}={format_value(new)} (not {format_value(old)})"
        for f in dataclasses.fields(Settings)
        if f.name not in ("class_names", "recipe")
        and (new := getattr(settings, f.name)) != (old := getattr(base, f.name))
    ]


def format_value(value) -> str:
    """A value as `parse_assignments` reads it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
