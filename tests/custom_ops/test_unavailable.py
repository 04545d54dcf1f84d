"""The compiled op cannot be had, for whatever reason: one warning, and the built-in ops."""

import errno
import os
import shutil

import pytest

from keras_frcnn.custom_ops import build, library, seal
from tests.custom_ops.test_build import needs_compiler, small_sources

__all__ = ["small_sources"]


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def unavailable(match):
    with pytest.warns(UserWarning) as warned:
        assert library.load_library.__wrapped__() is None
    assert len(warned) == 1
    message = str(warned[0].message)
    assert message.startswith("RoI pooling runs on built-in TensorFlow ops")
    assert match in message
    return message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 1", "exit status 1"),
        ('echo "$0: broken" >&2; exit 127', "broken"),
        (
            '[ "$1" = --version ] && exit; echo "No space left on device" >&2; exit 1',
            "No space left",
        ),
        ('[ "$1" = --version ] && exit; printf "\\351%070000d" 0 >&2; exit 1', "..."),
    ],
    ids=["fails", "says why", "disk full", "says much"],
)
def test_a_compiler_that_fails(small_sources, tmp_path, monkeypatch, text, said):
    monkeypatch.setenv("CXX", str(script(tmp_path / "compiler", text)))
    assert len(unavailable(said)) < 5000


def test_a_compiler_that_is_none(small_sources, tmp_path, monkeypatch):
    (tmp_path / "compiler").write_text("no program")
    (tmp_path / "compiler").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "compiler"))
    unavailable("Exec format error")
    monkeypatch.setenv("CXX", "c++ '-m64")
    unavailable("which is no command: No closing quotation")


@needs_compiler
@pytest.mark.parametrize("cache", ["/proc/cache", "/dev/null", "/dev/null/cache"])
def test_a_cache_that_cannot_be_made(small_sources, monkeypatch, cache):
    monkeypatch.setenv("KERAS_FRCNN_CACHE", cache)
    unavailable("cannot make the folder")


@needs_compiler
def test_no_home_folder(small_sources, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KERAS_FRCNN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", no_home)
    unavailable("set KERAS_FRCNN_CACHE")


@needs_compiler
def test_a_cache_that_cannot_be_written(small_sources, monkeypatch):
    if not os.geteuid():
        pytest.skip("root may write anywhere")
    folder = build.make_cache_folder("ops")
    folder.chmod(0o555)
    unavailable("Permission denied")


@needs_compiler
def test_a_file_system_without_locks(small_sources, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    unavailable("No locks available")


@needs_compiler
def test_a_disk_that_is_full_when_the_library_is_there(small_sources, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(seal, "install", full)
    unavailable("No space left")
    assert [path.suffix for path in (build.cache_dir() / "ops").iterdir()] == [".lock"]


@needs_compiler
def test_a_library_that_cannot_be_mapped(small_sources, tmp_path):
    """As on a disk mounted with noexec: it is what was built, but the system does not take it."""
    path = build.build()
    (tmp_path / "text").write_text("no library")
    seal.install(tmp_path / "text", path)
    unavailable(path.name)


@needs_compiler
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
@pytest.mark.parametrize("name", [".", "ops"])
def test_a_cache_that_others_can_write(small_sources, mode, name):
    """The library was built before; another one may lie there by now."""
    path = build.build()
    build.seal.what_is_wrong(path)
    (build.cache_dir() / name).chmod(mode)
    unavailable("can be written by other users, who could put other code there")


@needs_compiler
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_cache_of_another_user(small_sources):
    build.build()
    for folder in (build.cache_dir(), build.cache_dir() / "ops"):
        os.chown(folder, 12345, -1)
        unavailable(f"{folder} belongs to another user (number 12345)")
        os.chown(folder, 0, -1)


@needs_compiler
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_link_of_another_user(small_sources):
    build.build()
    folder = build.cache_dir() / "ops"
    shutil.move(folder, folder.with_name("theirs"))
    folder.symlink_to("theirs")
    build.build()  # an own link is as good as the folder
    os.chown(folder, 12345, -1, follow_symlinks=False)
    unavailable(f"{folder} belongs to another user")
