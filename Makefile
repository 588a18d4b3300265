# Everything runs in .venv, which each target fills with what it needs.
PYTHON ?= python3
BACKENDS ?= tensorflow jax torch
GPU_BACKENDS ?= jax torch
# Passed on to pytest, for example ARGS="-k adam".
ARGS ?=
SEARCH_ARGS ?=
MLFLOW_PORT ?= 5000

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# An environment whose JAX or PyTorch can use a GPU.
GPU_PYTHON ?= $(BIN)/python
FILES := pyproject.toml constraints/tested.txt

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help search ui test lint bench bench-doctor bench-gpu screenshots docs docs-figures test-oldest package smoke clean

help:
	@echo "make search    install, run a hyperparameter search on digits"
	@echo "make ui        open the MLflow UI on its results"
	@echo "make test      install, test on BACKENDS=\"$(BACKENDS)\""
	@echo "make lint      style and types"
	@echo "make test-oldest   the same on the oldest supported versions"
	@echo "make package   build wheel and source distribution, check them"
	@echo "make smoke     the wheel in an empty environment of each backend"
	@echo "make bench     measure what the docs claim"
	@echo "make bench-doctor  how often the training doctor is right"
	@echo "make bench-gpu what monitors cost on a GPU, GPU_BACKENDS=\"$(GPU_BACKENDS)\""
	@echo "make docs      build the documentation site into build/site"
	@echo "make clean     remove .venv and caches (not your results)"

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.search: $(FILES) | .venv/bin/python
	$(PIP) -e ".[tensorflow,mlflow,tuner]" -c constraints/tested.txt
	@touch $@

# torch is pinned: other versions may pull in several GB of GPU libraries.
.venv/.test: $(FILES) | .venv/bin/python
	$(PIP) -e ".[dev,tensorflow,jax,torch]" -c constraints/tested.txt
	@touch $@ .venv/.search

search: .venv/.search
	KERAS_BACKEND=tensorflow $(BIN)/python -m tuning digits $(SEARCH_ARGS)

ui: .venv/.search
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db \
	    --host 127.0.0.1 --port $(MLFLOW_PORT)

# One process per backend: Keras has one backend in a process.
test: .venv/.test
	@for backend in $(BACKENDS); do \
	    echo "== tests on $$backend"; \
	    KERAS_BACKEND=$$backend $(BIN)/python -m pytest -n 2 $(ARGS) \
	        || exit 1; \
	done

# In an environment of its own, on TensorFlow.
test-oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet -e ".[dev,tensorflow]" \
	    -c constraints/oldest.txt
	KERAS_BACKEND=tensorflow .venv-oldest/bin/python -m pytest -n 2 $(ARGS)

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

package: .venv/.test
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	KERAS_BACKEND=torch $(BIN)/python -m pytest tests/packaging

# Downloads each backend.
smoke: package
	@for backend in $(BACKENDS); do \
	    echo "== the wheel on $$backend"; \
	    $(BIN)/python tests/packaging/smoke.py $$backend dist/*.whl \
	        || exit 1; \
	done

bench: .venv/.test
	@for backend in $(BACKENDS); do \
	    xla=; test $$backend = tensorflow && xla=--xla; \
	    for what in optimizers layers losses; do \
	        echo "== $$what on $$backend"; \
	        KERAS_BACKEND=$$backend $(BIN)/python -m benchmarks.$$what $$xla \
	            || exit 1; \
	    done; \
	    echo "== monitors on $$backend"; \
	    KERAS_BACKEND=$$backend $(BIN)/python -m benchmarks.monitors \
	        || exit 1; \
	    KERAS_BACKEND=$$backend $(BIN)/python -m benchmarks.by_hand \
	        || exit 1; \
	    KERAS_BACKEND=$$backend $(BIN)/python -m benchmarks.memory \
	        --only monitors || exit 1; \
	done
	for backend in $(filter-out jax,$(BACKENDS)); do \
	    KERAS_BACKEND=$$backend $(BIN)/python -m benchmarks.steps || exit; \
	done
	KERAS_BACKEND=tensorflow $(BIN)/python -m benchmarks.memory \
	    --only components
	KERAS_BACKEND=torch $(BIN)/python -m benchmarks.samplers
	KERAS_BACKEND=torch $(BIN)/python -m benchmarks.pruning
	KERAS_BACKEND=torch $(BIN)/python -m benchmarks.outage
	KERAS_BACKEND=tensorflow $(BIN)/python -m benchmarks.processes
	for backend in $(BACKENDS); do \
	    KERAS_BACKEND=$$backend $(BIN)/python -m benchmarks.searches || exit; \
	done
	$(MAKE) bench-doctor

# Hundreds of small trainings, on each half of the seeds; half an hour each.
bench-doctor: .venv/.test
	for half in dev report; do \
	    KERAS_BACKEND=torch $(BIN)/python -m benchmarks.doctor_bench \
	        --cache build/doctor --half $$half --runs 250 && \
	    $(BIN)/python -m benchmarks.doctor_bench \
	        --replay build/doctor --half $$half || exit; \
	done

bench-gpu:
	@for backend in $(GPU_BACKENDS); do \
	    KERAS_BACKEND=$$backend $(GPU_PYTHON) -m benchmarks.monitors \
	        || exit 1; \
	done

docs: $(FILES) | .venv/bin/python
	$(PIP) -e ".[docs]" -c constraints/tested.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The figures of docs/problems.md and docs/examples.md; some minutes.
docs-figures: .venv/.test
	KERAS_BACKEND=torch $(BIN)/python docs/problem_figures.py
	KERAS_BACKEND=torch $(BIN)/python docs/example_figures.py

clean:
	rm -rf .venv .venv-oldest build dist *.egg-info .pytest_cache .mypy_cache \
	    .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
