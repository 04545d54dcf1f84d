"""A library that somebody else may have written is not loaded but built anew."""

import os

import pytest

from keras_frcnn.custom_ops import build, seal
from tests.custom_ops.test_build import needs_compiler, small_sources

__all__ = ["small_sources"]
pytestmark = needs_compiler


def digest_of(library):
    return library.with_suffix(".sha256")


def other_owner(path):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(path, 12345, -1)


def planted(library):
    """A library of the attacker's, with the digest that belongs to it."""
    library.write_bytes(library.read_bytes() + b"planted")
    seal.install(library.rename(library.with_name("new")), library)


def planted_by_another(library):
    planted(library)
    other_owner(library)
    other_owner(digest_of(library))


def planted_link(library):
    library.write_bytes(library.read_bytes() + b"planted")
    library.symlink_to(library.rename(library.with_name("elsewhere")))


PLANTED = {
    "another's": (planted_by_another, "belongs to another user"),
    "another's digest": (lambda p: other_owner(digest_of(p)), "belongs to another user"),
    "no digest": (lambda p: digest_of(p).unlink(), "cannot be read"),
    "other digest": (lambda p: digest_of(p).write_text("0" * 64), "is damaged"),
    "no text": (lambda p: digest_of(p).write_bytes(b"\xff"), "cannot be read"),
    "changed": (lambda p: p.write_bytes(p.read_bytes() + b"planted"), "is damaged"),
    "cut off": (lambda p: os.truncate(p, 100), "is damaged"),
    "writable": (lambda p: p.chmod(0o777), "can be written by other users"),
    "writable for the group": (lambda p: p.chmod(0o775), "can be written by other users"),
    "writable digest": (lambda p: digest_of(p).chmod(0o666), "can be written by other users"),
    "a link": (planted_link, "is no regular file"),
}


@pytest.mark.parametrize("plant, said", PLANTED.values(), ids=PLANTED)
def test_what_may_be_planted_is_built_anew(small_sources, plant, said):
    library = build.build()
    whole = library.read_bytes()
    plant(library)
    with pytest.warns(UserWarning, match=f"{said}.*it is built anew") as warned:
        assert build.build() == library
    assert len(warned) == 1
    assert library.read_bytes() == whole and seal.what_is_wrong(library) is None
    stamp = library.stat().st_mtime_ns
    assert build.build() == library and library.stat().st_mtime_ns == stamp


def test_what_was_built_is_its_users_own_whatever_the_umask(small_sources):
    before = os.umask(0)
    try:
        library = build.build()
    finally:
        os.umask(before)
    assert seal.what_is_wrong(library) is None
    for path in (library, digest_of(library), library.parent, library.parent.parent):
        assert not path.stat().st_mode & 0o022


def test_what_root_has_built_may_be_loaded(small_sources, monkeypatch):
    if os.geteuid():
        pytest.skip("only root can build as root")
    library = build.build()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert seal.what_is_wrong(library) is None
    seal.check_folders(library.parent.parent, library.parent)


def test_what_a_killed_build_has_left_is_removed(small_sources):
    build.build()
    folder = build.cache_dir() / "ops"
    (folder / ".build-0123456789abcdef").mkdir()
    (folder / ".build-0123456789abcdef" / "half.o").write_text("")
    (small_sources / "roi_pool.h").write_text("constexpr int kOther = 2;\n")
    build.build()
    assert not list(folder.glob(".build-*"))
