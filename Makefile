# One command for each intent; every target sets up what it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo ui test lint format types tiny-checkpoint clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(READY)

setup: $(READY) ## a virtual environment with everything in it

demo: $(READY) ## masks for a few photographs, in sa_pipeline_home/
	$(BIN)/sa-pipeline demo

ui: $(READY) ## Dagster's UI on sa_pipeline_home/
	$(BIN)/sa-pipeline ui

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

tiny-checkpoint: $(READY) ## trains the built-in checkpoint from nothing
	$(BIN)/python -m sa_pipeline.training.train_tiny --output tiny_training --minutes 40 --export sa_pipeline/sam/weights/tiny.safetensors

clean: ## removes the virtual environment and the demo's output
	rm -rf $(VENV) sa_pipeline_home
