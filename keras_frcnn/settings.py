"""The settings of a training run; the defaults are the paper's recipe for VGG16.

Each field of `Settings` is described once, where it stands: from that come the option of the
command line with its help (`keras_frcnn.cli.training_options`), the checks of its type and range,
and the table in docs/settings.md (`python -m keras_frcnn.settings`).
"""

import contextlib
import dataclasses
import math
import numbers
import os
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from keras_frcnn.errors import InputError, did_you_mean, shown
from keras_frcnn.models.trunks import TRUNKS

PRECISIONS = ("float32", "mixed_bfloat16")
SEARCHES = ("fast", "quality")  # modes of selective search
AUTO = "auto"


@dataclass(frozen=True)
class Range:
    """Numbers from `low` on, or above it, and below `high`; finite."""

    low: float
    is_open: bool = False  # whether `low` itself is outside
    high: float = math.inf

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.is_open else self.low <= value) and value < self.high

    def __str__(self) -> str:
        if self.high < math.inf:
            return f"from {self.low:g} to below {self.high:g}"
        return "positive and finite" if self.is_open else f"at least {self.low:g} and finite"


POSITIVE, NOT_NEGATIVE, BELOW_1 = Range(0, is_open=True), Range(0), Range(0, high=1)


def _setting(
    default,
    help: str,
    values: Range | tuple[str, ...] | None = None,
    option: str | None = None,
    shown: str | None = None,
) -> Any:
    """A field and what is known of it.

    Args:
        default: its value where nothing is said.
        help: what it is, for the command line and the docs.
        values: what it, or each of its numbers, may be; None where code below checks more.
        option: of the command line; by its name where none is given.
        shown: how the default is described, where its value does not tell.
    """
    about = {"help": help, "values": values, "option": option, "shown": shown}
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Settings:
    """What `keras-frcnn train` was asked for; saved as `config.json` in the run directory.

    Raises:
        InputError: a value has another type or is impossible; its name is given.
    """

    # Filled in by `training.fit.train` from its data set where they are empty.
    data: str = _setting("", "data set, as given to --data")
    split: str = _setting("", "its split")
    class_names: tuple[str, ...] = _setting((), "names of the classes 1..K", option="--classes")

    trunk: str = _setting(
        "vgg16",
        "the network that makes the feature map, such as vgg16, squeezenet or resnet50; all of "
        "them are in docs/trunks.md",
    )
    weights: str | None = _setting(
        AUTO,
        "pretrained weights: imagenet (downloaded by Keras), an HDF5 file, or none for random ones",
        shown="imagenet for trunks that Keras has such weights of, else none",
    )
    initial: str | None = _setting(
        None,
        "start from the detector of another run, in place of pretrained weights; its last layers "
        "are taken over only if it has the classes",
        option="--from",
    )
    finetune_from: str | None = _setting(
        None,
        "the first layer to train where weights are loaded, such as conv3_1; fc6 trains no "
        "convolution (section 4.5), bbox_pred the box regressor alone (section 5.1)",
        shown="the trunk's, conv3_1 for vgg16",
    )
    fc_units: tuple[int, int] | None = _setting(
        None, "units of fc6 and fc7", POSITIVE, shown="the trunk's, 4096,4096 for vgg16"
    )
    dropout: float = _setting(0.5, "rate of dropout after fc6 and fc7", BELOW_1)
    min_side: tuple[int, ...] = _setting(
        (600,),
        "shorter side of scaled images in pixels; several for multi-scale training",
        POSITIVE,
    )
    max_side: int = _setting(1000, "longer side at most", POSITIVE)
    images_per_batch: int = _setting(2, "images of a mini-batch", POSITIVE)
    group_by_aspect: bool = _setting(
        False,
        "whether the images of a mini-batch are of one orientation, which leaves less padding",
    )
    rois_per_image: int = _setting(64, "RoIs sampled from an image", POSITIVE)
    steps: int = _setting(40_000, "mini-batches", POSITIVE)
    rate: float = _setting(0.001, "learning rate", POSITIVE)
    decay_at: tuple[int, ...] = _setting(
        (30_000,), "mini-batches after which the rate drops tenfold", POSITIVE
    )
    warmup: int = _setting(0, "mini-batches over which the rate first rises linearly", NOT_NEGATIVE)
    momentum: float = _setting(0.9, "of SGD", BELOW_1)
    l2: float = _setting(0.0005, "weight decay", NOT_NEGATIVE)
    bias_decay: bool = _setting(
        True, "whether biases decay: in the paper they do, in its released code not"
    )
    box_loss_weight: float = _setting(1.0, "lambda of the multi-task loss", NOT_NEGATIVE)
    precision: str = _setting(
        AUTO,
        "what layers compute in: " + " or ".join(PRECISIONS),
        (*PRECISIONS, AUTO),
        shown="mixed_bfloat16 where the processor or GPU multiplies it",
    )
    seed: int = _setting(0, "of weights, order, flips, sampling and dropout", Range(0, high=2**32))
    keep_checkpoints: int = _setting(3, "how many of the newest are kept", POSITIVE)
    deterministic: bool = _setting(
        False, "whether steps give the same bits each time; slower on a GPU"
    )
    proposals: str | None = _setting(
        None, "a .npz or .mat file to take proposals from", shown="none: selective search"
    )
    search: str = _setting("fast", "mode of selective search: fast or quality", SEARCHES)
    search_side: int = _setting(
        500, "longer side of the images that selective search sees, at most", POSITIVE
    )
    max_detections: int = _setting(100, "detections of an image, at most", POSITIVE)
    recipe: str | None = _setting(None, "the recipe that the run started from")

    # May be another when a run is resumed: these do not change what a step does, or, as the data
    # set and its proposals, are compared by their content.
    FREE_ON_RESUME: ClassVar[tuple[str, ...]] = (
        *("steps", "keep_checkpoints", "max_detections"),
        *("data", "split", "proposals"),
    )

    def __post_init__(self):
        for f in dataclasses.fields(self):
            value = _typed(f.name, getattr(self, f.name))
            object.__setattr__(self, f.name, value)
            _check_values(f.name, value, f.metadata["values"])
        if self.trunk not in TRUNKS:
            raise InputError(
                f"trunk: {did_you_mean(self.trunk, TRUNKS)}; choose from {', '.join(TRUNKS)}"
            )
        has_weights = TRUNKS[self.trunk].application is not None
        if self.weights == AUTO:
            is_wanted = has_weights and self.initial is None
            object.__setattr__(self, "weights", "imagenet" if is_wanted else None)
        if self.weights == "imagenet" and not has_weights:
            raise InputError(f"weights: Keras has no ImageNet weights of {self.trunk}; give a file")
        if self.weights is not None and self.initial is not None:
            raise InputError("weights and initial: a detector starts from one of them, give one")
        if self.finetune_from is not None:
            TRUNKS[self.trunk].frozen(self.finetune_from)  # refuses a layer the trunk has not
            if self.weights is None and self.initial is None:
                raise InputError("finetune_from: random weights are all trained; give weights")
        if self.fc_units is not None and len(self.fc_units) != 2:
            raise InputError(f"fc_units: needs two numbers, not {list(self.fc_units)}")
        if len(set(self.decay_at)) < len(self.decay_at):
            raise InputError(f"decay_at: a step is given twice: {list(self.decay_at)}")
        if len(set(self.class_names)) < len(self.class_names):
            raise InputError(f"class_names: a name is given twice: {list(self.class_names)}")
        if not self.min_side or max(self.min_side) > self.max_side:
            raise InputError(
                f"min_side: needs values from 1 to max_side ({self.max_side}), "
                f"not {list(self.min_side)}"
            )

    def to_dict(self) -> dict:
        """Return plain data for JSON."""
        return dataclasses.asdict(self)


# What a user chooses by an option of its own name; the others are --data and its kind.
KEYS = tuple(
    f.name
    for f in dataclasses.fields(Settings)
    if f.name not in ("data", "split", "class_names", "recipe")
)
_FIELDS = {f.name: f for f in dataclasses.fields(Settings)}
_HINTS = get_type_hints(Settings)
_BOOLEANS = {"true": True, "false": False}
_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    (tuple, int): "whole numbers",
    (tuple, str): "texts",
}


def option(key: str) -> str:
    """The option of the command line that sets it, such as --min-side."""
    return _FIELDS[key].metadata["option"] or "--" + key.replace("_", "-")


def describe(key: str) -> str:
    """What a setting is and what it is by default."""
    about = _FIELDS[key].metadata
    default = about["shown"] or format_value(_FIELDS[key].default)
    return f"{about['help']} ({default})"


def parse_value(key: str, text: str):
    """The value that a text stands for: numbers separated by commas, true, false, none.

    Raises:
        ValueError: it is none of the setting's type; the message says what that is.
    """
    kind, item, is_optional = _kind(key)
    text = text.strip()
    if is_optional and text.lower() == "none":
        return None
    try:
        if kind is tuple:
            return tuple(item(part) for part in text.split(",")) if text else ()
        return _BOOLEANS[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        commas = " separated by commas" if kind is tuple else ""
        raise ValueError(f"must be {_needed(key)}{commas}, not {shown(text)}") from None


def format_value(value) -> str:
    """A value as `parse_value` reads it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def differences(settings: Settings, base: Settings) -> list[str]:
    """The settings that are not those of `base`: lines as `--steps 100 (not 3000)`."""
    return [
        f"{option(name)} {format_value(new)} (not {format_value(old)})"
        for name in _FIELDS
        if name not in ("class_names", "recipe")
        and (new := getattr(settings, name)) != (old := getattr(base, name))
    ]


def as_table() -> str:
    """The settings as a Markdown table."""
    rows = [
        f"| `{option(key)}` | {_FIELDS[key].metadata['help']} "
        f"| {_FIELDS[key].metadata['shown'] or format_value(_FIELDS[key].default)} |"
        for key in KEYS
    ]
    return "\n".join(["| option | what it is | default |", "|---|---|---|", *rows]) + "\n"


def _kind(key: str):
    """Type, type of the items where that is a tuple, and whether it may be None."""
    hint = _HINTS[key]
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    (hint,) = (k for k in kinds if k is not NoneType)
    item = get_args(hint)[0] if get_origin(hint) is tuple else None
    return get_origin(hint) or hint, item, NoneType in kinds


def _needed(key: str) -> str:
    kind, item, is_optional = _kind(key)
    return _KINDS[(kind, item) if item else kind] + (" or none" if is_optional else "")


def _typed(key: str, value):
    """The value in the setting's own type: JSON has lists for tuples, users have paths and NumPy.

    Raises:
        InputError: it is of another type.
    """
    kind, item, is_optional = _kind(key)
    if value is None and is_optional:
        return None
    with contextlib.suppress(OverflowError):  # a whole number too large for a float
        if kind is tuple and isinstance(value, (list, tuple)):
            if all(_fits(item, v) for v in value):
                return tuple(item(v) for v in value)
        elif kind is str and isinstance(value, os.PathLike):
            return os.fspath(value)
        elif kind is not tuple and _fits(kind, value):
            return kind(value)
    raise InputError(f"{key}: must be {_needed(key)}, not {shown(value)}")


def _fits(kind: type, value) -> bool:
    if kind in (int, float):
        number = numbers.Integral if kind is int else numbers.Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, kind)


def _check_values(key: str, value, allowed: Range | tuple[str, ...] | None) -> None:
    if allowed is None or value is None:
        return
    if isinstance(allowed, Range):
        for number in value if isinstance(value, tuple) else (value,):
            if number not in allowed:
                raise InputError(f"{key}: must be {allowed}, not {format_value(value)}")
    elif value not in allowed:
        raise InputError(f"{key}: {did_you_mean(value, allowed)}; choose from {', '.join(allowed)}")


if __name__ == "__main__":
    print(as_table(), end="")
