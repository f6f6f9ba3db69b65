# make run      build, and start a server for a first look: no settings file, no root
# make test     everything that must pass
# make unit     the tests of single modules: half a minute
# make build    the compiled core, in place; FASTSMTP_DEBUG_BUILD=1 for one with checks
# make check    the quick part of it: linters, types, stubs, layers
# make fuzz     the fuzz targets for longer (FUZZ=20000 examples a target)
# make bench    the comparison with other servers
# make deb      a package for this Debian: dist/fastsmtp_VERSION_ARCH.deb
# make test-deb builds it, and has it live in a Debian made by debootstrap; as root, two minutes
# make docs     write what is generated: docs/settings.md, conf/fastsmtp.toml, docs/openapi.json
# make clean    remove what was built; mail and spool in var/ stay
# make help     this list
#
# make PYTHON=python3.12 …       the interpreter of a new .venv
# make PYTEST_ARGS=-x test       hands options on; PYTEST_ARGS='-k bind' chooses among the tests of `make unit`

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
FUZZ ?= 20000
PYTEST_ARGS ?=
MODE := $(if $(filter 1,$(FASTSMTP_DEBUG_BUILD)),debug,plain)
SOURCES := pyproject.toml setup.py $(shell find ext -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

# What starts servers, kills them and counts what arrives runs one at a time: beside each other they would starve.
SERIAL := tests/system tests/interop tests/crash

.DELETE_ON_ERROR:
.PHONY: run test unit build check fuzz bench deb test-deb docs clean help

run: $(VENV)/built
	@exec $(BIN)/fastsmtp serve

test: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 $(SERIAL:%=--ignore=%) --ignore=tests/packages $(PYTEST_ARGS)
	$(BIN)/python -m pytest $(SERIAL) $(PYTEST_ARGS)

unit: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 tests/unit $(PYTEST_ARGS)

build: $(VENV)/built

check: $(VENV)/dev
	$(BIN)/python -m pytest -q tests/test_house.py $(PYTEST_ARGS)

fuzz: $(VENV)/dev
	FASTSMTP_FUZZ=$(FUZZ) $(BIN)/python -m pytest --timeout=0 tests/fuzz $(PYTEST_ARGS)

bench: $(VENV)/built
	$(BIN)/python bench/peers.py

deb:
	@packaging/build-deb

test-deb: $(VENV)/dev
	$(BIN)/python -m pytest tests/packages $(PYTEST_ARGS)

docs: $(VENV)/built
	$(BIN)/python -m tools.conf_sample
	$(BIN)/python -m tools.api_doc

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f fastsmtp/_core/*.so $(VENV)/built $(VENV)/dev $(VENV)/mode-*
	find fastsmtp tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

# The stamps lie in the virtual environment: a new one has none, and everything is done again.
$(VENV)/made:
	@sh tools/need.sh $(PYTHON)
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@touch $@

# Both kinds of core have the same file names: what the other kind left must go.
$(VENV)/mode-$(MODE): $(VENV)/made
	@rm -f $(VENV)/mode-* fastsmtp/_core/*.so
	@touch $@

$(VENV)/built: $(VENV)/made $(VENV)/mode-$(MODE) $(SOURCES)
	@sh tools/need.sh $(BIN)/python
	@echo "building fastsmtp$(if $(filter debug,$(MODE)), (debug build))"
	@$(PIP) install -e .
	@touch $@

$(VENV)/dev: $(VENV)/made $(VENV)/mode-$(MODE) $(SOURCES)
	@sh tools/need.sh $(BIN)/python
	@echo "building fastsmtp with what its tests need"
	@$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/built
