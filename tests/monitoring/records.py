"""What a validation writes."""

import csv
import json


def rows(run):
    with (run / "validation.csv").open() as file:
        return list(csv.DictReader(file))


def best(run):
    return json.loads((run / "best.json").read_text())
