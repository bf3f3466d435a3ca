# Chaos Lab. `make` alone prints this help.
# Everything sets itself up: a virtual environment in .venv, dependencies, container images where
# Docker answers; where it does not, experiments run on this machine itself.

EXPERIMENT ?= reddit-hug
PYTHON     ?= python3
ARGS       ?=

VENV := .venv
LAB  := $(VENV)/bin/lab
STAMP := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run-experiment list up down dashboards clean doctor test test-all lint format bench schema

help: ## Show this help
	@echo "Chaos Lab: see how a system design fails, beside the design that does not."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  EXPERIMENT=name picks the experiment (default: $(EXPERIMENT)); ARGS=... is handed to lab."

setup: $(STAMP) ## Make the virtual environment with everything in it

# uv when it is there (locked, quick), otherwise pip alone; both give the same .venv.
$(STAMP): pyproject.toml uv.lock
	@if command -v uv >/dev/null 2>&1; then \
		uv sync --quiet --frozen --extra local --python $(PYTHON); \
	else \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
			|| { echo "Chaos Lab needs Python 3.11 or newer; say which with PYTHON=python3.12"; exit 4; }; \
		$(PYTHON) -m venv $(VENV) \
		&& $(VENV)/bin/pip install --quiet --upgrade "pip>=25.1" \
		&& $(VENV)/bin/pip install --quiet --editable ".[local]" --group dev; \
	fi
	@touch $@

run-experiment: $(STAMP) ## Run an experiment: make run-experiment EXPERIMENT=silence
	@$(LAB) run $(EXPERIMENT) $(ARGS)

list: $(STAMP) ## List the experiments
	@$(LAB) list

up: $(STAMP) ## Bring a topology up and keep it: make up TOPOLOGY=url-shortener
	@$(LAB) up $(or $(TOPOLOGY),url-shortener) $(ARGS)

dashboards: $(STAMP) ## Bring a topology up with Grafana beside it: make dashboards TOPOLOGY=shop
	@$(LAB) up $(or $(TOPOLOGY),url-shortener) --grafana $(ARGS)

down: $(STAMP) ## Take down what `make up` or `make dashboards` brought up
	@$(LAB) down $(ARGS)

clean: $(STAMP) ## Remove everything the lab ever left behind (not the images)
	@$(LAB) clean $(ARGS)

doctor: $(STAMP) ## Say what this machine has and lacks, and what mends it
	@$(LAB) doctor

test: lint ## Lint, types, import contracts, and all tests but the long experiments
	@$(VENV)/bin/pytest -m "not experiment" $(ARGS)

test-all: lint ## The same, and every experiment to its verdict
	@$(VENV)/bin/pytest $(ARGS)

lint: $(STAMP) ## Ruff, mypy (strict) and the import contracts
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/python -m lab.schema --check
	@$(VENV)/bin/python -m dashboards --check

format: $(STAMP) ## Format the code
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

schema: $(STAMP) ## Write what is made from the code: the JSON Schema, reference pages, dashboards
	@$(VENV)/bin/python -m dashboards --write
	@$(VENV)/bin/python -m lab.schema --write
	@$(LAB) list faults --markdown > docs/reference/faults.md
	@$(LAB) list keys --markdown > docs/reference/experiment.md

bench: $(STAMP) ## Measure against named peers: make bench BENCH=checkers BENCH_JSON=numbers.json
	@$(VENV)/bin/python -m tests.bench $(BENCH)
