# What can be done here. `make run` and `make test` need nothing but Python 3.11 or newer and a package index;
# everything that they install is in .venv.

PYTHON ?= python3
PORT ?= 4000
DASHBOARD_PORT ?= 8501
ARGUMENTS ?=

PYTEST := .venv/bin/pytest -n 2 --dist worksteal

.PHONY: help run test test-slow test-backends test-all check format bench clean

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: .venv/for-run ## start gateway and dashboard; PORT=4000 DASHBOARD_PORT=8501 ARGUMENTS="--config config.yaml"
	@.venv/bin/tollbook up --port $(PORT) --dashboard-port $(DASHBOARD_PORT) $(ARGUMENTS)

test: .venv/for-dev ## every test but the slow ones
	$(PYTEST) -m "not slow and not backends"

test-slow: .venv/for-dev ## kill loops, long storms, a clean clone
	$(PYTEST) -m "slow and not backends"

# One process: all of them share one collector, Jaeger and Prometheus. What they run is built once, outside the tree.
test-backends: .venv/for-dev ## against a real collector, Jaeger and Prometheus; needs Go, and time to build them the first time
	@tests/backends/build.sh >/dev/null
	.venv/bin/pytest -m backends

test-all: test test-slow ## every test but those against real backends

check: .venv/for-dev ## lint, layout and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

format: .venv/for-dev ## let ruff lay the code out
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

bench: .venv/for-dev ## what the gateway costs, as ratios to a bare pass-through
	.venv/bin/python -m bench $(ARGUMENTS)
	.venv/bin/python -m bench.deltas
	.venv/bin/python -m bench.routing
	.venv/bin/python -m bench.allowances
	.venv/bin/python -m bench.telemetry

clean: ## remove what was made here, but not the books
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv

# Stamps: nothing is installed again until the lists of packages change.
.venv/for-run: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "Installing into .venv; this takes a minute the first time."
	@.venv/bin/pip install --quiet --constraint constraints.txt --editable ".[dashboard,google,aws,azure,tokens]"
	@touch $@

.venv/for-dev: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "Installing into .venv; this takes a minute the first time."
	@.venv/bin/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch .venv/for-run $@
