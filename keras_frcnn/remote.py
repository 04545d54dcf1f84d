"""Files on object storage and other machines: `gs://`, `s3://` and all that fsspec reads.

What is read is copied into the cache folder first, and again only what has changed: a training
reads each image many times, and what it reads is local afterwards. What is exported is written here
and then sent. fsspec knows the protocols; those of Google and Amazon are packages of their own.
"""

import hashlib
import itertools
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from keras_frcnn.errors import InputError
from keras_frcnn.files import locked, make_cache_folder, make_folder, write_json
from keras_frcnn.progress_bar import counted

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_AT_ONCE = 64  # files, which file systems with asynchronous access fetch side by side
# What tells that a file is another than before, by the names file systems give it.
_STAMPS = ("etag", "ETag", "md5Hash", "crc32c", "mtime", "LastModified", "updated", "created")


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is a URL."""
    return bool(_URL.match(os.fspath(path)))


def local(path: str | os.PathLike) -> Path:
    """The path itself, or of a URL its copy (`fetched`)."""
    return fetched(os.fspath(path)) if is_remote(path) else Path(path)


def fetched(url: str) -> Path:
    """A copy of a file or folder in the cache folder, as it is there now.

    Raises:
        InputError: it is not there, cannot be read or copied, or a package for it is missing.
    """
    with _named(url, "read"):
        files, root = _file_system(url)
        found = _listing(files, root)
    if not found:
        raise InputError(f"{url}: holds no files; see that the URL is right")
    folder = make_cache_folder("remote") / hashlib.sha256(url.encode()).hexdigest()[:32]
    target = folder / (PurePosixPath(root).name or "files")
    make_folder(folder)
    with locked(folder / "lock", wait=True):
        index = folder / "index.json"
        here = json.loads(index.read_text("utf-8")) if index.is_file() else {}
        for name in here.keys() - found.keys():
            _place(target, name, url).unlink(missing_ok=True)
        here = {n: stamp for n, stamp in here.items() if _is_same(target, n, stamp, found)}
        missing = sorted(found.keys() - here.keys())
        batches = iter(lambda: list(itertools.islice(rest, _AT_ONCE)), [])
        rest = iter(counted(missing, len(missing), "fetching", "file") if missing else ())
        for names in batches:
            with _named(url, "read"):
                _fetch(files, root, target, names, url)
            here |= {name: found[name] for name in names}
            write_json(index, here)
    return target


@contextmanager
def sent(url: str) -> Iterator[Path]:
    """Write into the folder that this yields; it is sent to `url` when the block has succeeded.

    Files at the top of a folder are sent after those below it, so that whoever waits for the first
    (a model server for `saved_model.pb`) finds the others; object storage has no step that lets all
    appear at once.

    Raises:
        InputError: it cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
        paths = [path for path in Path(folder).rglob("*") if path.is_file()]
        paths.sort(key=lambda path: -len(path.parts))
        with _named(url, "written"):
            files, root = _file_system(url)
            for path in paths:
                there = f"{root.rstrip('/')}/{path.relative_to(folder).as_posix()}"
                files.makedirs(there.rpartition("/")[0], exist_ok=True)
                files.put_file(str(path), there)


def names_in(url: str) -> list[str]:
    """The names of what lies in a folder; none where there is none.

    Raises:
        InputError: it cannot be looked at.
    """
    with _named(url, "read"):
        files, root = _file_system(url)
        if not files.exists(root):
            return []
        return [PurePosixPath(name).name for name in files.ls(root, detail=False)]


def _file_system(url: str):
    import fsspec  # here, since few need it

    files, root = fsspec.core.url_to_fs(url)
    files.invalidate_cache()
    return files, root


def _listing(files, root: str) -> dict[str, str]:
    """Name relative to `root` -> size and stamp; a file's own name for itself is ""."""
    found = {}
    for path, about in files.find(root, detail=True).items():
        name = path[len(root.rstrip("/")) :].lstrip("/") if path != root else ""
        if about.get("type") == "file" and not name.endswith("/"):
            stamps = [str(about[key]) for key in _STAMPS if about.get(key) is not None]
            found[name] = " ".join([str(about.get("size")), *stamps[:1]])
    return found


def _is_same(target: Path, name: str, stamp: str, found: dict[str, str]) -> bool:
    path = target / name if name else target
    return found.get(name) == stamp and path.is_file()


def _place(target: Path, name: str, url: str) -> Path:
    """Where a file is copied to: in the folder, whatever its name is."""
    parts = PurePosixPath(name).parts
    if ".." in parts or "\\" in name or (os.name == "nt" and ":" in name):
        raise InputError(f"{url}: holds a file called {name!r}, which has no place in a folder")
    return target.joinpath(*parts)


def _fetch(files, root: str, target: Path, names: list[str], url: str) -> None:
    places = [_place(target, name, url) for name in names]
    partial = [place.with_name(f".{place.name}.partial") for place in places]
    for place in places:
        make_folder(place.parent)
    there = [f"{root.rstrip('/')}/{name}" if name else root for name in names]
    files.get(there, [str(path) for path in partial])
    for path, place in zip(partial, places, strict=True):
        os.replace(path, place)


@contextmanager
def _named(url: str, what: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except ImportError as error:  # of gcsfs, s3fs and the like, which fsspec names
        raise InputError(f"{url}: cannot be {what} without another package: {error}") from error
    # Each file system has exceptions of its own, with nothing in common.
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{url}: cannot be {what} ({said[:300]})") from error
