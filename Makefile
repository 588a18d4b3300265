# Everything runs in an environment of the Python's own, .venv for python3 and
# .venv-3.13 for PYTHON=python3.13. Each target installs what it needs.
PYTHON ?= python3
BACKENDS ?= tensorflow jax torch
GPU_BACKENDS ?= jax torch
# Passed on to pytest, for example ARGS="-k adam".
ARGS ?=
SEARCH_ARGS ?=
# Passed on to the zoo, for example ZOO_ARGS="--only BERT".
ZOO_ARGS ?=
MLFLOW_PORT ?= 5000

VERSION := $(shell $(PYTHON) -c "import sys; print('%d.%d' % sys.version_info[:2])")
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(VERSION))
CONSTRAINTS ?= constraints/$(if $(filter 3.11,$(VERSION)),tested,tested-newest).txt

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# An environment whose JAX or PyTorch can use a GPU.
GPU_PYTHON ?= $(BIN)/python
FILES := pyproject.toml $(CONSTRAINTS)

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help search ui test test-fast lint bench bench-doctor bench-gpu zoo screenshots docs docs-figures test-oldest test-upstream package smoke clean

help:
	@echo "make search    install, run a hyperparameter search on digits"
	@echo "make ui        open the MLflow UI on its results"
	@echo "make test      install, test on BACKENDS=\"$(BACKENDS)\""
	@echo "make test-fast  the tests that take no time, on PyTorch alone"
	@echo "make lint      style and types"
	@echo "make test PYTHON=python3.13   the same on another Python"
	@echo "make test-oldest   the same on the oldest supported versions"
	@echo "make test-upstream UPSTREAM=git+https://...   on unreleased versions"
	@echo "make package   build wheel and source distribution, check them"
	@echo "make smoke     the wheel in an empty environment of each backend"
	@echo "make bench     measure what the docs claim"
	@echo "make bench-doctor  how often the training doctor is right"
	@echo "make bench-gpu what monitors cost on a GPU, GPU_BACKENDS=\"$(GPU_BACKENDS)\""
	@echo "make zoo       monitors, doctor and convert on models of others"
	@echo "make docs      build the documentation site into build/site"
	@echo "make clean     remove environments and caches (not your results)"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.search: $(FILES) | $(VENV)/bin/python
	$(PIP) -e ".[tensorflow,mlflow,tuner]" -c $(CONSTRAINTS)
	@touch $@

# torch is pinned: other versions may pull in several GB of GPU libraries.
$(VENV)/.test-%: $(FILES) | $(VENV)/bin/python
	$(PIP) -e ".[dev,$*]" -c $(CONSTRAINTS)
	@touch $@

$(VENV)/.test: $(BACKENDS:%=$(VENV)/.test-%)
	@touch $@

search: $(VENV)/.search
	KERAS_BACKEND=tensorflow $(BIN)/python -m tuning digits $(SEARCH_ARGS)

ui: $(VENV)/.search
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db \
	    --host 127.0.0.1 --port $(MLFLOW_PORT)

# One process per backend: Keras has one backend in a process.
test: $(VENV)/.test
	@for backend in $(BACKENDS); do \
	    echo "== tests on $$backend"; \
	    KERAS_BACKEND=$$backend $(BIN)/python -m pytest -n 2 $(ARGS) \
	        || exit 1; \
	done

# What a newcomer runs after each change; PyTorch compiles nothing.
test-fast: $(VENV)/.test-torch
	KERAS_BACKEND=torch $(BIN)/python -m pytest -n 2 -m "not slow" $(ARGS)

# In an environment of its own.
test-oldest: BACKENDS = tensorflow
test-oldest:
	$(PYTHON) -m venv .venv-oldest
	@for backend in $(BACKENDS); do \
	    .venv-oldest/bin/python -m pip install --quiet \
	        -e ".[dev,$$backend]" -c constraints/oldest.txt && \
	    KERAS_BACKEND=$$backend .venv-oldest/bin/python -m pytest -n 2 \
	        $(ARGS) || exit 1; \
	done

# The newest releases, and UPSTREAM (what pip installs) in place of its own.
test-upstream:
	$(PYTHON) -m venv --clear .venv-upstream
	@for backend in $(BACKENDS); do \
	    .venv-upstream/bin/python -m pip install --quiet \
	        -e ".[dev,$$backend]" && \
	    .venv-upstream/bin/python -m pip install --quiet --no-deps \
	        --force-reinstall $(UPSTREAM) && \
	    KERAS_BACKEND=$$backend .venv-upstream/bin/python -m pytest -n 2 \
	        $(ARGS) || exit 1; \
	done

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

package: $(VENV)/.test
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

bench: $(VENV)/.test
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
bench-doctor: $(VENV)/.test
	for half in dev report; do \
	    KERAS_BACKEND=torch $(BIN)/python -m benchmarks.doctor_bench \
	        --cache build/doctor --half $$half --runs 250 && \
	    $(BIN)/python -m benchmarks.doctor_bench \
	        --replay build/doctor --half $$half && \
	    KERAS_BACKEND=torch $(BIN)/python -m benchmarks.doctor.programs \
	        --half $$half && \
	    KERAS_BACKEND=jax $(BIN)/python -m benchmarks.doctor.programs \
	        --half $$half --refused --page || exit; \
	done

bench-gpu:
	@for backend in $(GPU_BACKENDS); do \
	    KERAS_BACKEND=$$backend $(GPU_PYTHON) -m benchmarks.monitors \
	        || exit 1; \
	done

# 130 models on each backend, in an environment of their own.
zoo:
	$(PYTHON) -m venv .venv-zoo
	.venv-zoo/bin/python -m pip install --quiet \
	    -e ".[zoo,tensorflow,jax,torch]" -c constraints/zoo.txt
	.venv-zoo/bin/python -m pip install --quiet --no-deps keras-tcn \
	    -c constraints/zoo.txt
	for backend in torch tensorflow jax; do \
	    KERAS_BACKEND=$$backend .venv-zoo/bin/python -m benchmarks.zoo \
	        $(ZOO_ARGS) || exit 1; \
	done
	.venv-zoo/bin/python -m benchmarks.zoo.page

docs: $(FILES) | $(VENV)/bin/python
	$(PIP) -e ".[docs]" -c $(CONSTRAINTS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The figures of docs/problems.md and docs/examples.md; some minutes.
docs-figures: $(VENV)/.test
	KERAS_BACKEND=torch $(BIN)/python docs/problem_figures.py
	KERAS_BACKEND=torch $(BIN)/python docs/example_figures.py

clean:
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .mypy_cache \
	    .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
