"""The settings of a training run; the defaults are the paper's recipe for VGG16.

Each field of `Settings` is described once, where it stands: from that come the option of the
command line with its help (`keras_frcnn.cli.training_options`), the checks of its type and range,
and the table in docs/settings.md (`python -m keras_frcnn.settings`).
"""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, get_type_hints

from keras_frcnn.errors import InputError, did_you_mean
from keras_frcnn.models.heads import DETECTORS, REGION_OPS, has_masks, makes_proposals
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.proposal_defaults import OF_ANCHORS, shown_default
from keras_frcnn.setting_types import (
    BELOW_1,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    UP_TO_1,
    Range,
    check_values,
    format_value,
    parse,
    setting,
    typed,
)

PRECISIONS = ("float32", "mixed_bfloat16")
SEARCHES = ("fast", "quality")  # modes of selective search
AUTO = "auto"


@dataclass(frozen=True)
class Settings:
    """What `keras-frcnn train` was asked for; saved as `config.json` in the run directory.

    Raises:
        InputError: a value has another type or is impossible; its name is given.
    """

    # Filled in by `training.fit.train` from its data set where they are empty.
    data: str = setting("", "data set, as given to --data")
    split: str = setting("", "its split")
    class_names: tuple[str, ...] = setting((), "names of the classes 1..K", option="--classes")
    fractions: tuple[float, ...] = setting(
        (0.8, 0.1, 0.1),
        "parts of train, val and test where a data set has no lists",
        FRACTION,
        kw_only=True,
    )

    detector: str = setting(
        "fast_rcnn",
        "what is trained: fast_rcnn, on proposals from outside; faster_rcnn, which makes its own; "
        "mask_rcnn, which predicts masks too, or mask_fast_rcnn, the same on proposals from "
        "outside; or rpn, the region proposal network alone",
        DETECTORS,
        kw_only=True,
    )
    alternating: bool = setting(
        False,
        "whether faster_rcnn is trained in the paper's four steps rather than jointly",
        kw_only=True,
    )
    trunk: str = setting(
        "vgg16",
        "the network that makes the feature map, such as vgg16, squeezenet or resnet50; all of "
        "them are in docs/trunks.md",
    )
    weights: str | None = setting(
        AUTO,
        "pretrained weights: imagenet (downloaded by Keras), an HDF5 file or a .caffemodel file of "
        "Caffe (docs/trunks.md), or none for random ones",
        shown="imagenet for trunks that Keras has such weights of, else none",
    )
    initial: str | None = setting(
        None,
        "start from the detector of another run, in place of pretrained weights; its last layers "
        "are taken over only if it has the classes",
        option="--from",
    )
    finetune_from: str | None = setting(
        None,
        "the first layer to train where weights are loaded, such as conv3_1; fc6 trains no "
        "convolution (section 4.5), bbox_pred the box regressor alone (section 5.1)",
        shown="the trunk's, conv3_1 for vgg16",
    )
    fc_units: tuple[int, int] | None = setting(
        None, "units of fc6 and fc7", POSITIVE, shown="the trunk's, 4096,4096 for vgg16"
    )
    dropout: float = setting(0.5, "rate of dropout after fc6 and fc7", BELOW_1)
    min_side: tuple[int, ...] = setting(
        (600,),
        "shorter side of scaled images in pixels; several for multi-scale training",
        POSITIVE,
    )
    max_side: int = setting(1000, "longer side at most", POSITIVE)
    images_per_batch: int = setting(2, "images of a mini-batch", POSITIVE)
    group_by_aspect: bool = setting(
        False,
        "whether the images of a mini-batch are of one orientation, which leaves less padding",
    )
    rois_per_image: int | None = setting(
        None,
        "RoIs sampled from an image",
        POSITIVE,
        shown="64, in joint training of faster_rcnn and mask_rcnn 128",
    )
    bg_iou_low: float | None = setting(
        None,
        "RoIs of a lower IoU with every object are not even background",
        Range(0, high=0.5),
        shown="0.1 for fast_rcnn, for the others 0",
    )
    steps: int = setting(40_000, "mini-batches", POSITIVE)
    rate: float = setting(0.001, "learning rate", POSITIVE)
    decay_at: tuple[int, ...] = setting(
        (30_000,), "mini-batches after which the rate drops tenfold", POSITIVE
    )
    warmup: int = setting(0, "mini-batches over which the rate first rises linearly", NOT_NEGATIVE)
    momentum: float = setting(0.9, "of SGD", BELOW_1)
    l2: float = setting(0.0005, "weight decay", NOT_NEGATIVE)
    bias_decay: bool = setting(
        True, "whether biases decay: in the paper they do, in its released code not"
    )
    region_op: str | None = setting(
        None,
        "what reads the regions of the feature map for scores and boxes: pool, RoI max pooling, or "
        "align, RoIAlign; masks are read by RoIAlign in any case",
        REGION_OPS,
        shown="pool; align for mask_rcnn, mask_fast_rcnn and pyramids",
    )
    box_loss_weight: float = setting(1.0, "lambda of the multi-task loss", NOT_NEGATIVE)
    anchor_scales: tuple[float, ...] | None = setting(
        None,
        "sides of square anchors in feature cells, 16 pixels of the scaled image; "
        "keras-frcnn anchors suggests some",
        POSITIVE,
        shown=shown_default("anchor_scales"),
    )
    anchor_ratios: tuple[float, ...] = setting(
        (0.5, 1.0, 2.0), "height over width of the anchors", POSITIVE
    )
    anchors_per_image: int = setting(256, "anchors sampled from an image", POSITIVE)
    rpn_box_loss_weight: float = setting(
        1.0, "weight of the box regression in the loss of the region proposals", NOT_NEGATIVE
    )
    proposals_train: int | None = setting(
        None,
        "proposals of an image in training, at most",
        POSITIVE,
        shown=shown_default("proposals_train"),
    )
    proposals_test: int | None = setting(
        None,
        "proposals of an image in detection, at most",
        POSITIVE,
        shown=shown_default("proposals_test"),
    )
    pre_nms_train: int | None = setting(
        None,
        "boxes of which joint training suppresses some, the best ones; of each level of a pyramid",
        POSITIVE,
        shown=shown_default("pre_nms_train"),
    )
    pre_nms_test: int | None = setting(
        None, "the same in detection", POSITIVE, shown=shown_default("pre_nms_test")
    )
    proposal_nms_iou: float = setting(
        0.7, "proposals of a higher IoU with a better one are suppressed", UP_TO_1
    )
    proposal_min_size: float | None = setting(
        None,
        "shorter side of a proposal in pixels of the image, at least",
        NOT_NEGATIVE,
        shown=shown_default("proposal_min_size"),
    )
    rpn_steps: int = setting(
        80_000, "mini-batches of each training of region proposals in four steps", POSITIVE
    )
    rpn_decay_at: tuple[int, ...] = setting((60_000,), "their decay_at", POSITIVE)
    rpn_images_per_batch: int = setting(1, "images of a mini-batch of these", POSITIVE)
    precision: str = setting(
        AUTO,
        "what layers compute in: " + " or ".join(PRECISIONS),
        (*PRECISIONS, AUTO),
        shown="mixed_bfloat16 where the processor or GPU multiplies it",
    )
    seed: int = setting(0, "of weights, order, flips, sampling and dropout", Range(0, high=2**32))
    keep_checkpoints: int = setting(3, "how many of the newest are kept", POSITIVE)
    deterministic: bool = setting(
        False, "whether steps give the same bits each time; slower on a GPU"
    )
    proposals: str | None = setting(
        None,
        "a .npz or .mat file, or a folder of `beam proposals`, to take proposals from",
        shown="none: selective search",
    )
    search: str = setting("fast", "mode of selective search: fast or quality", SEARCHES)
    search_side: int = setting(
        500, "longer side of the images that selective search sees, at most", POSITIVE
    )
    max_detections: int = setting(100, "detections of an image, at most", POSITIVE)
    recipe: str | None = setting(None, "the recipe that the run started from")

    # May be another when a run is resumed: these do not change what a step does, or, as the data
    # set and its proposals, are compared by their content.
    FREE_ON_RESUME: ClassVar[tuple[str, ...]] = (
        *("steps", "keep_checkpoints", "max_detections"),
        *("data", "split", "fractions", "proposals", "proposals_test", "pre_nms_test"),
    )

    def __post_init__(self):
        for f in dataclasses.fields(self):
            value = typed(f.name, _HINTS[f.name], getattr(self, f.name))
            object.__setattr__(self, f.name, value)
            check_values(f.name, value, f.metadata["values"])
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
            # Refuses a layer that the network has not.
            TRUNKS[self.trunk].frozen(self.finetune_from, self.detector)
            if self.weights is None and self.initial is None:
                raise InputError("finetune_from: random weights are all trained; give weights")
        self._complete_detector()
        if self.fc_units is not None and len(self.fc_units) != 2:
            raise InputError(f"fc_units: needs two numbers, not {list(self.fc_units)}")
        for name in ("decay_at", "rpn_decay_at"):
            if len(set(value := getattr(self, name))) < len(value):
                raise InputError(f"{name}: a step is given twice: {list(value)}")
        if len(set(self.class_names)) < len(self.class_names):
            raise InputError(f"class_names: a name is given twice: {list(self.class_names)}")
        if not self.min_side or max(self.min_side) > self.max_side:
            raise InputError(
                f"min_side: needs values from 1 to max_side ({self.max_side}), "
                f"not {list(self.min_side)}"
            )

    def _complete_detector(self) -> None:
        """Fill in and check what depends on which detector and trunk it is."""
        is_joint = self.detector in ("faster_rcnn", "mask_rcnn") and not self.alternating
        is_pyramid = bool(TRUNKS[self.trunk].levels)
        defaults = {name: values[is_pyramid] for name, values in OF_ANCHORS.items()} | {
            "rois_per_image": 128 if is_joint else 64,
            "bg_iou_low": 0.1 if self.detector == "fast_rcnn" else 0.0,
            "region_op": "align" if self.has_masks or is_pyramid else "pool",
        }
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if is_pyramid and self.region_op == "pool":
            raise InputError("region_op: a pyramid's regions are read by RoIAlign; give align")
        if is_pyramid and self.alternating:
            raise InputError("alternating: pyramids are trained jointly; leave it out")
        if self.alternating and self.detector != "faster_rcnn":
            raise InputError(f"alternating: is a training of faster_rcnn, not of {self.detector}")
        if self.proposals is not None and self.makes_proposals:
            raise InputError(
                f"proposals: {self.detector} makes its own; leave them out, or train one that "
                "takes them from outside, such as fast_rcnn"
            )
        for name in ("anchor_scales", "anchor_ratios"):
            value = getattr(self, name)
            if not value or len(set(value)) < len(value):
                raise InputError(
                    f"{name}: must be different numbers and at least one, not "
                    f"{format_value(value) or 'none'}"
                )

    @property
    def makes_proposals(self) -> bool:
        """Whether the detector makes its proposals itself."""
        return makes_proposals(self.detector)

    @property
    def has_masks(self) -> bool:
        """Whether the detector predicts masks."""
        return has_masks(self.detector)

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


def option(key: str) -> str:
    """The option of the command line that sets it, such as --min-side."""
    return _FIELDS[key].metadata["option"] or "--" + key.replace("_", "-")


def describe(key: str) -> str:
    """What a setting is and what it is by default."""
    about = _FIELDS[key].metadata
    default = about["shown"] or format_value(_FIELDS[key].default)
    return f"{about['help']} ({default})"


def parse_value(key: str, text: str):
    """The value of a setting that a text stands for, as `setting_types.parse`.

    Raises:
        ValueError: it is none of the setting's type; the message says what that is.
    """
    return parse(_HINTS[key], text)


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


if __name__ == "__main__":
    print(as_table(), end="")
