"""`keras-frcnn` and `python -m keras_frcnn.cli`: runs one command."""

import importlib
import signal
import sys

from keras_frcnn.cli.parser import build_parser
from keras_frcnn.errors import InputError, Interrupted
from keras_frcnn.notices import hide_notices


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    hide_notices()
    args = build_parser().parse_args(argv)
    try:
        if args.command == "bench":  # imports TensorFlow only where it measures that
            module = f"keras_frcnn.benchmarks.{args.name.replace('-', '_')}"
            return importlib.import_module(module).main(args.args)
        # Only now: most commands import TensorFlow, and `--help` should answer at once.
        name = "recipe_listing" if args.command == "recipes" else "commands"
        commands = importlib.import_module(f"keras_frcnn.cli.{name}")
        getattr(commands, args.command)(args)
    except InputError as error:
        print(f"keras-frcnn {args.command}: {error}", file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        print(f"keras-frcnn {args.command}: {interrupted}", file=sys.stderr)
        return 128 + interrupted.number
    except KeyboardInterrupt:
        print(f"keras-frcnn {args.command}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
