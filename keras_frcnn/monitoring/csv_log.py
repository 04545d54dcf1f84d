"""A CSV file with a row for every so many steps of a training run."""

import csv
import itertools
import os
import sys
from pathlib import Path

import keras

from keras_frcnn.errors import InputError
from keras_frcnn.files import replacing


class CsvLog:
    """Rows of a run, each with its `step`; the file is whole at any moment.

    A file that is no such log any more, because a spreadsheet saved it or the disk lost a part, is
    set aside under another name with a word, and the log begins anew: a training does not end for
    it.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def append(self, row: dict) -> None:
        """Add a row; columns it does not share with the earlier ones are empty there."""
        self._write([*self.rows(), row])

    def forget_after(self, step: int) -> None:
        """Drop the rows of later steps: a run that resumes will do these again."""
        self._write([row for row in self.rows() if int(row["step"]) <= step])

    def rows(self) -> list[dict[str, str]]:
        """What is in the file, as text; nothing where there is no file yet, or a broken one."""
        if not self.path.exists():
            return []
        try:
            return self._read()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from error
        except (ValueError, csv.Error) as error:  # a UnicodeDecodeError is a ValueError
            aside = self._set_aside()
            print(
                f"{self.path}: is no log of a run any more ({error}); it is now {aside.name}, and "
                "the log begins anew",
                file=sys.stderr,
            )
            return []

    def _read(self) -> list[dict[str, str]]:
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
        if rows and "step" not in reader.fieldnames:
            raise ValueError("it has no column called step")
        for row in rows:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} has other columns than the first")
            if not (row["step"].isascii() and row["step"].isdecimal()):
                raise ValueError(f"{row['step']!r} is no step")
        return rows

    def _set_aside(self) -> Path:
        for number in itertools.count(1):
            aside = self.path.with_stem(f"{self.path.stem}.broken-{number}")
            if not aside.exists():
                return self.path.rename(aside)

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
