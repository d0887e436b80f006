# Everything that a user or a contributor runs. `make` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup page wheel setup-system setup-agents run demo test test-fast collected test-page test-agents chaos soak bench bench-pacing bench-dashboard screenshots sim-autoscale sbom lint format lock generated proto clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Twice the cores of CI: much of a test is waiting for processes.
IN_PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder
# Each of these keeps one core busy; what one says stays together where make can do that (not on macOS).
SIDE_BY_SIDE := --no-print-directory --jobs=3 $(if $(filter output-sync,$(.FEATURES)),--output-sync)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.complete
WHEELS := build/wheel
RUNS := $(VENV)/.runs
RUN_REQUIREMENTS := requirements.txt deploy/image/requirements-simulator.txt deploy/image/requirements-build.txt
FRONTEND := dashboard/frontend
PAGE := dashboard/static/index.html
PAGE_MODULES := $(FRONTEND)/node_modules/.package-lock.json
PAGE_SOURCES := $(shell find $(FRONTEND)/src $(FRONTEND)/public $(FRONTEND)/index.html $(FRONTEND)/vite.config.ts 2>/dev/null)
AGENTS := tests/agents
AGENTS_STAMP := $(AGENTS)/node_modules/.package-lock.json
SYSTEM_PACKAGES := prometheus prometheus-alertmanager chromium docker.io mmdebstrap wrk nginx-light haproxy caddy procps

# Puts npm on the PATH: this machine's if its Node is new enough for the page's build, else the one of PyPI in .venv.
NODE_IS_NEW_ENOUGH := const [a, b] = process.versions.node.split(".").map(Number); \
  process.exit((a == 20 && b >= 19) || (a == 22 && b >= 12) || a > 22 ? 0 : 1)
define with_npm
{ node --eval '$(NODE_IS_NEW_ENOUGH)' && npm --version; } >/dev/null 2>&1 || { export PATH="$(CURDIR)/$(BIN):$$PATH"; \
    [ -x $(BIN)/npm ] || $(PIP) --retries 1 --require-hashes -r requirements-node.txt; }
endef
# Runs something of the page's; where its packages could not be installed it says so, and with CI=true it fails.
in_frontend = if [ -e $(PAGE_MODULES) ]; then $(with_npm) && cd $(FRONTEND) && $(1); \
  else echo "skipped, the page's packages are not installed: $(1)" >&2; [ "$${CI:-}" != true ]; fi
NPM_CI := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=1

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) page ## install everything that needs no root, into .venv, and build the dashboard's page

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

page: | $(BIN)/python
	@$(MAKE) --silent --no-print-directory $(PAGE) || { \
	  echo "The dashboard's page could not be built: is npm's registry (or PyPI, for Node) within reach? Without it a plain page is shown." >&2; \
	  [ "$${CI:-}" != true ]; }

$(PAGE_MODULES): $(FRONTEND)/package-lock.json $(FRONTEND)/package.json requirements-node.txt
	@$(with_npm) && cd $(FRONTEND) && $(NPM_CI)
	@touch $@

$(PAGE): $(PAGE_MODULES) $(PAGE_SOURCES)
	@$(with_npm) && cd $(FRONTEND) && npm run --silent build -- --logLevel warn
	@touch $@

wheel: $(STAMP) page ## build the wheel, page and demo in it, into build/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir $(WHEELS) .

setup-system: ## as root on Debian: install what tests and benchmarks need of the system
	@missing=$$(for each in $(SYSTEM_PACKAGES); do dpkg -s $$each >/dev/null 2>&1 || echo $$each; done); \
	if [ -n "$$missing" ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; fi

setup-agents: setup ## install the coding agents that are run as tests (Linux on x86-64, from npm, 950 MB)
	@if [ "$$(uname -sm)" = "Linux x86_64" ]; then $(MAKE) --silent --no-print-directory $(AGENTS_STAMP); \
	else echo "setup-agents: the coding agents are pinned for Linux on x86-64, not for $$(uname -sm)"; fi

$(AGENTS_STAMP): $(AGENTS)/package-lock.json requirements-node.txt
	@{ $(with_npm) && cd $(AGENTS) && $(NPM_CI); } \
	  || { echo "setup-agents: npm could not install what $(AGENTS)/package-lock.json names (is its registry within reach?)" >&2; exit 1; }
	@touch $@

run: $(RUNS) page ## run the proxy in front of api.z.ai (needs ZAI_API_KEY)
	@exec $(BIN)/zai-proxy run

demo: $(RUNS) page ## run the proxy in front of a simulated Z.AI, with sample traffic; no key needed
	@exec $(BIN)/zai-proxy demo

test: setup ## set up and run every check
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(MAKE) --no-print-directory setup-system; fi
	@$(MAKE) --no-print-directory setup-agents || [ "$${CI:-}" != true ]
	$(MAKE) $(SIDE_BY_SIDE) lint test-page collected
	$(BIN)/python -m pytest $(IN_PARALLEL)

test-fast: setup ## the checks of a working day: no container engine, no coding agents, no long proofs; below three minutes
	$(MAKE) $(SIDE_BY_SIDE) lint test-page
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "not slow" --ignore $(AGENTS)

# Reads every test once and leaves them compiled: in a fresh checkout each process of the run would compile them all.
collected: setup
	@said=$$($(BIN)/python -m pytest --collect-only --quiet 2>&1) || { echo "$$said" | grep -v :: >&2; exit 1; }

test-page: setup ## test the page's pure parts (a part of `make test`)
	@$(call in_frontend,npm run --silent test)

test-agents: setup-agents ## run the real coding agents through the proxy (a part of `make test`)
	$(BIN)/python -m pytest $(IN_PARALLEL) $(AGENTS)

chaos: setup ## ten minutes of blows to a proxy under load (a part of `make test`, for two; CHAOS_SECONDS, CHAOS_SEED)
	CHAOS_SECONDS=$${CHAOS_SECONDS:-600} $(BIN)/python -m pytest -s tests/chaos/test_chaos.py

soak: setup ## 100,000 requests, and nothing may grow (a part of `make test`, with 3,000; SOAK_REQUESTS)
	SOAK_REQUESTS=$${SOAK_REQUESTS:-100000} $(BIN)/python -m pytest -s tests/chaos/test_soak.py

bench: setup ## measure this proxy beside a bare Envoy and a do-nothing processor
	$(BIN)/python -m bench

bench-pacing: setup ## compare ways to share one plan: no proxy, fixed, rate-limited, pacing, replicas, a swarm
	$(BIN)/python -m bench.pacing

bench-dashboard: setup ## measure the dashboard: collector, store, queries, readers, the page
	$(BIN)/python -m bench.dashboard_bench

screenshots: setup ## take the pictures of the dashboard in README and docs (needs chromium)
	$(BIN)/python -m bench.screenshots

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
	$(BIN)/python -m pytest --quiet -p no:cacheprovider tests/unit/test_rooms.py
	@$(call in_frontend,npm run --silent lint)

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@$(call in_frontend,npm run --silent format)

PIN := uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
lock: ## pin the newest versions that pyproject.toml allows, if they exist for arm64 too, Linux and macOS (needs uv)
	$(PIN) --upgrade --extra dev pyproject.toml --output-file requirements-dev.txt
	@mkdir -p build/service && sed '/# for the demo alone$$/d' pyproject.toml > build/service/pyproject.toml
	$(PIN) --constraint requirements-dev.txt build/service/pyproject.toml --output-file requirements.txt
	$(PIN) --no-annotate --constraint requirements-dev.txt --extra simulator pyproject.toml \
	  --output-file deploy/image/requirements-simulator.txt
	echo hatchling | $(PIN) --no-annotate --constraint requirements-dev.txt - --output-file deploy/image/requirements-build.txt
	for platform in aarch64-manylinux_2_31 aarch64-apple-darwin; do MACOSX_DEPLOYMENT_TARGET=15.0 \
	  uv pip install --quiet --dry-run --no-deps --only-binary :all: --require-hashes --target build/arm64 \
	  --python-version 3.11 --python-platform $$platform \
	  -r deploy/image/requirements-simulator.txt -r deploy/image/requirements-build.txt || exit 1; done

generated: setup ## write what is generated and committed: Grafana's dashboard, the operator's rules, the page's types
	$(BIN)/python -m grafana.generate
	$(BIN)/python -m dashboard.api.openapi > $(FRONTEND)/openapi.json
	@$(call in_frontend,npm run --silent types)
	$(BIN)/python deploy/prometheus/manifest.py

proto: setup ## compile proto/ to extproc/transport/pb/
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=extproc/transport/pb --pyi_out=extproc/transport/pb proto/*.proto

clean: ## remove what setup and tests made
	rm -rf $(VENV) $(FRONTEND)/node_modules dashboard/static .mypy_cache .ruff_cache .pytest_cache .hypothesis
