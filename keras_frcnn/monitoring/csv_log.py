"""A CSV file with a row for every so many steps of a training run."""

import csv
import os
from pathlib import Path

import keras

from keras_frcnn.files import replacing


class CsvLog:
    """Rows of a run, each with its `step`; the file is whole at any moment."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def append(self, row: dict) -> None:
        """Add a row; columns it does not share with the earlier ones are empty there."""
        self._write([*self.rows(), row])

    def forget_after(self, step: int) -> None:
        """Drop the rows of later steps: a run that resumes will do these again."""
        self._write([row for row in self.rows() if int(row["step"]) <= step])

    def rows(self) -> list[dict[str, str]]:
        """What is in the file, as text; nothing where there is no file yet."""
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: list[dict]) -> None:
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with (
            replacing(self.path) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            if rows:
                writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


class Log(keras.callbacks.Callback):
    """Keep the log of each epoch in a CSV file: step, learning_rate, loss and its parts.

    The losses are means over the epoch. Keras's own `CSVLogger` adds a column of NA for the
    validation of each.
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__()
        self.log = CsvLog(path)

    def on_epoch_end(self, epoch, logs=None):
        """Write a row; `StepDecay`, earlier in the list, has put step and rate into it."""
        columns = ["step", "learning_rate", "loss"]
        columns += sorted(logs.keys() - set(columns))
        self.log.append({column: logs[column] for column in columns})

    def forget_after(self, step: int) -> None:
        """Drop the rows of later steps: a run that resumes will do these again."""
        self.log.forget_after(step)
