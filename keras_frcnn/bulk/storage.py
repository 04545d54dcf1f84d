"""Files wherever Beam reaches: folders, `gs://`, `s3://`, `hdfs://`."""

import uuid

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from keras_frcnn.errors import InputError

_PARTIAL = ".partial-"  # files that are not finished


def use(options: PipelineOptions) -> None:
    """Let file systems of this process have the options of a job: keys, addresses."""
    FileSystems.set_options(options)


def join(folder: str, name: str) -> str:
    """The path of a file in a folder."""
    return FileSystems.join(folder, name)


def read(path: str) -> bytes:
    """The bytes of a file; raises what its file system raises."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return file.read()


def write(path: str, content: bytes) -> None:
    """Write a file whole or not at all, in place of one that is there."""
    folder, name = FileSystems.split(path)
    partial = join(folder, f"{_PARTIAL}{uuid.uuid4().hex}-{name}")
    with FileSystems.create(partial, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(content)
    FileSystems.rename([partial], [path])


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    if FileSystems.exists(path):
        FileSystems.delete([path])


def matching(pattern: str) -> list[str]:
    """The paths of the files that a pattern means: `*` within a folder, `**` across them.

    Raises:
        InputError: the file system is unknown or cannot be listed.
    """
    try:
        (found,) = FileSystems.match([pattern])
    except (BeamIOError, ValueError, OSError) as error:
        raise InputError(f"{pattern}: cannot be listed ({_reason(error)})") from error
    return [file.path for file in found.metadata_list]


def names(folder: str) -> set[str]:
    """The names of the finished files in a folder; none where it does not exist.

    Raises:
        InputError: it cannot be listed, or its name is a pattern.
    """
    found = {FileSystems.split(path)[1] for path in matching(join(_plain(folder), "*"))}
    return {name for name in found if not name.startswith(_PARTIAL)}


def clear_partial(folder: str) -> None:
    """Remove what killed processes have left, when all of a work is done and nobody writes."""
    if left := matching(join(_plain(folder), f"{_PARTIAL}*")):
        FileSystems.delete(left)


def make_folder(folder: str) -> None:
    """Make a folder and those above it; raises `InputError` where that is not possible."""
    try:
        if not FileSystems.exists(folder):
            FileSystems.mkdirs(folder)
    except (BeamIOError, ValueError, OSError) as error:
        raise InputError(f"cannot make the folder {folder}: {_reason(error)}") from error


def _plain(folder: str) -> str:
    """A folder, if Beam does not take its name for a pattern, which nothing can quote."""
    if letters := set(folder) & set("*?["):
        raise InputError(
            f"{folder}: {min(letters)} in the name of a folder is a pattern to Beam; name another"
        )
    return folder


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0]
