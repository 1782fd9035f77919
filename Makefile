# MGE Execution. `make help` lists the targets; each sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PY := .venv/bin/python
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes
MANAGE := $(PY) manage.py
# Rooms that know no database: their tests are run once, by `make test`.
PURE_ROOMS := benchmarks examples generation planning scripted_model trials validation

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=…")'
	@$(PYTHON) -m venv .venv

$(RUNTIME): requirements.txt | $(PY)
	@echo "installing what the product runs on …"
	@$(PIP) -r requirements.txt
	@touch $@

$(DEVELOPMENT): requirements-dev.txt $(RUNTIME)
	@echo "installing what the tests and checks need …"
	@$(PIP) -r requirements-dev.txt
	@touch $@

.PHONY: setup
setup: $(RUNTIME) ## Make the environment in .venv, nothing else

.PHONY: run
run: $(RUNTIME) ## Serve the site with a sample execution running, until Ctrl-C (MGE_PORT, default 8000)
	@exec $(MANAGE) serve

.PHONY: demo
demo: $(RUNTIME) ## Run the sample masterplan end to end with the scripted model; the project lands in var/demo/
	@rm -rf var/demo
	@$(MANAGE) run_masterplan examples/ledgerly.yaml --scripted --set cache=off --export var/demo

.PHONY: test
test: $(DEVELOPMENT) ## Run the tests on SQLite; what this machine lacks is listed as NOT RUN
	@$(PY) -m pytest -q -n 2 --dist worksteal

.PHONY: test-services
test-services: $(DEVELOPMENT) ## Run what knows a database on PostgreSQL (MGE_TEST_DATABASE_URL, default postgres@127.0.0.1:5432)
	@MGE_TEST_DATABASE_URL="$${MGE_TEST_DATABASE_URL:-postgres://postgres@127.0.0.1:5432/postgres}" \
		MGE_REQUIRE="$${MGE_REQUIRE:+$$MGE_REQUIRE,}postgres" MGE_TEST_ENGINE=postgres $(PY) -m pytest -q -n 2 --dist worksteal $(addprefix --ignore=tests/,$(PURE_ROOMS))

.PHONY: chaos
chaos: $(DEVELOPMENT) ## Kill, stop and cut whatever runs, at least 100 times on both databases, and see that nothing is lost (ARGS)
	@$(PY) -m chaos $(ARGS)

.PHONY: chaos-smoke
chaos-smoke: $(DEVELOPMENT) ## The same for three minutes at most
	@$(PY) -m chaos --smoke $(ARGS)

.PHONY: nodes
nodes: $(DEVELOPMENT) ## Two and four nodes share 1,000 atoms; one of them is cut off from the database (ARGS)
	@$(PY) -m chaos.nodes $(ARGS)

.PHONY: verify-data
verify-data: $(DEVELOPMENT) ## Judge known answers in every way: levels, runners, numbers in flight (ARGS, e.g. ARGS="--data DIR")
	@$(PY) -m trials.verify_data $(ARGS)

.PHONY: hostile
hostile: $(DEVELOPMENT) ## Let hostile and benign programs try the sandbox, as root, as a user, in a jail without namespaces (ARGS)
	@$(PY) -m trials.hostile $(ARGS)

.PHONY: kills
kills: $(DEVELOPMENT) ## Kill workers, supervisors and fork servers while they run the atoms' tests (ARGS)
	@$(PY) -m trials.kills $(ARGS)

.PHONY: soak
soak: $(DEVELOPMENT) ## Thousands of validations in a row, some hostile: memory, descriptors and processes stay flat (ARGS)
	@$(PY) -m trials.soak $(ARGS)

.PHONY: bench
bench: $(DEVELOPMENT) ## Measure the engine against bare asyncio on both databases (ARGS, e.g. ARGS=--quick)
	@$(PY) -m benchmarks $(ARGS)

.PHONY: bench-validation
bench-validation: $(DEVELOPMENT) ## Measure what validating an atom costs beside a pytest process for each (ARGS)
	@$(PY) -m benchmarks.validation $(ARGS)

.PHONY: bench-peers
bench-peers: $(DEVELOPMENT) ## The same work through other executors, in an environment of their own (ARGS)
	@$(PY) -m benchmarks.peers $(ARGS)

.PHONY: check
check: $(DEVELOPMENT) ## Lint, format, types, migrations, import contracts, page of states
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(MANAGE) makemigrations --check --dry-run
	@$(MANAGE) check
	@$(MANAGE) states --check

.PHONY: system-packages
system-packages: ## Install the Debian packages that make the product better (needs root): bubblewrap
	@apt-get update -qq && apt-get install -y -qq bubblewrap

.PHONY: requirements
requirements: $(DEVELOPMENT) ## Resolve requirements*.in anew, pinned with hashes
	@.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-annotate --upgrade --custom-compile-command "make requirements" requirements.in -o requirements.txt
	@.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-annotate --upgrade --custom-compile-command "make requirements" requirements-dev.in -o requirements-dev.txt
	@.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --strip-extras \
		--upgrade --custom-compile-command "make requirements" \
		benchmarks/peers/requirements.in -o benchmarks/peers/requirements.txt

.PHONY: clean
clean: ## Remove the environment and all data of the embedded database
	@rm -rf .venv var
