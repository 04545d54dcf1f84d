"""What depends on whether a trunk has one map or a pyramid of them, where a run does not say it."""

from keras_frcnn.setting_types import format_value

# The settings of anchors and proposals for one map and for a pyramid, where the numbers before the
# suppression are those of a level (the authors' code).
OF_ANCHORS = {
    "anchor_scales": ((8.0, 16.0, 32.0), (8.0,)),
    "proposals_train": (2000, 1000),
    "proposals_test": (300, 1000),
    "pre_nms_train": (12_000, 2000),
    "pre_nms_test": (6000, 1000),
    "proposal_min_size": (16.0, 0.0),
}


def shown_default(name: str) -> str:
    """How the table of settings tells them."""
    one, pyramid = (format_value(value).replace(".0", "") for value in OF_ANCHORS[name])
    return f"{one}, for pyramids {pyramid}"
