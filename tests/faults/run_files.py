"""What a run directory holds beside its weights: settings, logs and records."""

import dataclasses
import json
import math
from pathlib import Path

from keras_frcnn.export import client
from keras_frcnn.monitoring.csv_log import CsvLog
from keras_frcnn.monitoring.validation import best_record, forget_best_after, is_validated
from keras_frcnn.runs.directory import load_settings, save_settings
from keras_frcnn.runs.fingerprint import (
    Fingerprint,
    changes,
    load_fingerprint,
    save_fingerprint,
)
from keras_frcnn.settings import Settings
from tests.faults.campaign import Lost, refusal_names
from tests.faults.mutations import mutated_json, mutated_text

CLASS_NAMES = ("cat", "dog", "żółw")
BEST = {
    "step": 200,
    "data": "photos:val",
    "data_digest": "0123456789abcdef",
    "metric": "area",
    "mAP": 0.625,
    "AP": {"cat": 0.25, "dog": 1.0, "żółw": None},
}


def config(folder: Path):
    """`config.json`."""
    settings = Settings("photos", "trainval", CLASS_NAMES, decay_at=(10, 20), min_side=(64, 96))
    save_settings(folder, settings)
    path = folder / "config.json"
    text = path.read_text("utf-8")

    def attempt(rng):
        path.write_bytes(mutated_json(rng, text))
        with refusal_names(path):
            read = load_settings(folder)
            if Settings(**json.loads(json.dumps(read.to_dict()))) != read:
                raise Lost(f"read as {read}, which is not what it says when it is saved again")
            if not all(isinstance(name, str) and name for name in read.class_names):
                raise Lost(f"class names {read.class_names}")
            for field in dataclasses.fields(read):
                value = getattr(read, field.name)
                if isinstance(value, float) and not math.isfinite(value):
                    raise Lost(f"{field.name} is {value}")

    return attempt


def best(folder: Path):
    """`best.json`, which a validation compares with."""
    path = folder / "best.json"

    def attempt(rng):
        path.write_bytes(mutated_json(rng, json.dumps(BEST)))
        with refusal_names(path):
            record = best_record(folder)
            if not (0 <= record["mAP"] <= 1 and record["step"] >= 0):
                raise Lost(f"taken for a record: {record}")
            f"{record['mAP']:.4f} {record['data_digest'] == BEST['data_digest']}"
            forget_best_after(folder, 100)

    return attempt


def data(folder: Path):
    """`data.json`, the fingerprint of what was trained on."""
    digests = [f"{i:016x}" for i in range(6)]
    content = Fingerprint(
        CLASS_NAMES, {"a.jpg": tuple(digests[:3]), "sub/b.jpg": tuple(digests[3:])}
    )
    save_fingerprint(folder, content)
    path = folder / "data.json"
    text = path.read_text("utf-8")

    def attempt(rng):
        path.write_bytes(mutated_json(rng, text))
        with refusal_names(path):
            read = load_fingerprint(folder)
            read.digest()
            read.count_shared(content)
            if bool(changes(read, content)) != (read != content):
                raise Lost(f"another fingerprint passes for the same: {read}")

    return attempt


def log(folder: Path):
    """`log.csv` and `validation.csv`: a training goes on, whatever became of them."""
    header = "step,learning_rate,loss,accuracy\n"
    texts = {
        "log.csv": header + "".join(f"{100 * i},0.001,{2 / i},0.{i}\n" for i in range(1, 8)),
        "validation.csv": "step,mAP,AP cat,AP żółw\n200,0.5,0.25,0.75\n400,0.625,0.5,\n",
    }

    def attempt(rng):
        for path in folder.iterdir():
            path.unlink()
        name = ("log.csv", "validation.csv")[rng.integers(2)]
        damaged = mutated_text(rng, texts[name])
        (folder / name).write_bytes(damaged)
        log = CsvLog(folder / name)
        is_validated(folder, 400)
        log.forget_after(300)
        log.append({"step": 301, "loss": 0.5})
        rows = log.rows()
        if rows[-1]["step"] != "301" or rows[-1]["loss"] != "0.5":
            raise Lost(f"the new row is read as {rows[-1]}")
        if any(int(row["step"]) > 301 for row in rows):
            raise Lost("rows of later steps are left")
        aside = [path.read_bytes() for path in folder.iterdir() if path.name != name]
        if aside not in ([], [damaged]):
            raise Lost("what was set aside is not what was there")

    return attempt


def model_json(folder: Path):
    """`model.json` of an export, which the client takes class names and settings from."""
    path = folder / "model.json"
    training = {"search": "fast", "search_side": 400, "class_names": CLASS_NAMES}
    text = json.dumps({"class_names": CLASS_NAMES, "training": training, "version": "1"})

    def attempt(rng):
        path.write_bytes(mutated_json(rng, text))
        with refusal_names(path, "search"):
            names = client.class_names(str(path))
            if not all(isinstance(name, str) for name in names):
                raise Lost(f"class names {names}")
            trained = client.training_settings(str(path))
            Settings(**{k: trained[k] for k in ("search", "search_side") if k in trained})

    return attempt
