# One door for everything that is done to this repository; `.ci/run` runs the same.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --override requirements/without-torch.txt --constraint requirements/constraints.txt --custom-compile-command "make lock" --upgrade --quiet

.PHONY: setup demo test test-base test-long check bench docs proto lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements/dev.txt requirements/constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Fix: make setup PYTHON=python3.12"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements/constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src  # many processes start in the tests; some machines keep no bytecode
	@touch $@

demo: setup
	$(BIN)/lepton demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/docs.py --check

test: setup
	$(BIN)/pytest -q -n 2 -m "not slow"

# The base install, in an environment of its own: it predicts, evaluates and serves, and stays small.
test-base: setup
	test -x $(VENV)-base/bin/python || $(PYTHON) -m venv $(VENV)-base
	$(VENV)-base/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.txt
	$(BIN)/python -m hatchling build -t wheel -d $(VENV)-base/wheel
	$(VENV)-base/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall $(VENV)-base/wheel/*.whl
	$(BIN)/python scripts/check_base.py $(VENV)-base/bin/python

test-long: setup
	HYPOTHESIS_PROFILE=long $(BIN)/pytest -q --timeout 1200

bench: setup
	$(BIN)/python bench/run.py --quick

docs: setup
	$(BIN)/python scripts/docs.py

# The description of the gRPC messages; needs grpcio-tools in the environment.
proto: setup
	$(BIN)/python scripts/proto.py

# Resolves every requirement anew, for all platforms and Pythons, with hashes.
lock:
	$(LOCK) --extra all --group dev requirements/torch-needs.txt --output-file requirements/dev.txt
	$(LOCK) --output-file requirements/base.txt

clean:
	rm -rf $(VENV) $(VENV)-base .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/out
