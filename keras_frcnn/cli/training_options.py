"""The options of `keras-frcnn train`: one for each setting, made from its description."""

import argparse

from keras_frcnn.settings import KEYS, describe, option, parse_value

# How proposals are found; also options of the commands that use a run, in place of its own.
PROPOSAL_KEYS = ("proposals", "search", "search_side")


def add_settings(sub: argparse.ArgumentParser, keys: tuple[str, ...] = KEYS) -> None:
    """An option for each setting; what the user leaves out is no attribute of the result."""
    for key in keys:
        sub.add_argument(
            option(key),
            dest=key,
            type=_Reader(key),
            default=argparse.SUPPRESS,
            metavar=option(key).removeprefix("--").replace("-", "_").upper(),
            help=describe(key).replace("%", "%%"),
        )


def given(args: argparse.Namespace, keys: tuple[str, ...] = KEYS) -> dict:
    """The settings that the user spelled out, by name."""
    return {key: value for key, value in vars(args).items() if key in keys}


def add_training(sub: argparse.ArgumentParser) -> None:
    """Add the options that say how to train."""
    sub.add_argument("--out", required=True, metavar="RUN", help="run directory to make")
    sub.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    sub.add_argument(
        "--changed-data",
        action="store_true",
        help="with --resume: go on although images, objects or proposals are others by now",
    )
    sub.add_argument("--recipe", metavar="NAME", help="settings to begin with: keras-frcnn recipes")
    sub.add_argument(
        "--checkpoint-every", type=int, default=500, help="steps between checkpoints (%(default)s)"
    )
    sub.add_argument(
        "--devices",
        help="GPUs that share each mini-batch: all, a number of them, or names such as "
        "gpu:0,gpu:1 (default: one)",
    )
    _add_validation(sub)
    add_settings(sub.add_argument_group("settings, in place of the recipe's or the paper's"))


def _add_validation(sub) -> None:
    sub.add_argument(
        "--validate",
        metavar="SPLIT",
        help="split to compute the mAP of while training; the best model is kept as RUN/best.keras",
    )
    sub.add_argument("--validate-data", metavar="DATA", help="its data set (default: --data)")
    sub.add_argument(
        "--validate-proposals", metavar="FILE", help="its proposals, as --proposals takes them"
    )
    sub.add_argument(
        "--validate-every",
        type=int,
        default=1000,
        help="steps between validations, and between pictures for TensorBoard (%(default)s)",
    )


class _Reader:
    """Reads the text of an option; argparse puts the option's name before the error."""

    def __init__(self, key: str):
        self.key = key

    def __call__(self, text: str):
        try:
            return parse_value(self.key, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
