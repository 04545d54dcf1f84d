import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keras_frcnn.custom_ops import build
from keras_frcnn.custom_ops.compiler import NoCompilerError

SMALL = {
    "roi_pool_ops.cc": 'extern "C" int answer() { return 42; }\n',
    "roi_pool_cpu.cc": '#include "roi_pool.h"\nint other() { return kOther; }\n',
    "roi_pool.h": "constexpr int kOther = 1;\n",
}


@pytest.fixture
def small_sources(tmp_path, monkeypatch):
    """A library that compiles at once, and a cache of its own, both in folders with spaces."""
    sources = tmp_path / "source folder"
    sources.mkdir()
    for name, text in SMALL.items():
        (sources / name).write_text(text)
    monkeypatch.setattr(build, "SOURCE_DIR", sources)
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache folder"))
    return sources


needs_compiler = pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")


@needs_compiler
def test_builds_once_and_again_after_a_change(small_sources):
    first = build.build()
    stamp = first.stat().st_mtime_ns
    assert build.build() == first
    assert first.stat().st_mtime_ns == stamp
    (small_sources / "roi_pool.h").write_text("constexpr int kOther = 2;\n")
    second = build.build()
    assert second != first
    assert [path.suffix for path in first.parent.iterdir() if path.suffix == ".so"] == [".so"] * 2


@needs_compiler
def test_name_depends_on_tensorflow_and_the_compiler(small_sources, tmp_path, monkeypatch):
    usual = build.library_path(["c++"])
    other = tmp_path / "other compiler"
    other.write_text('#!/bin/sh\necho "another version"\n')
    other.chmod(0o755)
    assert build.library_path([str(other)]) != usual
    monkeypatch.setattr(build.tf, "__version__", "2.99.0")
    assert "tf2.99.0" in build.library_path(["c++"]).name


@needs_compiler
def test_a_failure_shows_the_compilers_message_and_leaves_nothing(small_sources):
    (small_sources / "roi_pool_cpu.cc").write_text("int other() { return missing_name; }\n")
    with pytest.raises(build.CompileError, match="missing_name"):
        build.build()
    assert [path.suffix for path in (build.cache_dir() / "ops").iterdir()] == [".lock"]


def test_no_compiler(small_sources, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoCompilerError, match="install one"):
        build.build()
    monkeypatch.setenv("CXX", "no-such-compiler -m64")
    with pytest.raises(NoCompilerError, match="no-such-compiler"):
        build.build()


WITHOUT = """
import numpy as np
from keras_frcnn.custom_ops import roi_pool
for _ in range(2):
    print(roi_pool(np.ones([1, 2, 2, 1], "float32"), np.zeros([1, 5], "float32"), 1, 1, 1.0)[0])
"""


def test_without_a_compiler_one_warning_and_the_portable_version(tmp_path):
    environment = {
        **os.environ,
        "CXX": "no-such-compiler",
        "KERAS_FRCNN_CACHE": str(tmp_path),
    }
    command = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0
    assert done.stdout.count("[[[[1.]]]]") == 2
    assert done.stderr.count("no C++ compiler found (no-such-compiler)") == 1
    assert done.stderr.count("`python -m keras_frcnn.custom_ops` builds the fast op") == 1


@needs_compiler
def test_several_processes_at_once(tmp_path):
    log = tmp_path / "compilations"
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\necho "$@" >> "{log}"\nsleep 0.2\nexec c++ "$@"\n')
    compiler.chmod(0o755)
    sources = tmp_path / "sources"
    sources.mkdir()
    for name, text in SMALL.items():
        (sources / name).write_text(text)
    program = (
        "import sys, pathlib\n"
        "from keras_frcnn.custom_ops import build\n"
        "build.SOURCE_DIR = pathlib.Path(sys.argv[1])\n"
        "print(build.build())\n"
    )
    environment = {**os.environ, "CXX": str(compiler), "KERAS_FRCNN_CACHE": str(tmp_path / "cache")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(sources)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    paths = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(paths) == 1
    assert Path(paths.pop().strip()).exists()
    assert log.read_text().count("-shared") == 1


@needs_compiler
def test_command(tmp_path):
    command = [sys.executable, "-m", "keras_frcnn.custom_ops"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "CPU kernels: " in done.stdout
    environment = {**os.environ, "CXX": "no-such-compiler"}
    failed = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert failed.returncode == 1
    assert "no-such-compiler" in failed.stdout
