# The only door. `make serve` and `make test` need nothing else typed before them, in any order, even after an interruption.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
ENGINE_BIN := .venv-engine/bin
# Named for what they were made from: a changed lock builds anew, a changed entry point installs anew, else it costs nothing.
BUILT := .venv/.built-$(shell cat requirements/pip.lock requirements/gateway.lock | sha256sum | cut -c1-16)
VENV := .venv/.installed-$(shell sha256sum pyproject.toml | cut -c1-16)
# Only `make bench NAME=plots` needs it, so only that installs it.
DRAWING := .venv/.drawing-$(shell sha256sum requirements/bench.lock | cut -c1-16)
# What imports without torch or vLLM is typed in .venv, the rest in .venv-engine; `-p` takes each room from the import root.
TYPED := contracts cli setup gateway router retrieval $(addprefix models.,$(filter-out build engine __pycache__,$(notdir $(wildcard models/*))))
TYPED_WITH_TORCH := models.build models.engine kernels
TESTED_WITH_TORCH := tests/models/build tests/models/engine tests/kernels tests/benchmarks/sparse
BENCHED_WITH_TORCH := sparse_quality

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

serve: $(VENV)  ## build what is missing, fetch the models, start engines and gateway
	@$(BIN)/headrace up

setup: $(VENV)  ## both environments and the default models, nothing started
	@$(BIN)/headrace up --prepare-only

test: setup check  ## everything: setup, then every gate

check: $(VENV)  ## every gate of the project (docs-test is part of tests)
	@# What reads the code runs beside the kernels' tests; tests that start engines have the machine to themselves.
	@$(MAKE) -j2 --output-sync=target tests-engine format lint imports shape types
	@$(MAKE) tests-gateway coverage

format: $(VENV)
	@$(BIN)/ruff format --check .

fmt: $(VENV)  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --select I --fix --quiet .

lint: $(VENV)  ## ruff, every rule
	@$(BIN)/ruff check .

types: $(VENV)  ## mypy --strict, in each environment over what imports there
	@$(BIN)/mypy $(addprefix -p headrace.,$(TYPED))
	@$(ENGINE_BIN)/mypy --cache-dir .mypy_cache/engine $(addprefix -p headrace.,$(TYPED_WITH_TORCH))

imports: $(VENV)  ## who may import whom
	@$(BIN)/lint-imports

shape: $(VENV)  ## a test file for every source file, small files, small functions
	@$(BIN)/python -m tests.gates.shape

tests: tests-engine tests-gateway coverage  ## all tests, in both environments, with a coverage floor for every file

tests-engine: $(VENV)  ## what needs torch: kernels, builds, the engine's plug-ins
	@rm -rf .run/coverage/engine* && mkdir -p .run/coverage
	@$(ENGINE_BIN)/python -m coverage run --data-file .run/coverage/engine -m pytest -q --durations=10 $(TESTED_WITH_TORCH)
	@$(ENGINE_BIN)/python -m coverage json -q --data-file .run/coverage/engine -o .run/coverage/engine.json

tests-gateway: $(VENV)  ## everything else, real engines too
	@rm -rf .coverage .run/coverage/gateway* && mkdir -p .run/coverage
	@$(BIN)/python -m coverage run --data-file .run/coverage/gateway -m pytest --durations=15
	@$(BIN)/python -m coverage json -q --data-file .run/coverage/gateway -o .run/coverage/gateway.json

coverage: $(VENV)  ## the floor for every file, from what both test runs left
	@$(BIN)/python -m tests.gates.coverage_floor .run/coverage/engine.json .run/coverage/gateway.json

docs-test: $(VENV)  ## what README and docs show: code runs, commands and files exist
	@$(BIN)/python -m pytest -q tests/docs

bench: $(VENV) $(if $(filter plots,$(NAME)),$(DRAWING))  ## one benchmark: make bench NAME=gateway_overhead; benchmarks/results/README.md lists all
	@test -n "$(NAME)" || { echo "make bench: say which, as in 'make bench NAME=gateway_overhead'"; exit 2; }
	@$(if $(filter $(BENCHED_WITH_TORCH),$(NAME)),$(ENGINE_BIN),$(BIN))/python -m benchmarks.$(NAME)

# Any environment with torch, triton and headrace: make bench-gpu GPU_PYTHON=python
GPU_PYTHON ?= $(ENGINE_BIN)/python

bench-gpu:  ## on a CUDA machine: are the kernels right, and how fast beside torch, FlexAttention and vLLM
	@$(GPU_PYTHON) -m benchmarks.kernels_gpu

clean:  ## remove both environments and every cache of this folder; fetched models stay
	rm -rf .venv .venv-engine .run .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

$(VENV): $(BUILT)
	@[ -t 1 ] || export PIP_QUIET=2; $(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	@rm -f .venv/.installed-* && touch $@

$(BUILT): requirements/pip.lock requirements/gateway.lock
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info[:2] == (3, 11) else f"headrace: the locks are for Python 3.11, this is {sys.version.split()[0]}; run: make $(or $(MAKECMDGOALS),help) PYTHON=/path/to/python3.11")'
	@echo "headrace: building .venv, the gateway's environment (about 350 MB, a minute)"
	@$(PYTHON) -m venv .venv
	@# A package whose install was interrupted has no RECORD yet; pip would take it for complete.
	@find .venv/lib -maxdepth 4 -name '*.dist-info' ! -exec test -e '{}/RECORD' \; -prune -exec rm -r '{}' +
	@[ -t 1 ] || export PIP_QUIET=2; $(BIN)/python -m pip install --no-deps --require-hashes -r requirements/pip.lock
	@[ -t 1 ] || export PIP_QUIET=2; $(BIN)/python -m pip install --no-deps --require-hashes -r requirements/gateway.lock
	@rm -f .venv/.built-* && touch $@

$(DRAWING): requirements/bench.lock | $(VENV)
	@[ -t 1 ] || export PIP_QUIET=2; $(BIN)/python -m pip install --no-deps --require-hashes -r requirements/bench.lock
	@rm -f .venv/.drawing-* && touch $@

.PHONY: help serve setup test check format fmt lint types imports shape tests tests-engine tests-gateway coverage docs-test bench bench-gpu clean
