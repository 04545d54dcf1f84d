"""Writing files whole or not at all, and where the project keeps what it can make again.

What is being written has an unpredictable name and is opened exclusively, so that nobody can put a
link to another file in its place. A lock tells that its process lives: what a killed process has
left is removed by the next one that writes into the same folder (not on Windows, which has no such
locks, files that are not finished).
"""

import contextlib
import functools
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_frcnn.errors import InputError
from keras_frcnn.waiting import telling_of_waits

try:
    import fcntl
except ImportError:  # Windows, which lets nobody remove a file that is open
    fcntl = None

_TOKEN_BYTES = 8
_PARTIAL = re.compile(rf"\.[0-9a-f]{{{2 * _TOKEN_BYTES}}}\.partial(\..*)?")
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def make_folder(path: Path) -> None:
    """Make a folder and those above it; raises `InputError` where that is not possible."""
    check_local(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path}: {error}") from error


def check_local(path: Path) -> None:
    """Refuse what was a URL before it became a path, and would be a folder called `gs:`.

    Raises:
        InputError: it was.
    """
    if path.parts and re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.-]+:", path.parts[0]):
        url = path.as_posix().replace(":/", "://", 1)
        raise InputError(
            f"{url}: must be in a local folder or one that is mounted; locks and renaming, which "
            "this needs, are not to be had behind a URL"
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to the path this yields; it takes the place of `path` when the block has succeeded.

    It is an empty file with the suffix of `path`, beside it. When the block fails or is
    interrupted it is removed and `path` is left as it was. A disk that cannot be written is an
    `InputError`.
    """
    _clear(path.parent.absolute())
    try:
        with _partial_file(path.parent, path.suffix) as partial:
            yield partial
            os.replace(partial, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}") from error


def write_json(path: Path, content) -> None:
    """Write a JSON file whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[None]:
    """Keep other processes out of the block, by a lock on the file `path`, which need not exist.

    The system frees the lock when its process ends, however it ends, so none is left behind by one
    that was killed; the empty file may stay. A wait of more than some seconds is told.

    Raises:
        filelock.Timeout: another process holds the lock, and this one is not to `wait` for it.
        InputError: the file cannot be written, is a link to another, or its file system has no
            locks.
    """
    import filelock  # here, since most of what imports this module locks nothing

    # Without the library's fallback to files that mean a lock: killed processes leave those behind.
    lock = filelock.FileLock(path, timeout=-1 if wait else 0, fallback_to_soft=False)
    try:
        with telling_of_waits(
            f"getting the lock {path} (another process has it, or the disk hangs)"
        ):
            _check_own_name(path)
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
    with contextlib.ExitStack() as stack:
        try:
            clear_folders(parent, prefix)
            # The lock is there before the folder, or another process would take it for left.
            lock = parent / f"{prefix}{secrets.token_hex(_TOKEN_BYTES)}.lock"
            stack.callback(_remove, lock)
            with contextlib.suppress(InputError):  # without locks nothing is cleared either
                stack.enter_context(locked(lock, wait=True))
            folder = lock.with_suffix("")
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise InputError(f"cannot write to {parent}: {error.strerror}") from error
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def clear_folders(parent: Path, prefix: str) -> None:
    """Remove the folders of killed processes, see `private_folder`."""
    import filelock

    names = {path.name.removesuffix(".lock") for path in parent.glob(f"{prefix}*")}
    for folder in (parent / name for name in names):
        lock = folder.with_name(f"{folder.name}.lock")
        try:
            with locked(lock, wait=False):
                if folder.is_dir() and not folder.is_symlink():
                    shutil.rmtree(folder, ignore_errors=True)
                _remove(lock)
        except (filelock.Timeout, InputError):
            pass  # of a process that is at work, or not ours to remove


def cache_dir() -> Path:
    """The cache folder: `$KERAS_FRCNN_CACHE`, else `keras-frcnn` in the user's cache folder.

    Raises:
        InputError: the user has no home folder.
    """
    if override := os.environ.get("KERAS_FRCNN_CACHE"):
        return Path(override)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras-frcnn"
    except RuntimeError as error:
        raise InputError(
            "this user has no home folder to keep a cache in; set KERAS_FRCNN_CACHE to a folder"
        ) from error


def make_cache_folder(name: str) -> Path:
    """The folder `name` of the cache, made so that others cannot write into it.

    Raises:
        InputError: it cannot be made.
    """
    root = cache_dir()
    with telling_of_waits(f"looking into the cache folder {root}"):
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            for folder in (root, root / name):
                folder.mkdir(0o755, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot make the folder {root / name}: {error}; see that the cache folder can be "
                "written to and that the disk has room, or set KERAS_FRCNN_CACHE to another"
            ) from error
    return root / name


def _check_own_name(path: Path) -> None:
    """That a lock on `path` opens no other file; filelock, by itself, cuts off what it opens."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1):
        raise OSError("it is a link to another file; remove it")


@contextmanager
def _partial_file(folder: Path, suffix: str) -> Iterator[Path]:
    """A new file, locked by this process; removed at the end where it still has its name."""
    while True:
        path = folder / f".{secrets.token_hex(_TOKEN_BYTES)}.partial{suffix}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks
            if _lock(file) and not os.fstat(file).st_nlink:
                os.close(file)  # another process took it for a dead one's before it was locked
                continue
        break
    if not fcntl:  # a file that is open cannot be renamed there
        os.close(file)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        if fcntl:
            os.close(file)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # on Windows it goes with its lock
        path.unlink(missing_ok=True)


def _lock(file: int) -> bool:
    """Lock an open file, if it is not locked already; False where the system has other locks."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return bool(fcntl)


@functools.cache
def _clear(folder: Path) -> None:
    """Remove, once a process, the half-written files of processes that were killed."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        left = [entry.path for entry in entries if _PARTIAL.fullmatch(entry.name)]
        for path in left:
            with contextlib.suppress(OSError):  # its process lives, or it is not ours to remove
                file = os.open(path, os.O_RDWR | os.O_NONBLOCK | _NO_LINKS)
                try:
                    if _lock(file):
                        os.unlink(path)
                finally:
                    os.close(file)
