# `make help` lists what there is. Needs Python 3.11 or newer, make and git; uv is used when it is there.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

# The Python that .venv is made from: `make test PYTHON=python3.13`. Left empty, the first that is new enough.
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14)

# A process of tests per core, each with an engine of its own. A file's tests stay together: they share what it starts.
WORKERS := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# One environment; a stamp for what is installed in it. `make demo` leaves the test tools out.
MADE := $(VENV)/.made
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo example test lint format crash-test fuzz soak bench interop clean

help: ## Show this list
	@echo 'clickpipe: .datasource and .pipe files to a live analytics API'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## Serve the clickstream project of this folder with its data on 127.0.0.1:7181
	@$(BIN)/clickpipe dev || test $$? -eq 130

example: $(DEV) ## Serve one of examples/ with the broker or bucket it reads from (NAME=kafka-clickstream)
	@$(BIN)/python -m examples $(or $(NAME),kafka-clickstream) $(ARGS) || test $$? -eq 130

test: $(DEV) ## Run the static checks, then the tests (SLOW=1: the slow ones too)
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest $(WORKERS) $(if $(filter-out 0,$(SLOW)),,-m 'not slow') $(ARGS)

lint: $(DEV) ## Run the static checks only: ruff, mypy, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(DEV) ## Format the Python code and repair what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

crash-test: $(DEV) ## Kill writers and readers of a source 60 times, also on a full disk, and a deployment at each step; look for what is lost or left (CRASHES=n: other than 60)
	CRASHES=$(or $(CRASHES),60) $(BIN)/python -m pytest -o faulthandler_timeout=7200 tests/runtime/test_crash*.py tests/deploy/test_kills.py

fuzz: $(DEV) ## Ask 100,000 adversarial queries and deploy 20,000 adversarial projects (FUZZ=n PROJECTS=n: as many)
	CLICKPIPE_ADVERSARIAL=$(or $(FUZZ),100000) CLICKPIPE_PROJECTS=$(or $(PROJECTS),20000) \
	  $(BIN)/python -m pytest -s -o faulthandler_timeout=7200 tests/security/test_sql_walls.py tests/security/test_datafile_walls.py

soak: $(DEV) ## Read, write, deploy and go away for ten minutes, and look for what grows (SOAK=n: other seconds)
	SOAK=$(or $(SOAK),600) $(BIN)/python -m pytest -s -o faulthandler_timeout=3600 tests/server/test_soak.py

interop: $(RUNTIME) ## Run the published clients against a server of ours (ARGS='tb duckdb': these only)
	@$(BIN)/python -m interop $(ARGS)

bench: $(RUNTIME) ## Run the benchmarks
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove the environment, the caches, and the demo's data in .clickpipe
	rm -rf $(VENV) .clickpipe .interop .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@set -e; python=; \
	for candidate in $(PYTHONS); do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'clickpipe needs Python 3.11 or newer; looked for: $(PYTHONS).' >&2; \
	  echo 'Install one, or name it: make PYTHON=/path/to/python3 ...' >&2; \
	  exit 1; \
	fi; \
	echo "creating $(VENV) with $$($$python --version) ..."; \
	rm -rf $(VENV); \
	if [ -n "$(UV)" ]; then \
	  "$(UV)" venv --quiet --python "$$(command -v $$python)" $(VENV); \
	elif $$python -c 'import ensurepip, venv' 2>/dev/null; then \
	  $$python -m venv $(VENV); \
	  echo 'updating pip ...'; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'; \
	else \
	  echo "$$python lacks the venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
	  exit 1; \
	fi; \
	touch $@

# pip's own words are many; only the big downloads and the last step are shown.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
PIP_FILTER := sed -u -n -e 's/^ *Downloading \(.*MB.*\)/  downloading \1/p' -e 's/^Installing collected.*/  unpacking .../p'
INSTALL = $(if $(UV),VIRTUAL_ENV=$(VENV) "$(UV)" pip install,set -o pipefail; $(PIP_INSTALL))
FILTER = $(if $(UV),,| $(PIP_FILTER))

$(RUNTIME): pyproject.toml | $(MADE)
	@echo 'installing dependencies (about 270 MB the first time) ...'
	@$(INSTALL) --editable . $(FILTER)
	@touch $@

$(DEV): pyproject.toml | $(MADE)
	@echo 'installing dependencies and test tools (about 300 MB the first time) ...'
	@$(INSTALL) --group dev --editable . $(FILTER)
	@touch $@ $(RUNTIME)
