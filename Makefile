# Everything that a user or a contributor runs. `make` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-system setup-agents run demo test test-agents bench bench-dashboard sim-autoscale sbom lint format lock generated proto clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.complete
RUNS := $(VENV)/.runs
RUN_REQUIREMENTS := requirements.txt deploy/image/requirements-simulator.txt deploy/image/requirements-build.txt
AGENTS := tests/agents
AGENTS_STAMP := $(AGENTS)/node_modules/.package-lock.json
SYSTEM_PACKAGES := prometheus prometheus-alertmanager chromium docker.io mmdebstrap wrk

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything that needs no root, into .venv

$(STAMP): requirements-dev.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements-dev.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(STAMP) $(RUNS)

# What runs needs a fifth of that, and is there in a fifth of the time.
$(RUNS): $(RUN_REQUIREMENTS) pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes $(addprefix -r ,$(RUN_REQUIREMENTS))
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(RUNS)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "PYTHON=$(PYTHON): need Python 3.11 or newer" >&2; exit 2; }
	@if ! $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null; \
	  else echo "Python's venv is missing: apt-get install python3-venv" >&2; exit 2; fi; fi
	@$(PYTHON) -m venv $(VENV)

setup-system: ## as root on Debian: install what tests and benchmarks need of the system
	@missing=$$(for each in $(SYSTEM_PACKAGES); do dpkg -s $$each >/dev/null 2>&1 || echo $$each; done); \
	if [ -n "$$missing" ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; fi

setup-agents: setup ## install the coding agents that are run as tests (Linux on x86-64, from npm, 950 MB)
	@if [ "$$(uname -sm)" = "Linux x86_64" ]; then $(MAKE) --silent --no-print-directory $(AGENTS_STAMP); \
	else echo "setup-agents: the coding agents are pinned for Linux on x86-64, not for $$(uname -sm)"; fi

$(AGENTS_STAMP): $(AGENTS)/package-lock.json $(AGENTS)/requirements-node.txt
	@npm=$$(command -v npm) || { npm=$(CURDIR)/$(BIN)/npm; export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(AGENTS)/requirements-node.txt; }; \
	cd $(AGENTS) && "$$npm" ci --ignore-scripts --no-audit --no-fund --loglevel=error \
	  || { echo "setup-agents: npm could not install what $(AGENTS)/package-lock.json names (is its registry within reach?)" >&2; exit 1; }
	@touch $@

run: $(RUNS) ## run the proxy in front of api.z.ai (needs ZAI_API_KEY)
	@exec $(BIN)/zai-proxy run

demo: $(RUNS) ## run the proxy in front of a simulated Z.AI, with sample traffic; no key needed
	@exec $(BIN)/zai-proxy demo

test: setup ## set up and run every check
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(MAKE) --no-print-directory setup-system; fi
	@$(MAKE) --no-print-directory setup-agents || [ "$${CI:-}" != true ]
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-agents: setup-agents ## run the real coding agents through the proxy (a part of `make test`)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(AGENTS)

bench: setup ## measure this proxy beside a bare Envoy and a do-nothing processor
	$(BIN)/python -m bench

bench-dashboard: setup ## measure the dashboard: collector, store, queries, readers
	$(BIN)/python -m bench.dashboard_bench

sim-autoscale: setup ## simulate a working day of the autoscaler, and plot it
	$(BIN)/python -m bench.autoscale

sbom: setup ## list what the image is made of (CycloneDX), in build/
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.txt --output-file build/sbom.cdx.json

lint: setup ## check style, types and the layers of the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

PIN := uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
lock: ## pin the newest versions that pyproject.toml allows, if they exist for arm64 too (needs uv)
	$(PIN) --upgrade --extra dev pyproject.toml --output-file requirements-dev.txt
	$(PIN) --constraint requirements-dev.txt pyproject.toml --output-file requirements.txt
	$(PIN) --no-annotate --constraint requirements-dev.txt --extra simulator pyproject.toml \
	  --output-file deploy/image/requirements-simulator.txt
	echo hatchling | $(PIN) --no-annotate --constraint requirements-dev.txt - --output-file deploy/image/requirements-build.txt
	uv pip install --quiet --dry-run --no-deps --only-binary :all: --require-hashes --target build/arm64 \
	  --python-version 3.11 --python-platform aarch64-manylinux_2_31 \
	  -r deploy/image/requirements-simulator.txt -r deploy/image/requirements-build.txt

generated: setup ## write what is generated and committed: Grafana's dashboard, the operator's rules
	$(BIN)/python -m grafana.generate
	$(BIN)/python deploy/prometheus/manifest.py

proto: setup ## compile proto/ to extproc/transport/pb/
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=extproc/transport/pb --pyi_out=extproc/transport/pb proto/*.proto

clean: ## remove what setup and tests made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
