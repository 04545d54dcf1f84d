# `make demo` and `make test` set everything up by themselves: a virtual environment in .venv,
# the package in editable mode, and the compiled RoI pooling op.
# Without a compiler the op step says so and slower built-in ops serve.
# All paths are relative, so that the repository may lie in a folder with spaces in its name.

# The Python that makes .venv; after another choice, `make clean` first.
PYTHON ?= python3
PY = .venv/bin/python

.PHONY: demo test lint clean

demo: .venv/installed
	$(PY) -m keras_frcnn.cli demo

test: .venv/installed
	$(PY) -m pytest

lint: .venv/installed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

# A stamp inside .venv: setup runs again when the requirements have changed or .venv is gone.
.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 13) else "Python 3.10 to 3.13 is needed, this is %d.%d; name another: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet -e '.[test]'
	-$(PY) -m keras_frcnn.custom_ops
	touch .venv/installed

clean:
	rm -rf .venv demo
