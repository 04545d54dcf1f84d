"""The files for TensorFlow Serving, as far as they can be checked without it."""

import re

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from keras_frcnn.cli.__main__ import main
from keras_frcnn.custom_ops import build
from keras_frcnn.errors import InputError
from keras_frcnn.export.serving_files import SERVING, op_sources, write_serving_files

# Of the shared library, which the server is not.
SHARED = {"-fPIC", "-fvisibility=hidden"}


@pytest.fixture(scope="module")
def targets():
    """The attributes of the BUILD file's targets by name; its language is a part of Python."""
    found = {}
    rules = {
        "package": lambda **attributes: None,
        "cc_library": lambda name, **attributes: found.update({name: attributes}),
    }
    exec((SERVING / "custom_op" / "BUILD").read_text(), rules)
    return found


def test_server_is_built_of_the_ops_sources_with_its_flags(targets):
    flags = {}
    for attributes in targets.values():
        for source in attributes.get("srcs", []):
            if source.endswith(".cc"):
                assert source not in flags
                flags[source] = attributes["copts"]
    assert set(flags) == {path.name for path in op_sources() if path.suffix == ".cc"}
    assert set(flags) > {*build.KERNEL_FLAGS, "roi_pool_ops.cc", "roi_pool_cpu_ops.cc"}
    for source, copts in flags.items():
        wanted = set(build.COMMON_FLAGS) - SHARED | set(build.KERNEL_FLAGS.get(source, []))
        assert set(copts) == wanted, source


def test_every_target_of_the_op_is_linked(targets):
    assert targets["roi_pool_ops"]["alwayslink"]
    used = {name.lstrip(":") for t in targets.values() for name in t.get("deps", [])}
    assert set(targets) - {"roi_pool_ops"} == {name for name in used if not name.startswith("@")}


def test_includes_are_declared(targets, tmp_path):
    write_serving_files(tmp_path / "serving")
    folder = tmp_path / "serving" / "custom_op"
    declared = {h for t in targets.values() for k in ("hdrs", "srcs") for h in t.get(k, [])}
    for source in declared:
        for header in re.findall(r'#include "([a-z0-9_]+\.h)"', (folder / source).read_text()):
            assert header in declared


def test_command_writes_a_folder_to_work_in(tmp_path, capsys):
    assert main(["serving", "--to", str(tmp_path / "a" / "serving")]) == 0
    folder = tmp_path / "a" / "serving"
    assert (folder / "models").is_dir()
    assert (folder / "custom_op" / "roi_pool_cpu_kernels.h").exists()
    assert not list(folder.glob("custom_op/*cuda*"))
    # What the Dockerfiles copy is there.
    for dockerfile in (folder / "Dockerfile", folder / "custom_op" / "Dockerfile"):
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile.read_text(), re.M):
            assert all(list(dockerfile.parent.glob(name)) for name in line.split())
    (folder / "models.config").write_text("mine")
    assert main(["serving", "--to", str(folder)]) == 2
    assert (folder / "models.config").read_text() == "mine"
    assert "exists" in capsys.readouterr().err


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        write_serving_files(tmp_path / "file")
    with pytest.raises(InputError, match="file"):
        write_serving_files(tmp_path / "file" / "serving")


def test_models_config_is_one():
    config = text_format.Parse(
        (SERVING / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("detector", "/models/detector")


def test_server_is_given_the_files():
    for file in ("compose.yaml", "Dockerfile"):
        text = (SERVING / file).read_text()
        for name in re.findall(r"--\w+_file=/etc/tensorflow-serving/(\S+?)\"?[,\]\s]", text):
            assert (SERVING / name).exists()
        assert "--model_config_file=" in text and "--batching_parameters_file=" in text


def test_servers_are_not_root_and_listen_here_alone():
    for file in ("Dockerfile", "custom_op/Dockerfile"):
        last = (SERVING / file).read_text().rsplit("\nFROM ", 1)[1]
        assert re.findall(r"^USER (.*)$", last, re.M) == ["65534:65534"]
    compose = (SERVING / "compose.yaml").read_text()
    assert 'user: "65534:65534"' in compose
    ports = re.findall(r'- "(\S*):85\d\d"', compose)
    assert ports == ["127.0.0.1:8500", "127.0.0.1:8501"]
    for published in re.findall(r"-p (\S+)", (SERVING / "Dockerfile").read_text()):
        assert published.startswith("127.0.0.1:")
