# `make demo` and `make test` do everything, set-up included, on a machine with Python >= 3.11, make and git.
UV_VERSION := 0.13.8
BIN := .venv/bin
STAMP := .venv/.installed
RECIPE := requirements.lock pyproject.toml adapters/empty_databases.py
CACHES := .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
ARGS ?=
UPGRADE ?=
DATA ?= ../shared
BENCH := .venv-bench

export DO_NOT_TRACK := true
# As pip can: a network that signs its traffic itself is no obstacle.
export UV_SYSTEM_CERTS := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := true
export GX_ANALYTICS_ENABLED := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 1000

.DEFAULT_GOAL := help
.PHONY: help setup demo test ui lint format lock test-slow test-service bench bench-selection clean

help: ## show what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 24

setup: ## prepare .venv from requirements.lock; nothing to do when it is already there
	@mkdir -p .rootstock
	@if command -v flock >/dev/null 2>&1; then lock='flock .rootstock/setup.lock'; else lock=; fi; \
	if [ -f $(STAMP) ] && [ "$$(cat $(STAMP))" != "$$PWD" ]; then rm -f $(STAMP); fi; \
	$$lock $(MAKE) --no-print-directory --silent $(STAMP)

demo: setup ## the whole pipeline on the embedded digits: ends with a registered model and a table
	@$(BIN)/rootstock run $(ARGS)

# A thread for each process: several processes with several threads each take turns more than they compute.
test: setup ## the default tests, on all cores: offline, no server but the harness, no GPU
	@OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist worksteal $(ARGS)

ui: setup ## Prefect and MLflow in the browser, a worker, the nightly schedule; Ctrl-C stops all
	@$(BIN)/rootstock up $(ARGS)

lint: setup ## style, types and the contracts between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-slow: setup ## tests that train for minutes
	@$(BIN)/pytest -m slow $(ARGS)

test-service: setup ## tests with real servers, workers and a browser
	@$(BIN)/pytest -m service $(ARGS)

bench: setup ## seconds to accuracy, side by side with what a user would pick instead (40 minutes; ARGS=--quick: 8)
	@$(MAKE) --no-print-directory --silent $(BENCH)/.installed
	@$(BENCH)/bin/python -W ignore -m benchmarks.peers --data "$(DATA)" $(ARGS)

bench-selection: setup ## whether the right backbone is chosen, against fine-tuning every candidate (half an hour; truth is kept)
	@OMP_NUM_THREADS=2 $(BIN)/python -W ignore -m benchmarks.selection --data "$(DATA)" $(ARGS)

lock: setup ## resolve requirements.lock again from pyproject.toml; UPGRADE=--upgrade takes newer versions
	@cp requirements.lock .rootstock/requirements.lock
	@$(use_index) $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra dev --no-header --quiet \
	  $(UPGRADE) --output-file .rootstock/requirements.lock
	@if grep -n '://' .rootstock/requirements.lock; then \
	  echo 'The new lock names a URL (above); it must install from any index. requirements.lock is unchanged.' >&2; exit 1; fi
	@mv .rootstock/requirements.lock requirements.lock
	@$(use_index) $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra bench --no-header --quiet \
	  --no-annotate --constraint requirements.lock --output-file .rootstock/requirements-bench.lock
	@grep -vxFf requirements.lock .rootstock/requirements-bench.lock > requirements-bench.lock

clean: ## remove caches; .venv, data, artifacts and runs stay
	rm -rf $(CACHES)
	find flows tasks adapters transfer tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# uv reads no pip configuration, so an index that the machine gives to pip is handed on.
use_index = index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)}}"; \
  if [ -n "$$index" ]; then UV_DEFAULT_INDEX="$$index"; export UV_DEFAULT_INDEX; fi;

# The stamp holds the folder it was made in: a moved project gets a fresh environment, whose scripts name the right Python.
$(STAMP): $(RECIPE)
	@python=; for name in $${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$name"; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo 'Python 3.11 or newer was not found; install it, or name it with `make setup PYTHON=/path/to/python3`.' >&2; exit 1; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "$$python lacks the venv module; on Debian and Ubuntu install the package python3-venv, then run this again." >&2; exit 1; fi; \
	if $(BIN)/python -m pip --version >/dev/null 2>&1 && grep -qF "$$PWD/.venv" $(BIN)/activate; then :; else \
	  echo 'Making .venv ...'; "$$python" -m venv --clear .venv; fi
	@echo 'Installing what requirements.lock names ...'
	@$(use_index) \
	if $(BIN)/python -m pip install -qq "uv==$(UV_VERSION)" && \
	  $(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode requirements.lock && \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .; then :; \
	else \
	  echo 'uv cannot do it here; pip does the same, more slowly.' >&2; \
	  $(BIN)/python -m pip install --quiet --requirement requirements.lock && \
	  $(BIN)/python -m pip install --quiet --no-deps --editable .; \
	fi
	@$(BIN)/python -m adapters.empty_databases
	@printf '%s\n' "$$PWD" > $(STAMP)

# What only `make bench` needs lies beside .venv, which it borrows everything else from.
$(BENCH)/.installed: $(STAMP) requirements-bench.lock
	@echo 'Installing what requirements-bench.lock names ...'
	@$(BIN)/python -m venv --clear --without-pip $(BENCH)
	@places=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	own=$$($(BENCH)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	printf 'import site; site.addsitedir("%s")\n' "$$places" > "$$own/product.pth"
	@$(BIN)/python -m pip --python $(BENCH)/bin/python install --quiet --no-deps --requirement requirements-bench.lock
	@touch $@
