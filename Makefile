# One command a job; each sets up what it needs first. Run from the project's folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

# Cursors of an unfinished file: in expressions, a condition, a loop, an empty body, a with statement.
TOUR := $(addprefix examples/shop.py:,17:74 21:74 34:37 37:24 49:39 53:9 58:21 63:21)

# Installing builds these where there is a C compiler.
NATIVE := $(wildcard model/fimble_model/network/native/*.[ch]) hatch_build.py

# The benchmarks as published, and what `fimble-train corpus` held out: not part of the repository.
DATA ?= data
HELD_OUT ?= runs/corpus/held-out.jsonl

.PHONY: demo test check format latency scores kernels vscode-check vscode-package vscode-latency clean

demo: $(VENV)/run.installed  ## complete a real source file in the terminal
	@$(BIN)/fimble complete $(TOUR)
	@echo "And a whole body, asked for by key:"
	@$(BIN)/fimble complete --invoke examples/shop.py:53:9

test: $(VENV)/test.installed  ## the tests
	$(BIN)/python -m pytest -q

check: $(VENV)/dev.installed test  ## format, lint, types, import contracts, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

latency: $(VENV)/test.installed  ## milliseconds per keystroke, over stdio
	$(BIN)/fimble-eval latency

scores: $(VENV)/test.installed  ## how good the model is, on all benchmarks: DATA=folder HELD_OUT=file
	$(BIN)/fimble-eval scores $(DATA) $(HELD_OUT) --out eval/results

kernels: $(VENV)/bin/python  ## the native kernels, after a change to their sources
	$(BIN)/python model/fimble_model/network/native/build.py

vscode-check: $(VENV)/test.installed  ## VS Code's extension: checks, package, real editor
	tests/e2e/vscode/check.sh

vscode-package: $(VENV)/test.installed  ## the same without the real editor
	tests/e2e/vscode/check.sh package

vscode-latency: vscode-package  ## milliseconds from a key to ghost text on VS Code's screen
	$(BIN)/python tests/e2e/vscode/keep_latency.py

format: $(VENV)/dev.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Fimble needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.installed: pyproject.toml constraints.txt $(NATIVE) | $(VENV)/bin/python
	@echo "Installing Fimble into $(VENV) (torch is large: a few minutes the first time)"
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/test.installed: pyproject.toml constraints.txt $(NATIVE) | $(VENV)/bin/python
	@echo "Installing Fimble and its test extra into $(VENV)"
	$(PIP_INSTALL) -e '.[test]'
	@touch $@

$(VENV)/dev.installed: pyproject.toml constraints.txt $(NATIVE) | $(VENV)/bin/python
	@echo "Installing Fimble and its dev extra into $(VENV)"
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/test.installed

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
