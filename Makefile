# The commands for development; `make` without a target lists them. Dependencies are installed in .venv and .cache, and
# in clients/typescript/node_modules because Node requires that location.

SHELL := /bin/bash
# The tests start hundreds of gateways. A start takes 0.6 s of CPU time with cached bytecode, 1.9 s without.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The first Python 3.11 or newer that can create a venv. Only used if .venv does not exist.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)
BIN := .venv/bin
BUF := .cache/codegen/bin/buf
CODEGEN := .cache/codegen/stamp
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.stamp-editable ## create .venv, and install the locked requirements, the gateway and the Python client in it
	@:

.venv/.stamp-python:
	@test -n "$(PYTHON)" || { \
		echo "setup: Python 3.11 or newer with venv is not installed (Debian: apt-get install python3 python3-venv)" >&2; \
		exit 1; }
	@echo "setup: creating .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.stamp-requirements: requirements/dev.txt requirements/server.txt | .venv/.stamp-python
	@echo "setup: installing requirements/dev.txt into .venv, with hashes"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

.venv/.stamp-editable: pyproject.toml clients/python/pyproject.toml generated/python/pyproject.toml .venv/.stamp-requirements
	@echo "setup: installing hfgateway-stubs, hfgateway-client and hfgateway into .venv, editable"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e generated/python -e clients/python -e .
	@touch $@

$(CODEGEN): requirements/codegen.txt | setup
	@$(BIN)/python tools/generate.py --install --only python

.PHONY: generate
generate: setup ## generate all stubs and error classes from protos/ (Java: only check that it works), the synchronous Python and the blocking Java client
	@$(BIN)/python tools/generate.py
	@echo "generate: the synchronous Python client from the asynchronous one" && $(BIN)/python tools/unasync.py
	@echo "generate: the blocking Java client from the asynchronous one" && $(BIN)/python tools/blocking.py

.PHONY: page
page: setup ## build the script of the live page
	@$(BIN)/python tools/page.py

.PHONY: check-generated
check-generated: setup ## fail if generated code is out of date with protos/, or Java stubs cannot be generated
	@$(BIN)/python tools/generate.py --check

.PHONY: format
format: setup $(CODEGEN) ## format Python and proto files, and apply ruff's automatic fixes
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .
	@$(BUF) format --write
	@echo "format: done"

.PHONY: lint
lint: setup $(CODEGEN) ## run all static checks: ruff, mypy, import contracts, buf, and the generated code of the clients
	@echo "lint: ruff check" && $(BIN)/ruff check --quiet .
	@echo "lint: ruff format" && $(BIN)/ruff format --quiet --check .
	@echo "lint: mypy" && $(BIN)/mypy --no-error-summary
	@echo "lint: mypy on names in tests" && $(BIN)/mypy --no-error-summary --config-file tests/mypy.ini
	@echo "lint: import contracts" && { out=$$($(BIN)/lint-imports 2>&1) || { echo "$$out"; exit 1; }; }
	@echo "lint: buf lint" && $(BUF) lint
	@echo "lint: buf format" && $(BUF) format --diff --exit-code
	@$(BIN)/python tools/breaking.py
	@echo "lint: error classes of the clients" && { out=$$($(BIN)/python -m tools.error_tables --check) || { echo "$$out"; exit 1; }; }
	@echo "lint: synchronous Python client" && $(BIN)/python tools/unasync.py --check
	@echo "lint: blocking Java client" && $(BIN)/python tools/blocking.py --check

.PHONY: test
test: setup ## run all tests in parallel; WORKERS=0 runs them in one process
	@$(BIN)/python -m pytest --numprocesses=$(or $(WORKERS),auto)

.PHONY: soak-tests
soak-tests: ## run all tests in fresh clones: alone, on one core, and with all cores busy; ROUNDS=3 sets the rounds
	@tools/soak_tests.sh $(or $(ROUNDS),3)

.PHONY: release-check
release-check: setup ## build all packages in dist/, check them, and try their publication without an upload
	@$(BIN)/python tools/release.py $(if $(FINAL),--final)

.PHONY: audit
audit: setup ## look for known vulnerabilities in the locked dependencies; needs the internet, and osv-scanner for Go, Rust and Java
	@$(BIN)/python -m tools.supply_chain audit

.PHONY: sbom
sbom: setup ## list the dependencies in dist/sbom, in the format CycloneDX
	@$(BIN)/python -m tools.supply_chain sbom

.PHONY: site
site: setup $(CODEGEN) ## build the documentation as a web site in dist/site; fails with warnings
	@$(BIN)/python -m tools.website

.PHONY: container-check
container-check: setup ## build the container on a base of Debian's packages, and run it read-only; needs root, takes five minutes
	@$(BIN)/python -m tools.container_check

.PHONY: demo
demo: setup ## show the gateway with the sandbox; needs no account and no network
	@$(BIN)/hfgateway demo

.PHONY: bench
bench: setup ## run all benchmarks; fails if a goal is missed
	@$(BIN)/python -m bench

.PHONY: chaos
chaos: setup ## run two short storms of faults, kills and cut connections, and check their histories
	@$(BIN)/python -m chaos run --storms 2 --seconds 20 --submissions 400 --settle 30

.PHONY: soak
soak: setup ## run two long storms with 10,000 submissions in total, for at most 20 minutes
	@$(BIN)/python -m chaos run --storms 2 --seconds 300 --submissions 5000 --settle 150

.PHONY: soak-replicas
soak-replicas: setup ## kill one of three replicas every 10 s under load, and check the history; MINUTES=10 GENERATIONS=100000 WATCHERS=10000 set its size
	@$(BIN)/python -m tests.contract.store.soak_replicas

.PHONY: simulate
simulate: setup ## run the deterministic simulation; SEEDS=1000 sets the number of seeds, SEEDS=5000-9999 their range
	@$(BIN)/python -m tests.simulation $(or $(SEEDS),1000)

.PHONY: simulate-replicas
simulate-replicas: setup ## run the simulation of several replicas on PostgreSQL; SEEDS as for simulate, by default 100
	@$(BIN)/python -m tests.simulation --replicas $(or $(SEEDS),100)

.PHONY: lock
lock: setup ## update all lock files; UPGRADE=1 also upgrades the locked versions
	@for name in server dev codegen build deploy; do \
		echo "lock: requirements/$$name.txt"; \
		$(COMPILE) $(if $(UPGRADE),--upgrade) requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done
	@if command -v npm >/dev/null; then \
		echo "lock: tools/codegen/package-lock.json"; \
		cd tools/codegen && npm install --package-lock-only --ignore-scripts --no-audit --no-fund --silent; \
		echo "lock: clients/typescript/package-lock.json"; \
		cd ../../clients/typescript && npm install --package-lock-only --ignore-scripts --no-audit --no-fund --silent; \
	else echo "!!! SKIPPED: the package-lock.json of tools/codegen and clients/typescript: npm is not installed" >&2; fi
	@if command -v go >/dev/null; then \
		for module in generated/go clients/go; do \
			echo "lock: $$module/go.sum"; \
			out=$$(cd $$module && go mod tidy 2>&1) || { echo "$$out"; exit 1; }; \
		done; \
	else echo "!!! SKIPPED: go.sum of generated/go and clients/go: go is not installed" >&2; fi
	@if command -v cargo >/dev/null; then \
		for crate in tools/codegen/rust clients/rust; do \
			echo "lock: $$crate/Cargo.lock"; \
			(cd $$crate && cargo update --quiet $(if $(UPGRADE),,--workspace)) || exit 1; \
		done; \
	else echo "!!! SKIPPED: Cargo.lock of tools/codegen/rust and clients/rust: cargo is not installed" >&2; fi

.PHONY: clean
clean: ## delete .venv, .cache and all build output
	@rm -rf clients/typescript/node_modules clients/typescript/dist clients/typescript/build clients/java/target
	@rm -rf .venv .cache dist build clients/go/build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "clean: done"
