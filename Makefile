# The same targets on a laptop and in continuous integration. Everything lives in .venv; a second call starts at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AISLE_DATA ?= ../shared/data

.PHONY: help demo test check format bench fuzz protos clean

help:
	@echo "make demo    serve the shipped models and open the page on them"
	@echo "make test    run every test"
	@echo "make check   formatting, lint, types, import floors, generated code"
	@echo "make format  format the code"
	@echo "make bench   measure the server that serves the shipped models"
	@echo "make fuzz    send a server mutated and random requests"
	@echo "make protos  generate the protocol stubs again"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Aisle needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# Serving and the page: ONNX Runtime and Gradio, no TensorFlow.
$(VENV)/.demo-installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[server,demo]'
	@touch $@

$(VENV)/.dev-installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.demo-installed

demo: $(VENV)/.demo-installed
	$(BIN)/aisle demo --model-repository model_repository

test: $(VENV)/.dev-installed
	AISLE_DATA=$(AISLE_DATA) $(BIN)/python -m pytest

check: $(VENV)/.dev-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check

format: $(VENV)/.dev-installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev-installed
	$(BIN)/python benchmarks/load.py

fuzz: $(VENV)/.dev-installed
	$(BIN)/python -m tests.fuzz

protos: $(VENV)/.dev-installed
	$(BIN)/python protos/generate.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
