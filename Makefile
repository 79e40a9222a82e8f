# Everything sets itself up: a virtual environment in $(VENV), from the pins of constraints.txt.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
OLDEST := .venv-oldest
MEETING_SKLEARN := sklearn_checks calls groups search progress continuing classifier persistence onnx_export \
	multisource rows validation preprocessing gapfiller baseline model_selection metrics missing patchseries

.PHONY: help demo test test-oldest soak lint format readme clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml setup.py constraints.txt m3fusion_sk/_version.py
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'm3fusion_sk needs Python 3.11 or newer: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[test]"
	touch $(READY)

$(OLDEST)/.ready: pyproject.toml setup.py constraints-oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet -c constraints-oldest.txt -e . \
		onnx onnxruntime pytest pytest-timeout hypothesis psutil array-api-compat
	touch $(OLDEST)/.ready

demo: $(READY) ## the main job on a made scene: maps, and a page that explains them, in demo/
	$(RUN) examples/map_scene.py demo

test: $(READY) ## all tests
	SCIPY_ARRAY_API=1 OMP_NUM_THREADS=1 $(RUN) -m pytest -q

test-oldest: $(OLDEST)/.ready ## what meets scikit-learn, with the oldest versions that are supported
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -q -W ignore::pytest.PytestRemovedIn10Warning \
		$(MEETING_SKLEARN:%=tests/test_%.py)

soak: $(READY) ## the same tests with larger counts
	M3FUSION_SOAK=1 SCIPY_ARRAY_API=1 OMP_NUM_THREADS=1 $(RUN) -m pytest -q

readme: $(READY) ## run the README's code blocks
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q tests/test_readme.py

lint: $(READY) ## style and mistakes that can be seen without running
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: $(READY) ## put files into the common form
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean: ## remove what the other commands made
	rm -rf $(VENV) $(OLDEST) demo build dist *.egg-info .ruff_cache .hypothesis .pytest_cache
