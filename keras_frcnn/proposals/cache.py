"""The proposal cache: one SQLite file, keyed by image content, method and parameters.

Every image is a transaction of its own, so an interruption at any moment, even SIGKILL, loses no
image that was stored, and several processes may use one file at once.
"""

import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.image_keys import image_keys
from keras_frcnn.errors import InputError
from keras_frcnn.file_names import file_names
from keras_frcnn.files import make_cache_folder
from keras_frcnn.progress_bar import counted
from keras_frcnn.proposals.packed import digest_of, kept, packed
from keras_frcnn.waiting import telling_of_waits

_APPLICATION_ID = 0x4652434E  # "FRCN", tells our files from other SQLite files
_FORMAT = 1
_BUSY_SECONDS = 60


def default_cache_path(dataset: Dataset) -> Path:
    """The cache file of a data set, the same for all its splits.

    Images are told apart by content, so two data sets that happen to share a file do no harm.
    """
    source = re.split(r":(?!//)|\+", dataset.name)[0]
    if Path(source).is_dir():
        source = Path(source).resolve().name
    name = re.sub(r"[^\w.-]+", "-", source).strip("-.")
    (name,) = file_names([name or "images"])  # which cuts long ones
    return make_cache_folder("proposals") / f"{name}.sqlite"


class ProposalCache:
    """Proposals of images in a file; use as a context manager, in one thread.

    Raises `InputError` naming the file if it is damaged, not a proposal cache or not accessible.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        with self._errors_named("opening"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Autocommit: each statement outside BEGIN is a transaction. The rollback journal, not
            # WAL, since home folders are often on network file systems, which WAL does not bear.
            self._connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None
            )
        try:
            with self._errors_named("opening"):
                self._create_or_check()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def get(self, image: str, method: str) -> np.ndarray | None:
        """The stored boxes, float32 [P, 4], or None."""
        with self._errors_named():
            row = self._connection.execute(
                "SELECT boxes FROM proposals WHERE image = ? AND method = ?", (image, method)
            ).fetchone()
            if row is None:
                return None
            # zlib's checksum also tells a damaged row.
            return np.frombuffer(zlib.decompress(row[0]), "<f4").reshape(-1, 4).astype(np.float32)

    def images(self, method: str) -> set[str]:
        """The images whose boxes are stored."""
        with self._errors_named():
            rows = self._connection.execute(
                "SELECT image FROM proposals WHERE method = ?", (method,)
            )
            return {image for (image,) in rows}

    def put(self, image: str, method: str, boxes: np.ndarray) -> None:
        """Store the boxes, float32 [P, 4]; they are on disk when this returns."""
        compressed = zlib.compress(np.ascontiguousarray(boxes, "<f4").tobytes(), 1)
        with self._errors_named("writing to"):
            self._connection.execute(
                "INSERT OR REPLACE INTO proposals VALUES (?, ?, ?)", (image, method, compressed)
            )

    def _create_or_check(self) -> None:
        execute = self._connection.execute
        if self._stamp() == (_APPLICATION_ID, _FORMAT):
            return
        execute("BEGIN IMMEDIATE")  # one process creates, the others wait here and look again
        try:
            empty = execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if self._stamp() == (0, 0) and empty:
                execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                execute(f"PRAGMA user_version = {_FORMAT}")
                execute(
                    "CREATE TABLE proposals (image TEXT, method TEXT, boxes BLOB NOT NULL, "
                    "PRIMARY KEY (image, method))"
                )
            elif self._stamp() != (_APPLICATION_ID, _FORMAT):
                raise sqlite3.DatabaseError("it was not made by this version of keras-frcnn")
        except BaseException:
            execute("ROLLBACK")
            raise
        execute("COMMIT")

    def _stamp(self) -> tuple[int, int]:
        return tuple(
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        )

    @contextmanager
    def _errors_named(self, slow: str | None = None):
        """Name the file in errors; where what is done may be `slow`, also while it is."""
        telling = telling_of_waits(
            f"{slow} {self.path} (another process writes, or the disk hangs)"
        )
        try:
            with telling if slow else nullcontext():
                yield
        # OperationalError: locked, full, not permitted. It is a DatabaseError, so it comes first.
        except (OSError, sqlite3.OperationalError) as error:
            raise InputError(
                f"{self.path}: the proposal cache cannot be used ({error}); "
                "see that its folder can be written to and that the disk has room; "
                "KERAS_FRCNN_CACHE names another cache folder"
            ) from error
        except (sqlite3.DatabaseError, zlib.error, ValueError) as error:
            raise InputError(
                f"{self.path}: this is no proposal cache or it is damaged ({error}); "
                "delete the file, then the proposals are computed again"
            ) from error


def cached_proposals(
    dataset: Dataset,
    method: str,
    search: Callable[[Mapping[str, ImageRecord]], Iterable[tuple[str, np.ndarray]]],
    path: str | Path | None = None,
    progress: bool = True,
) -> Sequence[np.ndarray]:
    """The proposals of every image of a data set, float32 [P, 4] each, in its order.

    Every image is stored as soon as it is searched: an interruption costs the one at hand. Those of
    a long list are packed in a file besides and read from there (`packed.kept`).

    Args:
        dataset: the images.
        method: all that the boxes depend on besides the image.
        search: takes the images that the cache has not, by their keys, and yields (key, boxes).
        path: of the cache; `default_cache_path(dataset)` by default.
        progress: whether to show progress while there is something to search.

    Raises:
        InputError: an image cannot be read, or the cache file is not usable; it is named.
    """
    keys = image_keys(dataset)
    digest = digest_of([method, *keys])
    if (found := packed(digest, len(keys))) is not None:
        return found
    with ProposalCache(path or default_cache_path(dataset)) as cache:
        with telling_of_waits(f"looking for the proposals of {len(keys)} images in {cache.path}"):
            stored = cache.images(method)
        missing = {
            key: record
            for key, record in zip(keys, dataset.images, strict=True)
            if key not in stored
        }
        if missing:
            searched = search(missing)
            shown = counted(searched, len(missing), "proposals") if progress else searched
            for key, boxes in shown:
                cache.put(key, method, boxes)
        with telling_of_waits(f"reading the proposals of {len(keys)} images from {cache.path}"):
            return kept(digest, len(keys), lambda: (cache.get(key, method) for key in keys))
