# `make app` and `make test` do all the set-up they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
# Two processes of one thread each: small tests gain nothing from more threads.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile
FAST := $(PYTEST) -m "not slow and not browser"
# A browser test whose wait ran out is tried once more, and the report says so. An assertion about the project that fails is never tried again.
ONCE_MORE := --reruns 1 --only-rerun "^TimeoutError: .*Timeout [0-9]+ms exceeded" -rR

.PHONY: app test test-fast lint format bench demo clean

app: $(READY)  ## set up and open the dashboard
	$(BIN)/streamlit run dashboard/app.py

test: $(READY_DEV)  ## set up and run every test, the fast ones first
	$(FAST)
	$(PYTEST) --durations=20 $(ONCE_MORE) -m "slow or browser"

test-fast: $(READY_DEV)  ## unit tests only
	$(FAST)

lint: $(READY_DEV)  ## format check, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY_DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY_DEV)  ## speed ratios, measured side by side
	$(BIN)/python -m pip install -q -e ".[dev,bench]"
	$(BIN)/python -m tests.benchmarks

demo: $(READY_DEV)  ## retrain the bundled pair (under 60 minutes on 2 cores; needs Debian's wordnet-base)
	$(BIN)/python assets/demo/build_corpus.py
	$(BIN)/python assets/demo/train_pair.py

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q "torch==2.13.*" || true  # a CPU build where one is at hand; else pip's choice below
	$(BIN)/python -m pip install -q -e .
	touch $@

$(READY_DEV): $(READY)
	$(BIN)/python -m pip install -q -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
