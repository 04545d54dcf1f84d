import os
import stat

import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.export.versions import new_version, next_version


def write(models, version, text, **options):
    with new_version(models, version, **options) as folder:
        (folder / "saved_model.pb").write_text(text)


def test_next_version(tmp_path):
    assert next_version(tmp_path / "missing") == 1
    for name in ("2", "10", "notes", ".export-x"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 11


def test_a_version_appears_whole(tmp_path):
    with new_version(tmp_path / "a" / "models", 3) as folder:
        (folder / "half").write_text("")
        # A server passes over what is not a number.
        assert not [name for name in os.listdir(tmp_path / "a" / "models") if name.isdecimal()]
    assert os.listdir(tmp_path / "a" / "models") == ["3"]
    assert os.listdir(tmp_path / "a" / "models" / "3") == ["half"]
    mode = stat.S_IMODE((tmp_path / "a" / "models" / "3").stat().st_mode)
    assert mode == 0o755  # readable by the server's user


def test_an_existing_version_is_not_overwritten_unless_asked(tmp_path):
    write(tmp_path, 1, "old")
    with pytest.raises(InputError, match="exists"):
        write(tmp_path, 1, "new")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "old"
    write(tmp_path, 1, "new", overwrite=True)
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "new"
    assert os.listdir(tmp_path) == ["1"]
    write(tmp_path, 2, "first", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_leaves_nothing_behind(tmp_path, overwrite):
    write(tmp_path, 1, "old")
    with pytest.raises(RuntimeError, match="disk"):
        with new_version(tmp_path, 1 if overwrite else 2, overwrite) as folder:
            (folder / "half").write_text("")
            raise RuntimeError("disk")
    assert os.listdir(tmp_path) == ["1"]
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "old"


def test_a_version_that_someone_else_writes_meanwhile(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        with new_version(tmp_path, 1) as folder:
            (folder / "mine").write_text("")
            write(tmp_path, 1, "theirs")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "theirs"
    assert os.listdir(tmp_path) == ["1"]


def test_the_version_is_there_at_every_moment_of_an_overwriting(tmp_path, monkeypatch):
    write(tmp_path, 1, "old")
    seen = []
    monkeypatch.setattr(
        "shutil.rmtree",
        lambda path, **_: seen.append((tmp_path / "1" / "saved_model.pb").read_text()),
    )
    write(tmp_path, 1, "new", overwrite=True)
    assert seen == ["new"]  # when the old one is removed


def test_unwritable_target_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        write(tmp_path / "file" / "models", 1, "")
