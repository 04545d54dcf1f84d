"""Tables of the benchmarks, in Markdown."""


def markdown(lines: list[list[str]]) -> str:
    """A Markdown table of these lines, the first of which is its head."""
    lines = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def ms(seconds: float) -> str:
    """Seconds in milliseconds, with a decimal where there are less than a hundred."""
    return f"{1e3 * seconds:.0f}" if seconds >= 0.1 else f"{1e3 * seconds:.1f}"
