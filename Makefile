# make demo    set up .venv, then watch equations run on real graphs (results in out/demo/)
# make test    set up .venv, then run the tests
# make test-slow, make test-gpu   also the slow tests; those that need a CUDA device
# make bench   set up .venv, then measure against torchdiffeq + PyG: ten minutes, QUICK=1 one (results in out/bench/)
#
# PYTHON=python3.12      the interpreter that .venv is made with (3.11 or later)
# VENV=.venv             where the environment is
# TORCH_INDEX=<url>      take torch from this index first, for example PyTorch's index of CPU builds
# PYTEST_ARGS="-x -k cg" more arguments for pytest
# WORKERS=auto           processes that run the tests, one thread each: as many as there are cores, four at most
# BENCH_ARGS="--only grand" more arguments for the benchmarks

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
PYTEST_ARGS ?=
WORKERS ?= auto
QUICK ?=
BENCH_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
READY := $(VENV)/.ready
READY_LINT := $(VENV)/.ready-lint

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --maxprocesses 4 --dist worksteal

.PHONY: help demo test test-slow test-gpu bench lint format clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

demo: $(READY)
	$(BIN)/neuralpde demo

test: $(READY)
	$(PYTEST) -m "not slow and not gpu" $(PYTEST_ARGS)

test-slow: $(READY)
	$(PYTEST) -m "not gpu" $(PYTEST_ARGS)

test-gpu: $(READY)
	$(BIN)/python -m pytest -q -m gpu $(PYTEST_ARGS)

bench: $(READY)
	$(BIN)/python tests/benchmarks/run.py $(if $(QUICK),--quick) $(BENCH_ARGS)

lint: $(READY_LINT)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(READY_LINT)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python {v[0]}.{v[1]} was found as $(PYTHON); 3.11 or later is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(PIP) install -q -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(PIP) install -q -c constraints.txt -e ".[test]"
	@touch $@

# pyright runs on node: where there is none, the one in the package index is taken
$(READY_LINT): $(READY)
	$(PIP) install -q -c constraints.txt -e ".[dev]"
	command -v node >/dev/null || $(PIP) install -q "pyright[nodejs]"
	@touch $@

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
