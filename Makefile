# Choudo. A fresh Debian 12 with Python 3.11, Node 20 and make needs nothing else: every target installs what it uses.
#
#   make run          everything on http://localhost:8000 (PORT=8080 make run for another port)
#   make test         all tests (ARGS="-k booking" for some)
#   make check        what continuous integration runs: lint and test

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Each of many processes would compile the product again.
unexport PYTHONDONTWRITEBYTECODE
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Files go to processes as they stand, in their order: the long ones come early, and what runs alone last.
SHARED_OUT := -n auto --dist loadfile --no-loadscope-reorder

# Stamps: what they depend on has changed when they are older.
PYTHON_STAMP := $(VENV)/.installed
NODE_STAMP := node_modules/.package-lock.json
ASSETS_STAMP := shared/web/static/build/manifest.json

ASSET_SOURCES := shared/web/assets.py $(wildcard shared/web/static/src/* shared/web/static/src/*/* shared/web/icons/*)

.PHONY: help run test check lint messages format bench faults simulate screenshots assets lock clean browser

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## ?/\1\t/' | expand -t 14

run: $(PYTHON_STAMP) $(ASSETS_STAMP)  ## start everything here, with the sample town
	@exec $(BIN)/python -m deploy.local.run

test: $(PYTHON_STAMP) $(ASSETS_STAMP) browser  ## run all tests, or those of ARGS
	$(BIN)/python -m pytest $(SHARED_OUT) $(ARGS)

check: lint test  ## what continuous integration runs

lint: $(PYTHON_STAMP)  ## format, rules, types, import contracts, templates, translations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint --quiet --lint shared services
	$(BIN)/python -m deploy.messages --check

messages: $(PYTHON_STAMP)  ## collect every text into the catalogues of translations
	$(BIN)/python -m deploy.messages

format: $(PYTHON_STAMP)  ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(PYTHON_STAMP) $(ASSETS_STAMP)  ## measure, and write docs/benchmarks.md and .json
	@sh deploy/local/packages.sh --optional wrk
	$(BIN)/python -m tests.benchmarks $(ARGS)

simulate: $(PYTHON_STAMP)  ## new seeded days for a minute (ARGS="--seed 1234": one again; GUARDS=1: see seeds break)
	$(BIN)/python -m tests.simulation $(ARGS)
	$(if $(GUARDS),$(BIN)/python -m tests.simulation.guards)

faults: $(PYTHON_STAMP) $(ASSETS_STAMP) browser  ## every fault at every step, and write docs/faults.md (GUARDS=1: see each test fail)
	CHOUDO_FAULTS_REPORT=docs/faults.md $(BIN)/python -m pytest tests/faults -m "long or not long" $(ARGS)
	$(if $(GUARDS),$(BIN)/python -m tests.faults.guards)

screenshots: $(PYTHON_STAMP) $(ASSETS_STAMP) browser  ## pictures of the running product for the README
	$(BIN)/python -m tests.browser.screenshots $(ARGS)

assets: $(ASSETS_STAMP)  ## style sheets, scripts and icons

lock: $(PYTHON_STAMP)  ## resolve requirements.lock anew: versions and hashes, no addresses
	$(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 --all-extras -q pyproject.toml \
	  -o requirements.lock --no-header
	@! grep -nE '://|^ *(-i|--(extra-)?index-url|--find-links)' requirements.lock

clean:  ## remove what was built and installed; data in .choudo/ stays
	rm -rf $(VENV) node_modules shared/web/static/build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find services shared deploy tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the targets stand on ---------------------------------------------------------------------------------------

# The venv module of Debian is a package of its own (python3-venv); without it, say so instead of failing half-way.
$(PYTHON_STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); sh deploy/local/packages.sh python3-venv && $(PYTHON) -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

$(NODE_STAMP): package.json package-lock.json .npmrc
	@command -v npm > /dev/null || sh deploy/local/packages.sh npm
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(ASSETS_STAMP): $(ASSET_SOURCES) $(NODE_STAMP) $(PYTHON_STAMP)
	$(BIN)/python -m shared.web.assets
	@touch $@

# For the tests in a browser and behind the proxy. Without them the others still run, and these say why they did not.
browser:
	@sh deploy/local/packages.sh --optional chromium-headless-shell fonts-noto-cjk caddy faketime
