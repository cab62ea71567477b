# One word each. `demo` and `test` set up a fresh clone by themselves: python3, make and a package
# index are all they need.

PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV_VERSION := 0.13.9

# uv ignores pip's own settings; where pip is told of a folder of wheels, uv is told as well.
LINKS := $(or $(PIP_FIND_LINKS),$(shell $(PY) -m pip config get global.find-links 2>/dev/null))
export UV_FIND_LINKS ?= $(LINKS)
TORCH := 2.13.0

.PHONY: help setup demo test test-all test-real check fix bench docs clean

help:
	@echo "make setup     a virtual environment in $(VENV), from constraints.txt"
	@echo "make demo      the whole way on painted bins: counts served, runs/demo/report.html"
	@echo "make test      every test that needs no GPU, no cluster and no real photos"
	@echo "make test-all  the slow ones too; real photos with STOCKTAKE_REAL=FOLDER"
	@echo "make check     format, lint, types, floors, docs"
	@echo "make fix       format and safe repairs"
	@echo "make bench     the measurements behind our figures"
	@echo "make docs      docs/reference from the code"

setup: $(READY)

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	PY="$(PY)" VENV="$(VENV)" UV_VERSION="$(UV_VERSION)" TORCH="$(TORCH)" sh scripts/setup.sh
	@touch $(READY)

demo: $(READY)
	$(BIN)/stocktake run examples/demo.toml

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2

test-all: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m "not gpu and not ray"

test-real: $(READY)
	$(BIN)/pytest -q -m real

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/build_reference.py --check

fix: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python docs/build_reference.py

bench: $(READY)
	$(BIN)/python bench/start.py
	$(BIN)/python bench/paint.py
	$(BIN)/python bench/ingest.py
	$(BIN)/python bench/ingest_scale.py
	$(BIN)/python bench/loader.py

docs: $(READY)
	$(BIN)/python docs/build_reference.py

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
