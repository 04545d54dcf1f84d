# `make demo` and `make test` set everything up by themselves: a virtual environment in .venv,
# the package in editable mode, the compiled RoI pooling op, and for the tests their tools.
# Without a compiler the op step says so and slower built-in ops serve.
# All paths are relative, so that the repository may lie in a folder with spaces in its name.

# The Python that makes .venv; after another choice, `make clean` first.
PYTHON ?= python3
PY = .venv/bin/python

.PHONY: demo test test-slow test-all soak lint clean

# Two processes share the tests, a file at a time.
PYTEST = $(PY) -m pytest -n 2 --dist loadfile

demo: .venv/installed
	$(PY) -m keras_frcnn.cli demo

test: .venv/test-tools
	$(PYTEST)

# What `make test` leaves out: long runs, and more cases of what it tests on a few.
test-slow: .venv/test-tools
	$(PYTEST) -m slow

test-all: test test-slow

# The long campaign of faults (tests/faults): seconds for each of its two dozen parts.
SOAK_SECONDS ?= 300
soak: .venv/test-tools
	$(PY) -m tests.faults --seconds $(SOAK_SECONDS)

lint: .venv/test-tools
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

# Stamps inside .venv: setup runs again when the requirements have changed or .venv is gone.
.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 13) else "Python 3.10 to 3.13 is needed, this is %d.%d; name another: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet -e .
	-$(PY) -m keras_frcnn.custom_ops
	touch .venv/installed

# The op is compiled once more: CUDA's compiler comes with the tools.
.venv/test-tools: .venv/installed
	$(PY) -m pip install --quiet -e '.[test]'
	-$(PY) -m keras_frcnn.custom_ops
	touch .venv/test-tools

clean:
	rm -rf .venv demo
