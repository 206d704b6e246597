# Needs make and any Python from 3.11 on: `make` alone lists what there is.
PYTHON ?= python3
BIN := .venv/bin
PYTEST_ARGS ?=
# Two of them wait for their stacks most of the time: for two cores.
WORKERS ?= 3
BENCH_ARGS ?=
NIGHT_ARGS ?=
VERSIONS_ARGS ?=
DEMO ?= .local/demo

.DEFAULT_GOAL := help
.PHONY: help demo put test lint style format chaos night paid-rows bench fuzz packages lock setup clean compose-check proxy-db versions

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## start everything here, run the example jobs, print the bill; NIGHTS=14 for more nights, ONCE=1 to end, CLUSTER=1, PROXY_DB=1
	@$(BIN)/python -m local.demo $(if $(filter-out 0,$(ONCE)),--once) $(if $(filter-out 0,$(CLUSTER)),--cluster) $(if $(NIGHTS),--nights $(NIGHTS)) $(if $(filter-out 0,$(PROXY_DB)),--proxy-database)

put: ## put your own input into the object store of the running demo: FILE=my.jsonl, and TO=gs://... for another place
	@test -n "$(FILE)" || { echo "usage: make put FILE=my.jsonl [TO=gs://demo-bucket/input/my.jsonl]"; exit 2; }
	@test -f "$(DEMO)/env" || { echo "No demo is running here: start one with make demo"; exit 1; }
	@. "$(DEMO)/env" && $(BIN)/vertex-batch put "$(FILE)" $(if $(TO),"$(TO)")

test: style ## all tests, those with the real processes included, and lint
	@$(BIN)/mypy > .local/mypy.log 2>&1 & mypy=$$!; status=0; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder --durations=10 $(PYTEST_ARGS) || status=$$?; \
	wait $$mypy || status=$$?; cat .local/mypy.log; exit $$status

lint: style ## ruff, mypy, and the layers of the package
	@$(BIN)/mypy

style: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo --cache-dir .local/import-linter

format: setup ## put the code into the project's format
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

chaos: setup ## kill processes at every instant, at least 200 runs, and count what that did; RUNS=50, CLUSTER=1
	@$(BIN)/python -m tools.chaos $(if $(filter-out 0,$(CLUSTER)),--cluster) $(if $(RUNS),--runs $(RUNS))

night: setup ## runs of real size: every row, every bill, processor time, memory, requests; ONLY=c
	@$(BIN)/python -m tools.night $(if $(ONLY),--only $(ONLY)) $(NIGHT_ARGS)

paid-rows: setup ## rows paid for and rows answered, when jobs die and rows fail; ROWS=1000
	@$(BIN)/python -m tools.paid_rows $(if $(ROWS),--rows $(ROWS))

bench: setup ## how fast we are, beside others, in one run
	@$(PYTHON) -m local.bootstrap bench
	@$(BIN)/python tools/bench/scan_rate.py $(BENCH_ARGS)
	@.venv-bench/bin/python tools/bench/parse_rate.py
	@$(BIN)/python tools/bench/preflight_rate.py
	@$(BIN)/python tools/bench/pages_rate.py
	@$(BIN)/python tools/bench/focus_rate.py
	@$(BIN)/python tools/bench/delivery_rate.py
	@$(BIN)/python tools/bench/watch_rate.py
	@$(BIN)/python -m tools.bench.run_cost

fuzz: setup ## load mutated specs, 100,000 of them; SPECS=1000
	@FUZZ_SPECS=$(or $(SPECS),100000) $(BIN)/python -m pytest -p no:xdist -q --timeout 3600 tests/vertex_batch/specs/test_fuzz.py -k thousands

proxy-db: setup ## what a LiteLLM proxy with a database needs, from npm; the system tests install it themselves
	@$(BIN)/python -m local.proxy

versions: setup ## the system tests with other versions of LiteLLM and Airflow, and what differs; ALL=1, LAST=1
	@$(BIN)/python -m tools.versions $(if $(filter-out 0,$(ALL)),--all) $(if $(filter-out 0,$(LAST)),--last) $(VERSIONS_ARGS)

packages: setup ## build the package and install it from the index, alone and with Airflow, which takes minutes
	@PACKAGES_FROM_INDEX=1 $(BIN)/python -m pytest -p no:xdist -q --timeout 3600 tests/test_packaging.py

compose-check: setup ## run docker-compose.yaml in a Docker engine to a bill; says what is missing where it cannot
	@$(BIN)/python -m tools.compose_check

lock: ## regenerate the lock files; UPGRADE=1 takes newer versions
	@$(PYTHON) -m local.bootstrap lock

setup: ## make .venv and .venv-proxy, or bring them up to date
	@$(PYTHON) -m local.bootstrap

clean: ## remove the environments and everything the stack has written
	rm -rf .venv .venv-proxy .venv-bench .venv-focus .local .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find plugins -name "*.so" -delete
