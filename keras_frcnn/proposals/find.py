"""Proposals of a whole data set: from the cache, the missing ones computed in parallel."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.opencv import opencv
from keras_frcnn.proposals.cache import cached_proposals
from keras_frcnn.proposals.saved import load_proposals
from keras_frcnn.proposals.selective_search import SelectiveSearch
from keras_frcnn.proposals.worker import Worker
from keras_frcnn.settings import Settings


def find_proposals(
    dataset: Dataset,
    method: Callable[[np.ndarray], np.ndarray] | None = None,
    processes: int | None = None,
    progress: bool = True,
    cache_path: str | Path | None = None,
) -> Sequence[np.ndarray]:
    """The proposals of every image of a data set, float32 [P, 4] each, in its order.

    Every image is stored as soon as it is searched: what was found before an interruption, an
    unreadable image or a crash is not searched again.

    Args:
        dataset: the images; each is searched upright (`ImageRecord.orientation` applied).
        method: takes a uint8 RGB image [H, W, 3], can be pickled and has a `cache_key`;
            `SelectiveSearch()` by default.
        processes: how many images are searched at once; one for each processor by default.
        progress: whether to show progress while there is something to search.
        cache_path: the SQLite file to use instead of `default_cache_path(dataset)`.

    Raises:
        InputError: an image cannot be read, its search dies, or the cache file is not usable; it is
            named. Or OpenCV lacks selective search.
    """
    method = SelectiveSearch() if method is None else method
    processes = _usable_processors() if processes is None else processes
    if processes < 1:
        raise InputError(f"processes is {processes}; it must be at least 1")

    def search(missing):
        if isinstance(method, SelectiveSearch):
            opencv()  # here, so that its message comes once and before the search
        return _search(missing, method, min(processes, len(missing)))

    return cached_proposals(dataset, method.cache_key, search, cache_path, progress)


def search_of(settings: Settings) -> SelectiveSearch:
    """The selective search that settings ask for."""
    return SelectiveSearch(mode=settings.search, max_side=settings.search_side)


def proposals_of(dataset: Dataset, settings: Settings, processes: int | None = None) -> ImageSet:
    """A data set with the proposals that settings ask for: imported ones, or by search.

    Raises:
        InputError: as `find_proposals` and `saved.load_proposals`.
    """
    if settings.proposals:
        return ImageSet(dataset, load_proposals(settings.proposals, dataset))
    return ImageSet(dataset, find_proposals(dataset, search_of(settings), processes))


def _search(missing, method, processes):
    """Yields (key, boxes) as they are finished; at the first failure what is left is dropped."""
    workers = []
    idle = SimpleQueue()

    def search(record):
        worker = idle.get()
        try:
            return worker.search(method, record.path, record.orientation)
        finally:
            idle.put(worker)

    # Each thread waits for one process.
    threads = ThreadPoolExecutor(processes)
    try:
        for _ in range(processes):
            workers.append(Worker())
            idle.put(workers[-1])
        tasks = {threads.submit(search, record): key for key, record in missing.items()}
        failure = None
        for task in as_completed(tasks):
            if task.cancelled():
                continue
            if task.exception() is None:
                yield tasks[task], task.result()
            elif failure is None:
                failure = task.exception()
                for waiting in tasks:
                    waiting.cancel()  # those that run already are finished and stored
        if failure is not None:
            raise failure
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()


def _usable_processors() -> int:
    # A container or a job scheduler may allow fewer processors than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
