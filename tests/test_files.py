"""Files written whole or not at all, where somebody else has put links, and after a kill."""

import os
import stat
import subprocess
import sys

import filelock
import pytest

from keras_frcnn import files
from keras_frcnn.errors import InputError
from keras_frcnn.files import (
    cache_dir,
    clear_folders,
    locked,
    make_cache_folder,
    private_folder,
    replacing,
    write_json,
)


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as partial:
        assert partial.parent == tmp_path and partial.suffix == ".json"
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "new" and not hidden(tmp_path)
    with pytest.raises(InputError, match=r"cannot write .*a\.json.*No space"), replacing(path):
        raise OSError(28, "No space left on device")
    with pytest.raises(InputError, match=r"cannot write .*no folder/a\.json"):
        write_json(tmp_path / "no folder" / "a.json", {})


def test_a_new_file_has_the_rights_of_any_other(tmp_path):
    (tmp_path / "other").write_text("")
    write_json(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_in_the_place_of_a_partial_file_is_not_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (".a.partial.json", ".0000000000000000.partial.json"):
        (tmp_path / name).symlink_to(victim)
    tokens = iter(["0" * 16, "1" * 16, "2" * 16])
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: next(tokens))
    with pytest.raises(InputError, match="File exists"):  # guessed, and refused all the same
        write_json(tmp_path / "a.json", {})
    write_json(tmp_path / "a.json", {})
    assert victim.read_text() == "precious"
    # A link in the file's own place is replaced, not followed.
    (tmp_path / "b.json").symlink_to(victim)
    write_json(tmp_path / "b.json", {})
    assert victim.read_text() == "precious" and not (tmp_path / "b.json").is_symlink()


def test_two_names_are_never_the_same(tmp_path):
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        assert one != other


def test_a_long_name_is_no_longer_while_it_is_written(tmp_path):
    write_json(tmp_path / ("n" * 250 + ".json"), {})


HOLD = """
import sys
from pathlib import Path
from keras_frcnn.files import replacing, private_folder
folder = Path(sys.argv[1])
with replacing(folder / "a.csv") as partial, private_folder(folder, ".making-") as making:
    partial.write_text("half")
    (making / "half").write_text("half")
    print("held", flush=True)
    sys.stdin.read()
"""
WRITE = """
import sys
from pathlib import Path
from keras_frcnn.files import private_folder, write_json
folder = Path(sys.argv[1])
write_json(folder / "b.json", {})
with private_folder(folder, ".making-"):
    pass
"""


def test_what_a_killed_process_has_left_is_removed_by_the_next(tmp_path):
    def write():
        subprocess.run([sys.executable, "-c", WRITE, str(tmp_path)], check=True)

    (tmp_path / ".mine").write_text("no partial file of ours")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        write()  # its process lives
        assert len(hidden(tmp_path)) == 4 and (tmp_path / "b.json").exists()
        process.kill()
    write()
    assert sorted(hidden(tmp_path)) == [".mine"]
    # A folder of an earlier version, which had no lock; and a link to somebody's folder.
    (tmp_path / ".making-ab12cd_3").mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("")
    (tmp_path / ".making-ab12cd_4").symlink_to(tmp_path / "precious")
    clear_folders(tmp_path, ".making-")
    assert sorted(hidden(tmp_path)) == [".making-ab12cd_4", ".mine"]
    assert (tmp_path / "precious" / "file").exists()


def test_a_private_folder_that_was_renamed_stays(tmp_path):
    with private_folder(tmp_path, ".making-") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").write_text("whole")
        folder.rename(tmp_path / "made")
    with pytest.raises(KeyboardInterrupt), private_folder(tmp_path, ".making-") as folder:
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    with pytest.raises(InputError, match=r"(cannot write to|cannot make) .*made.file"):
        with private_folder(tmp_path / "made" / "file", ".making-"):
            pass


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_lock_that_is_a_link_is_refused(tmp_path, link):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link(victim, tmp_path / ".lock")
    with pytest.raises(InputError, match=r"cannot lock .*\.lock: it is a link"):
        with locked(tmp_path / ".lock", wait=True):
            pass
    assert victim.read_text() == "precious"


def test_a_lock_is_held_once(tmp_path):
    script = (
        f"from keras_frcnn.files import *\nwith locked(Path({str(tmp_path / 'l')!r}), False): 1"
    )
    with locked(tmp_path / "l", wait=False):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert filelock.Timeout.__name__ in done.stderr
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_user_without_a_home_folder(monkeypatch, tmp_path):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(files.Path, "home", no_home)
    monkeypatch.delenv("KERAS_FRCNN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(InputError, match="set KERAS_FRCNN_CACHE"):
        cache_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "keras-frcnn"


def test_the_cache_is_made_for_its_user_to_write(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "a" / "cache"))
    before = os.umask(0o002)
    try:
        folder = make_cache_folder("things")
    finally:
        os.umask(before)
    assert folder == tmp_path / "a" / "cache" / "things"
    for path in (folder, folder.parent):
        assert not path.stat().st_mode & 0o022
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="set KERAS_FRCNN_CACHE to another"):
        make_cache_folder("things")
