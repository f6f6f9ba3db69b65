# make run      build, and start a server for a first look: no settings file, no root
# make test     everything that must pass
# make build    the compiled core, in place
# make check    the quick part of it: linters, types, stubs, layers
# make fuzz     the fuzz targets for longer (FUZZ=20000 examples a target)
# make bench    the comparison with other servers
# make docs     write what is generated: docs/settings.md, conf/fastsmtp.toml
# make clean    remove what was built; mail and spool in var/ stay
#
# `make PYTHON=python3.12 …` chooses the interpreter of a new .venv, `make PYTEST_ARGS=-x test` hands options on.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
FUZZ ?= 20000
PYTEST_ARGS ?=
SOURCES := pyproject.toml setup.py $(shell find ext -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

# What starts servers, kills them and counts what arrives runs one at a time: beside each other they would starve.
SERIAL := tests/system tests/interop tests/crash

.DELETE_ON_ERROR:
.PHONY: run test build check fuzz bench docs clean

run: $(VENV)/built
	@exec $(BIN)/fastsmtp serve

test: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 $(SERIAL:%=--ignore=%) $(PYTEST_ARGS)
	$(BIN)/python -m pytest $(SERIAL) $(PYTEST_ARGS)

build: $(VENV)/built

check: $(VENV)/dev
	$(BIN)/python -m pytest -q tests/test_house.py $(PYTEST_ARGS)

fuzz: $(VENV)/dev
	FASTSMTP_FUZZ=$(FUZZ) $(BIN)/python -m pytest --timeout=0 tests/fuzz $(PYTEST_ARGS)

bench: $(VENV)/built
	$(BIN)/python bench/peers.py

docs: $(VENV)/built
	$(BIN)/python -m tools.conf_sample

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f fastsmtp/_core/*.so $(VENV)/built $(VENV)/dev
	find fastsmtp tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps lie in the virtual environment: a new one has none, and everything is done again.
$(VENV)/made:
	@sh tools/need.sh $(PYTHON)
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@touch $@

$(VENV)/built: $(VENV)/made $(SOURCES)
	@sh tools/need.sh $(BIN)/python
	@echo "building fastsmtp"
	@$(PIP) install -e .
	@touch $@

$(VENV)/dev: $(VENV)/made $(SOURCES)
	@sh tools/need.sh $(BIN)/python
	@echo "building fastsmtp with what its tests need"
	@$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/built
