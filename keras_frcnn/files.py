"""Writing files whole or not at all, and where the project keeps what it can make again."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from keras_frcnn.errors import InputError


def make_folder(path: Path) -> None:
    """Make a folder and those above it; raises `InputError` where that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path}: {error}") from error


@contextmanager
def replacing(path: Path, by_several: bool = False) -> Iterator[Path]:
    """Write to the path this yields; it takes the place of `path` when the block has succeeded.

    It has the suffix of `path` and lies beside it. When the block fails or is interrupted it is
    removed and `path` is left as it was. What is left by a killed process the next one writes
    over, unless several processes may write the file at once (`by_several`): then each has its
    own. A disk that cannot be written is an `InputError`.
    """
    own = f".{uuid.uuid4().hex}" if by_several else ""
    partial = path.with_name(f".{path.stem}{own}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content) -> None:
    """Write a JSON file whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[None]:
    """Keep other processes out of the block, by a lock on the file `path`, which need not exist.

    The system frees the lock when its process ends, however it ends, so none is left behind by one
    that was killed; the empty file may stay.

    Raises:
        filelock.Timeout: another process holds the lock, and this one is not to `wait` for it.
        InputError: the file cannot be written, or its file system has no locks.
    """
    import filelock  # here, since most of what imports this module locks nothing

    # Without the library's fallback to files that mean a lock: killed processes leave those behind.
    lock = filelock.FileLock(path, timeout=-1 if wait else 0, fallback_to_soft=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        raise InputError(f"cannot lock {path}: {error}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def private_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `parent` to fill before it gets its name; what is left of it is removed.

    What killed processes have left there under the same prefix is removed first. Beside each folder
    lies the lock of its process, which tells whether that is gone.

    Args:
        parent: exists.
        prefix: such as `.export-`.

    Raises:
        InputError: `parent` cannot be written.
    """
    with ExitStack() as stack:
        try:
            _clear_left(parent, prefix)
            # The lock is there before the folder, or another process would take it for left.
            lock = parent / f"{prefix}{uuid.uuid4().hex}.lock"
            stack.callback(lock.unlink, missing_ok=True)
            try:
                stack.enter_context(locked(lock, wait=False))
            except InputError:
                pass  # without locks nothing is cleared either
            folder = lock.with_suffix("")
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise InputError(f"cannot write to {parent}: {error.strerror}") from error
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def _clear_left(parent: Path, prefix: str) -> None:
    """Remove the folders of killed processes, see `private_folder`."""
    import filelock

    names = {path.name.removesuffix(".lock") for path in parent.glob(f"{prefix}*")}
    for folder in (parent / name for name in names):
        lock = folder.with_name(f"{folder.name}.lock")
        try:
            with locked(lock, wait=False):
                if folder.is_dir() and not folder.is_symlink():
                    shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)
        except (filelock.Timeout, InputError):
            pass  # of a process that is at work, or not ours to remove


def cache_dir() -> Path:
    """The cache folder: `$KERAS_FRCNN_CACHE`, else `keras-frcnn` in the user's cache folder."""
    if override := os.environ.get("KERAS_FRCNN_CACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras-frcnn"
