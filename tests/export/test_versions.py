import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.export.versions import check_version, next_version, publish, unpublished


def write(models, version, text, **options):
    with unpublished(models) as folder:
        (folder / "saved_model.pb").write_text(text)
        return publish(folder, version, **options)


def read(models, version):
    return (models / str(version) / "saved_model.pb").read_text()


def test_next_version(tmp_path):
    assert next_version(tmp_path / "missing") == 1
    for name in ("2", "10", "notes", ".export-x"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 11


def test_a_version_appears_whole(tmp_path):
    models = tmp_path / "a" / "models"
    with unpublished(models) as folder:
        (folder / "half").write_text("")
        # A server passes over what is not a number.
        assert not [name for name in os.listdir(models) if name.isdecimal()]
        assert publish(folder, 3) == models / "3"
    assert os.listdir(models) == ["3"]
    assert os.listdir(models / "3") == ["half"]
    assert stat.S_IMODE((models / "3").stat().st_mode) == 0o755  # readable by the server's user


def test_an_existing_version_is_not_overwritten_unless_asked(tmp_path):
    write(tmp_path, 1, "old")
    with pytest.raises(InputError, match="exists"):
        write(tmp_path, 1, "new")
    with pytest.raises(InputError, match="exists"):
        check_version(tmp_path, 1, overwrite=False)
    assert read(tmp_path, 1) == "old"
    write(tmp_path, 1, "new", overwrite=True)
    assert read(tmp_path, 1) == "new"
    assert os.listdir(tmp_path) == ["1"]
    write(tmp_path, 2, "first", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]


def test_a_failure_leaves_nothing_behind(tmp_path):
    write(tmp_path, 1, "old")
    with pytest.raises(RuntimeError, match="disk"):
        with unpublished(tmp_path) as folder:
            (folder / "half").write_text("")
            raise RuntimeError("disk")
    assert os.listdir(tmp_path) == ["1"]
    assert read(tmp_path, 1) == "old"


def test_a_version_that_someone_else_writes_meanwhile(tmp_path):
    with unpublished(tmp_path) as folder:
        write(tmp_path, 1, "theirs")
        with pytest.raises(InputError, match="exists"):
            publish(folder, 1)
    assert read(tmp_path, 1) == "theirs"
    assert os.listdir(tmp_path) == ["1"]


def test_exports_at_once_are_numbered(tmp_path, monkeypatch):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: (write(tmp_path, None, str(i)), str(i)), range(24)))
    assert sorted(int(path.name) for path, _ in made) == list(range(1, 25))
    assert all((path / "saved_model.pb").read_text() == text for path, text in made)
    assert len(os.listdir(tmp_path)) == 24
    # Also if another takes the number between the look and the renaming.
    numbers = iter([3, 3, 25])
    monkeypatch.setattr("keras_frcnn.export.versions.next_version", lambda models: next(numbers))
    assert write(tmp_path, None, "last").name == "25"


def test_the_version_is_there_at_every_moment_of_an_overwriting(tmp_path, monkeypatch):
    write(tmp_path, 1, "old")
    seen = []
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: seen.append(read(tmp_path, 1)))
    write(tmp_path, 1, "new", overwrite=True)
    assert seen == ["new"]  # when the old one is removed


KILLED = """
import os, sys
from pathlib import Path
from keras_frcnn.export.versions import unpublished
with unpublished(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("")
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_cleared_and_what_one_at_work_has_is_not(tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)]).returncode == -9
    assert len(os.listdir(tmp_path)) == 2  # the folder and its lock
    (tmp_path / ".export-0ld").mkdir()  # as versions without locks left them
    (tmp_path / "kept").mkdir()
    (tmp_path / ".export-link").symlink_to(tmp_path / "kept")
    with unpublished(tmp_path) as at_work:
        (at_work / "half").write_text("")
        write(tmp_path, None, "next")
        assert (at_work / "half").exists()
        left = {".export-link", "kept", "1", at_work.name, f"{at_work.name}.lock"}
        assert set(os.listdir(tmp_path)) == left
    assert set(os.listdir(tmp_path)) == {".export-link", "kept", "1"}


def test_unwritable_target_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        write(tmp_path / "file" / "models", 1, "")
