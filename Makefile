# Everything here needs only Python 3.11 or later (with venv) and make.
# `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# How many test processes run at once; each starts servers of its own. One more than the two cores that are
# counted on: tests wait for servers, for the disk and for time to pass.
TEST_PROCESSES ?= 3

# Also for the isolated environment in which pip builds: older versions of pip read the first,
# newer ones the second.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo run test faults fuzz bench check audit format protos cases clients security-table metrics-table

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## create .venv with the pinned libraries

# The stamp is written last, so that an interrupted installation is done again.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "maywe needs Python 3.11 or later, and '$(PYTHON)' is not: make PYTHON=python3.12 ..." >&2; \
		exit 1; }
	@echo "Setting up $(VENV) (a minute or so, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: setup ## see it work, from a product history to decisions; ends by itself
	@$(BIN)/python -m service.demo

run: setup ## serve on loopback with the embedded servers until interrupted
	@$(BIN)/maywe serve all

test: setup ## every test, on real PostgreSQL and Redis
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) $(ARGS)

faults: setup ## break everything, prove that no ALLOW is stale: make faults SECONDS=300 SEED=1
	@$(BIN)/python -m tests.faults $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

fuzz: setup ## send a server whatever anybody may send: make fuzz SECONDS=300 SEED=1
	@$(BIN)/python -m tests.hostile $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

bench: setup ## measure everything, and judge it by loadtests/thresholds.json: make bench ONLY="check batch"
	@$(BIN)/python -m loadtests $(if $(ONLY),--only $(ONLY))

check: setup ## lint, format, types, import directions, freshness of the stubs
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python protos/generate.py --check
	@$(BIN)/python -m service.access.table --check
	@$(BIN)/python -m service.metrics.document --check

# Without the registry there is no pip-audit, which the audit then says.
audit: setup ## look for known vulnerabilities in the libraries; says so when nobody can be asked
	@$(BIN)/python -m pip install --quiet --editable '.[audit]' || true
	@$(BIN)/python -m tests.audit $(AUDIT)

format: setup ## rewrite the code in the agreed format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

protos: setup ## generate the Python stubs of the contract again
	@$(BIN)/python protos/generate.py

cases: setup ## run the case files of a directory over gRPC: make cases CASES=dir
	@$(if $(CASES),,$(error name the directory of case files: make cases CASES=dir))$(BIN)/python -m tests.cases $(CASES)

clients: setup ## make ready the examples in Node and Go, which the tests then run too
	@$(BIN)/python docs/clients/prepare.py

security-table: setup ## write who may call what into docs/security.md, from the code
	@$(BIN)/python -m service.access.table

metrics-table: setup ## write every metric into docs/monitoring.md, from the code
	@$(BIN)/python -m service.metrics.document
