"""Tables of what was measured: Markdown to read, CSV to compute with."""

import csv
from pathlib import Path

from keras_frcnn.files import replacing

Row = dict[str, str | int | float]  # of a table, by column; all rows have the same columns


def format_markdown(rows: list[Row]) -> str:
    """Rows as a Markdown table, aligned; fractions with three decimals."""
    lines = [list(rows[0])]
    for row in rows:
        cells = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()]
        lines.append([cell.replace("|", "\\|") for cell in cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    aligned = [[c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in aligned)


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write rows under their columns' names; the file appears when it is complete."""
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
