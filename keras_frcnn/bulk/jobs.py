"""Proposals and detections of any number of images, in shards, on Apache Beam.

OUTPUT/job.json                    what the work is; a folder of another is refused
OUTPUT/proposals-n-of-N.parquet    the results of shard n (`keras_frcnn.proposals.parquet`)
OUTPUT/detections-n-of-N.jsonl     or these (`keras_frcnn.bulk.detect`)
OUTPUT/failed-n-of-N.jsonl         its images that failed, `{"path": ..., "error": ...}` a line

A shard whose results are there is done: the same call, or command, goes on with the others.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from keras_frcnn.bulk.plan import JOB, Job, Shard, cut, digest_of, listed, read_job
from keras_frcnn.bulk.search import Failure
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.extras import of_extra
from keras_frcnn.opencv import opencv
from keras_frcnn.proposals.selective_search import SelectiveSearch
from keras_frcnn.shard_names import all_shards, shard_name, shard_numbers

IMAGES_PER_SHARD = 50


@dataclass(frozen=True)
class BulkResult:
    """What a folder holds when the work is done, and what this start has counted."""

    shards: int
    failures: list[Failure]  # of all starts
    counters: dict[str, int]  # of this start: "images" with results, "failed", "shards"


def bulk_proposals(
    images: str,
    output: str,
    method: Callable[[np.ndarray], np.ndarray] | None = None,
    images_per_shard: int = IMAGES_PER_SHARD,
    options: Sequence[str] = (),
) -> BulkResult:
    """Find the proposals of images, as `find_proposals` does, on Apache Beam.

    Args:
        images: a pattern such as `gs://bucket/*.jpg`, or a text file (.txt) with a path a line.
        output: folder to write to, local or wherever Beam writes.
        method: as of `find_proposals`; `SelectiveSearch()` by default.
        images_per_shard: what is lost, at most, where a process dies.
        options: Beam's, such as `["--runner", "FlinkRunner"]`; the DirectRunner by default.

    Raises:
        InputError: there are no images, the folder holds other work, OpenCV lacks selective
            search, or Beam is not installed.
    """
    pipelines, storage, beam_options = _engine(options)
    method = SelectiveSearch() if method is None else method
    if isinstance(method, SelectiveSearch):
        opencv()  # here, so that its message comes before the work
    shards = _shards(images, images_per_shard, storage)
    job = _job("proposals", shards, images_per_shard, method.cache_key)

    def add(pipeline, todo):
        pipelines.search(pipeline, todo, output, method)

    return _run(job, shards, output, beam_options, add)


def bulk_detections(
    model: str,
    output: str,
    images: str | None = None,
    proposals: str | None = None,
    images_per_shard: int = IMAGES_PER_SHARD,
    options: Sequence[str] = (),
) -> BulkResult:
    """Detect objects in images on Apache Beam.

    Args:
        model: folder of an export's version, or a run; see `keras_frcnn.bulk.models`.
        output, images_per_shard, options: as of `bulk_proposals`.
        images: as of `bulk_proposals`, for a model that makes its own proposals.
        proposals: for a Fast R-CNN: the output of `bulk_proposals`, whose images and shards are
            taken.

    Raises:
        InputError: there is no such model, it needs the other of `images` and `proposals`, there
            are no images, the folder holds other work, or Beam is not installed.
    """
    pipelines, storage, beam_options = _engine(options)
    from keras_frcnn.bulk.models import model_at

    detector = model_at(model, storage.read)
    needed, other = ("proposals", "images") if detector.needs_proposals else ("images", "proposals")
    given = {"images": images, "proposals": proposals}
    if given[needed] is None or given[other] is not None:
        does = "takes proposals" if detector.needs_proposals else "makes its own proposals"
        raise InputError(f"{model}: {does}; name the {needed}, and no {other}")
    if proposals is None:
        shards = _shards(images, images_per_shard, storage)
        job = _job("detections", shards, images_per_shard, detector.method)
    else:
        names = storage.names(proposals)
        files = all_shards(names, "proposals", proposals)
        if JOB not in names:
            raise InputError(f"{proposals}: has no {JOB}, which `beam proposals` writes")
        found = read_job(storage.read(storage.join(proposals, JOB)), f"{proposals}: {JOB}")
        paths = (storage.join(proposals, name) for name in files)
        shards = [Shard(n, len(files), proposals=path) for n, path in enumerate(paths)]
        method = f"{detector.method}, proposals {found.method}"
        job = dataclasses.replace(found, kind="detections", method=method)

    def add(pipeline, todo):
        pipelines.detect(pipeline, todo, output, detector)

    return _run(job, shards, output, beam_options, add)


def read_bulk_detections(
    folder: str, dataset: Dataset, options: Sequence[str] = ()
) -> list[Detections]:
    """The detections of the images of a data set from an output of `bulk_detections`.

    Args:
        folder: the output.
        dataset: its images, known by their paths or file names. Those that the folder does not
            name have no detections; what it names besides is passed over.
        options: Beam's, which its file systems may need.

    Returns:
        one `Detections` an image, in the order of the data set.

    Raises:
        InputError: shards are missing or damaged, they name none of the images or a class that the
            data set has not, or Beam is not installed.
    """
    from keras_frcnn.bulk.detect import from_lines
    from keras_frcnn.evaluation.results import from_images

    _, storage, _ = _engine(options)
    files = all_shards(storage.names(folder), "detections", folder)
    paths = [storage.join(folder, name) for name in files]
    found = from_lines((path, storage.read(path)) for path in paths)
    known = {PurePosixPath(r.path).name for r in dataset.images}
    here = {path: entries for path, entries in found.items() if PurePosixPath(path).name in known}
    if not here:
        raise InputError(f"{folder}: names no image of {dataset.name}")
    return from_images(folder, here, dataset)


def read_failures(folder: str, options: Sequence[str] = ()) -> list[Failure]:
    """The images of a work that failed, with the reasons, in their order."""
    _, storage, _ = _engine(options)
    failures = []
    for number, count in sorted(shard_numbers(storage.names(folder), "failed")):
        content = storage.read(storage.join(folder, shard_name("failed", number, count)))
        failures += map(json.loads, content.decode().splitlines())
    return failures


def _engine(options):
    """The modules that need Beam, and its options."""
    of_extra("apache_beam", "beam")
    of_extra("pyarrow", "beam")
    from keras_frcnn.bulk import pipelines, storage

    beam_options = pipelines.options_of(options)
    storage.use(beam_options)
    return pipelines, storage, beam_options


def _shards(images: str, per_shard: int, storage) -> list[Shard]:
    if images.endswith(".txt"):
        try:
            content = storage.read(images)
        except OSError as error:
            raise InputError(f"{images}: cannot be read ({error})") from error
        paths = listed(content, images)
    else:
        paths = storage.matching(images)
    if not paths:
        raise InputError(f"{images}: there are no images")
    return cut(paths, per_shard)


def _job(kind: str, shards: Sequence[Shard], per_shard: int, method: str) -> Job:
    count = sum(len(shard.images) for shard in shards)
    return Job(kind, count, digest_of(shards), per_shard, method)


def _run(job: Job, shards: Sequence[Shard], output: str, options, add) -> BulkResult:
    """Do what is missing; `add` puts it into a pipeline."""
    from keras_frcnn.bulk import pipelines, storage

    names = storage.names(output)
    storage.make_folder(output)
    if not job.check(output, names, lambda name: storage.read(storage.join(output, name))):
        storage.write(storage.join(output, JOB), job.to_json())
    todo = job.missing(shards, names)
    done = f", {len(shards) - len(todo)} of them done before" if len(todo) < len(shards) else ""
    print(f"{job.images} images in {len(shards)} shards{done}", file=sys.stderr)
    counters = pipelines.run(options, lambda pipeline: add(pipeline, todo)) if todo else {}
    missing = job.missing(shards, storage.names(output))
    if missing:
        raise InputError(
            f"{output}: the work ended with {len(missing)} of {len(shards)} shards missing; start "
            "it again with the same options"
        )
    storage.clear_partial(output)
    return BulkResult(len(shards), read_failures(output), counters)
