"""`keras-frcnn` and `python -m keras_frcnn.cli`: runs one command."""

import importlib
import os
import signal
import sys

from keras_frcnn.cli.parser import build_parser
from keras_frcnn.errors import InputError, Interrupted, WorkersLost
from keras_frcnn.notices import hide_notices

MAX_MESSAGE = 2000  # characters
# Where a command is; the others are in `commands`.
MODULES = {
    "recipes": "recipe_listing",
    "proposals": "proposal_command",
    "beam": "beam_command",
    "recall": "recall_command",
    "anchors": "anchor_command",
    "check": "check_command",
    "show": "show_command",
    "convert": "convert_command",
    "evaluate": "evaluate_command",
    "errors": "errors_command",
    "report": "report_command",
    "options": "options_command",
    "detect": "detect_command",
    "client": "detect_command",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status, 0 unless the command gives another.

    A worker of several does not return: its process ends.
    """
    status = _run(argv)
    devices = sys.modules.get("keras_frcnn.training.devices")
    if devices and devices.is_worker():
        # Not through the interpreter's end: TensorFlow's runtime may wait there for the others,
        # who may wait for it. All is written by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _run(argv: list[str] | None) -> int:
    hide_notices()
    _print_anything()
    # The process is ours, whatever the user's Keras is set up for.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    args = build_parser().parse_args(argv)
    try:
        if args.command == "bench":  # imports TensorFlow only where it measures that
            module = f"keras_frcnn.benchmarks.{args.name.replace('-', '_')}"
            return importlib.import_module(module).main(args.args)
        # Only now: most commands import TensorFlow, and `--help` should answer at once.
        name = MODULES.get(args.command, "commands")
        commands = importlib.import_module(f"keras_frcnn.cli.{name}")
        status = getattr(commands, args.command)(args)
    except InputError as error:
        return _refused(args.command, error)
    except BrokenPipeError:  # `| head` has seen enough
        # Python flushes what is left when it ends, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except OSError as error:  # a file or folder that cannot be used, which the message names
        return _refused(args.command, error)
    except Interrupted as interrupted:
        print(f"keras-frcnn {args.command}: {interrupted}", file=sys.stderr)
        return 128 + interrupted.number
    except WorkersLost as error:
        print(f"keras-frcnn {args.command}: {error}", file=sys.stderr)
        return error.STATUS
    except KeyboardInterrupt:
        print(f"keras-frcnn {args.command}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    return status or 0


def _refused(command: str, error: Exception) -> int:
    """Say why in one line; the exit status."""
    text = " ".join(str(error).split("\n"))
    if len(text) > MAX_MESSAGE:
        text = f"{text[:MAX_MESSAGE]}... ({len(text)} characters)"
    print(f"keras-frcnn {command}: {text}", file=sys.stderr)
    return 2


def _print_anything() -> None:
    """Let a terminal that has no letter for a class name show its code instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where a program has put something else there
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
