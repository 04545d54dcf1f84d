"""Commands that are killed, or whose disk is full: the same command again gives the same result.

Each runs in a process forked from one that has imported TensorFlow, on a data set of six images,
with the trunk "tiny" of `tests.tiny`.
"""

import atexit
import functools
import io
import json
import os
import re
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.data.voc_files import voc_folder, xml, xml_object
from tests.faults.campaign import HANG, Lost
from tests.runner import CONTEXT
from tests.tiny import add_trunk

SETTINGS = (
    "--trunk tiny --fc-units 16,16 --min-side 64 --max-side 100 --rois-per-image 16 --rate 0.01 "
    "--precision float32 --steps 6 --deterministic true --checkpoint-every 2 --validate test "
    "--validate-every 3 --split trainval"
)
COMMANDS = ("proposals", "train", "evaluate", "detect", "export")
BEGUN = b"\0"  # what a process prints before it runs its command


class Place:
    """A folder with data set, run, cache and what the commands make of them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.data, self.run, self.cache = folder / "photos", folder / "run", folder / "cache"
        self.found, self.models = folder / "found", folder / "models"

    def arguments(self, command: str) -> list[str]:
        """Those of the command line."""
        data, run = ["--data", str(self.data)], str(self.run)
        match command:
            case "proposals":
                return [command, *data, "--processes", "1"]
            case "train":
                resume = ["--resume"] if (self.run / "config.json").exists() else []
                return [command, *data, *SETTINGS.split(), "--out", run, *resume]
            case "evaluate":
                return [command, run, *data, "--split", "test"]
            case "detect":
                images = [str(self.data / "JPEGImages" / f"{i}.jpg") for i in (4, 5)]
                return [command, run, *images, "--out", str(self.found)]
            case "export":
                return [command, run, "--to", str(self.models)]

    def result(self, command: str) -> dict:
        """What the command has made, by names that do not depend on the folder."""
        match command:
            case "proposals":
                (path,) = (self.cache / "proposals").glob("*.sqlite")
                with sqlite3.connect(path) as file:
                    rows = file.execute("SELECT image, method, boxes FROM proposals").fetchall()
                return {(image, method): boxes for image, method, boxes in rows}
            case "train":
                return {
                    **{p.name: _members(p) for p in self.run.rglob("*.keras")},
                    **{p.name: p.read_text("utf-8") for p in self.run.glob("*.csv")},
                    **{p.name: _json(p, self.folder) for p in self.run.glob("*.json")},
                    **self._hidden(self.run),
                }
            case "evaluate":
                names = ("metrics.json", "precision_recall.png")
                found = {name: (self.run / name).read_bytes() for name in names[1:]}
                return {**found, "metrics": _json(self.run / names[0], self.folder)}
            case "detect":
                found = {p.name: p.read_bytes() for p in self.found.glob("*.png")}
                listed = _json(self.found / "detections.json", self.folder)
                return {**found, **listed, **self._hidden(self.found)}
            case "export":
                # An export that was killed after its end has a number as well.
                versions = [p for p in self.models.iterdir() if p.name.isdecimal()]
                return {
                    "versions": [_version(v, self.folder) for v in versions][-1],
                    "all alike": len({str(_version(v, self.folder)) for v in versions}),
                    **self._hidden(self.models),
                }

    def without(self, command: str, to: Path) -> "Place":
        """A copy in the folder `to` as it was before the command."""
        shutil.copytree(self.folder, to)
        place = Place(to)
        made = {
            "proposals": [place.cache],
            "train": [place.run, place.cache / "targets"],
            "evaluate": [place.run / "metrics.json", place.run / "precision_recall.png"],
            "detect": [place.found],
            "export": [place.models],
        }
        for path in made[command]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return place

    def _hidden(self, folder):
        hidden = {p.name for p in folder.rglob(".*")} - {".lock"}
        return {"left behind": sorted(hidden)}


@functools.cache
def _whole() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "whole"


@functools.cache
def undisturbed() -> tuple[Place, dict, dict]:
    """A place where all commands have run; their results, and their seconds."""
    place = Place(_whole())
    objects = [xml_object(n, b) for n, b in (("cat", (9, 9, 50, 40)), ("dog", (20, 5, 70, 55)))]
    images = {str(i): xml(objects[i % 2], filename=f"{i}.jpg") for i in range(6)}
    voc_folder(place.data, images, {"trainval": list("0123"), "test": list("45")})
    results, seconds = {}, {}
    for command in COMMANDS:
        status, output, seconds[command] = execute(place, command)
        if status:
            raise RuntimeError(f"{command}: ends with status {status}: {output}")
        results[command] = place.result(command)
    return place, results, seconds


def killed(command: str):
    """Part: the command is killed at any moment and run again."""

    def prepare(folder: Path):
        seconds = undisturbed()[2][command]

        def attempt(rng):
            def disturb(place):
                execute(place, command, kill_after=rng.uniform(0, seconds))

            _compare(command, folder / "tried", disturb)

        return attempt

    return prepare


def full_disk(command: str):
    """Part: files cannot grow beyond a size, which the command says in a line; then they can."""

    def prepare(folder: Path):
        place = undisturbed()[0]
        largest = max(p.stat().st_size for p in place.folder.rglob("*") if p.is_file())

        def attempt(rng):
            size = int(np.exp(rng.uniform(0, np.log(largest))))

            def disturb(place):
                status, output, _ = execute(place, command, size_limit=size)
                refusals = [x for x in output.splitlines() if x.startswith("keras-frcnn ")]
                if "Traceback" in output or status not in (0, 2) or (status and not refusals):
                    raise Lost(f"files of {size} bytes: status {status}: {output[-500:]}")

            _compare(command, folder / "tried", disturb)

        return attempt

    return prepare


def _compare(command, folder, disturb):
    place, results, seconds = undisturbed()
    # On a busy machine a training of a second takes a minute.
    patience = max(HANG, 5 * seconds[command])
    try:
        disturbed = place.without(command, folder)
        disturb(disturbed)
        status, output, _ = execute(disturbed, command, patience)
        if status:
            raise Lost(f"run again it ends with status {status}: {output[-500:]}")
        found, expected = disturbed.result(command), results[command]
        if differing := _differing(found, expected):
            raise Lost(f"run again it makes other {', '.join(differing)}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _differing(found, expected):
    """Where results in dicts differ, as paths."""
    keys = []
    for key in sorted(found.keys() | expected, key=str):
        one, other = found.get(key), expected.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            keys += [f"{key}: {inner}" for inner in _differing(one, other)]
        elif one != other:
            keys.append(str(key))
    return keys


def execute(
    place: Place,
    command: str,
    patience: float = 5 * HANG,
    kill_after: float | None = None,
    size_limit: int | None = None,
) -> tuple[int, str, float]:
    """Run a command; returns exit status, output and seconds.

    Args:
        patience: seconds after which it hangs.
        kill_after: seconds after which it is killed, if it is not done by then.
        size_limit: bytes that a file may have.
    """
    reader, writer = CONTEXT.Pipe(duplex=False)
    args = (writer, place.cache, size_limit, place.arguments(command))
    process = CONTEXT.Process(target=_execute, args=args)
    process.start()
    writer.close()
    output, begun, is_killed = b"", None, False
    try:
        while True:
            if begun is None:
                wait = 10 * HANG  # for the first import of TensorFlow
            else:
                left = patience if kill_after is None or is_killed else kill_after
                wait = max(begun + left - time.monotonic(), 0)
            if not reader.poll(wait):
                if kill_after is None or is_killed:
                    raise Lost(f"{command} hangs")
                process.kill()
                is_killed, begun = True, time.monotonic()
                continue
            if not (chunk := os.read(reader.fileno(), 1 << 16)):
                break
            if begun is None:
                begun = time.monotonic()
            output += chunk
        process.join()
    finally:
        process.kill()
        process.join()
        reader.close()
    seconds = time.monotonic() - (begun or time.monotonic())
    return process.exitcode, output.removeprefix(BEGUN).decode("utf-8", "replace"), seconds


def _execute(writer, cache, size_limit, arguments):
    for stream in (1, 2):
        os.dup2(writer.fileno(), stream)
    sys.stdout, sys.stderr = (open(stream, "w", closefd=False) for stream in (1, 2))
    writer.close()
    add_trunk(pytest.MonkeyPatch())
    from keras_frcnn.cli.__main__ import main
    from keras_frcnn.custom_ops import build

    # The compiled op stays where it is.
    root, ops = build.cache_dir(), build.make_cache_folder(build.FOLDER)
    build.cache_dir, build.make_cache_folder = lambda: root, lambda _: ops
    os.environ["KERAS_FRCNN_CACHE"] = str(cache)
    if size_limit is not None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_limit, hard))
    os.write(1, BEGUN)
    sys.exit(main(arguments))


def _members(path):
    """The content of a Keras file: texts, and the bytes of all arrays."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in sorted(set(archive.namelist()) - {"metadata.json"}):  # which has the date
            content = archive.read(name)
            if name.endswith(".h5"):
                with h5py.File(io.BytesIO(content)) as file:
                    file.visititems(
                        lambda key, item: (
                            found.update({key: item[()].tobytes()})
                            if isinstance(item, h5py.Dataset)
                            else None
                        )
                    )
            else:
                # Keras takes an address in memory for the number of an object.
                found[name] = re.sub(rb',? *"shared_object_id": \d+', b"", content)
    return found


def _json(path, folder):
    """The content without the folder, or the one that it was copied from."""
    text = path.read_text("utf-8")
    for part in (folder, _whole()):
        text = text.replace(str(part), "")
    return json.loads(text)


def _version(path, folder):
    files = sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())
    return files, _json(path / "assets.extra" / "model.json", folder)
