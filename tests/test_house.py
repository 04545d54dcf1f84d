"""The rooms of the package: nothing imports upwards, and nothing in a circle."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
FOLDERS = {"keras_frcnn": "keras_frcnn", "keras_frcnn.custom_ops": "custom_ops"}
FOLDERS |= {"keras_frcnn.export": "export"}

# From the top floor down; a room may import those below it and itself.
FLOORS = (
    "cli",
    "public",
    "registration",
    "benchmarks",
    "ablations",
    "bulk",
    "export",
    "training",
    "report",
    "inspection",
    "monitoring",
    "recipes",
    "pictures",
    "runs",
    "baselines",
    "evaluation",
    "batches",
    "detection",
    "proposals",
    "data",
    "settings",
    "proposal_defaults",
    "setting_types",
    "models",
    "custom_ops",
    "sampling",
    "boxes",
    "numpy_boxes",
    "run_length",
    "remote",
    "file_names",
    "shard_names",
    "files",
    "waiting",
    "opencv",
    "extras",
    "progress_bar",
    "notices",
    "errors",
)


def modules():
    """Dotted name -> file of every module of the package."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            parts = path.relative_to(REPOSITORY / folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((package, *parts))] = path
    return found


MODULES = modules()


def imports(name):
    """The modules of the package that a module names in import statements, wherever they stand."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} has a relative import, which this test does not follow"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return {other for other in found if other in MODULES and other != name}


def room(name):
    return (name + ".").split(".")[1]


def floor(name):
    return FLOORS.index(room(name))


# The package itself offers names of all rooms, loaded on first use, and its version.
PARTS = [name for name in MODULES if name != "keras_frcnn"]


def test_every_module_has_a_floor():
    assert {room(name) for name in PARTS} == set(FLOORS)


@pytest.mark.parametrize("name", PARTS)
def test_nothing_imports_upwards(name):
    upwards = [o for o in imports(name) if o != "keras_frcnn" and floor(o) < floor(name)]
    assert not upwards


def test_nothing_imports_in_a_circle():
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            path.append(name)
            for other in sorted(imports(name) - {"keras_frcnn"}):
                visit(other)
            done.add(path.pop())

    for name in PARTS:
        visit(name)
