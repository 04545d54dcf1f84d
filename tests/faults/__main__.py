"""`python -m tests.faults`: the long campaign; prints what was tried, held and lost.

A try is repeated by its part, seed and number: `python -m tests.faults hdf5 --first 137 --tries 1`.
"""

import argparse
import sys
import time
from collections import Counter

from tests.faults.campaign import isolated
from tests.faults.parts import PARTS

SHOWN = 20  # kinds of what was lost, a part


def main(argv: list[str] | None = None) -> int:
    """Run the parts; the exit status is 1 if something was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--tries", type=int, default=10**9, help="of a part, at most")
    parser.add_argument("--seconds", type=float, default=60.0, help="a part, about (60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first try")
    args = parser.parse_args(argv)
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    print(f"{'part':16}{'tried':>8}{'held':>8}{'lost':>8}{'s a try':>9}", flush=True)
    is_lost = False
    for name in args.parts or PARTS:
        start, tried, lost, note = time.monotonic(), 0, [], None
        outcomes = isolated(name, PARTS[name], args.seed, args.first, args.tries, args.seconds)
        for outcome in outcomes:
            tried += 1
            note = outcome.note or note
            if outcome.lost:
                lost.append(outcome)
        each = (time.monotonic() - start) / max(tried, 1)
        held = tried - len(lost)
        print(f"{name:16}{tried:8}{held:8}{len(lost):8}{each:9.2f}  {note or ''}".rstrip())
        for reason, count in Counter(outcome.lost for outcome in lost).most_common(SHOWN):
            number = next(outcome.number for outcome in lost if outcome.lost == reason)
            print(f"    {count} x, first in try {number}: {reason}")
        sys.stdout.flush()
        is_lost |= bool(lost)
    return int(is_lost)


if __name__ == "__main__":
    sys.exit(main())
