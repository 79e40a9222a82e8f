# Everything sets itself up: a virtual environment in $(VENV), from the pins of constraints.txt.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
OLDEST := .venv-oldest
DOCS := docs/_build/html
CLEAN := .venv-wheel
MEETING_SKLEARN := sklearn_checks calls groups search progress continuing classifier persistence onnx_export \
	multisource rows validation preprocessing gapfiller baseline model_selection metrics missing patchseries

# what the wheel must pass without the checkout
QUICK := public_names sources multisource rows patchview metrics areas model_selection \
	persistence scene store reference

# threads that wait do not spin: beside other work two of them can be ten times slower than one
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help demo picture docs wheel wheel-test test test-oldest soak bench lint format readme clean

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
	OMP_NUM_THREADS=1 $(RUN) examples/map_scene.py demo

picture: demo ## the map of README and documentation, from what demo drew
	$(RUN) docs/picture.py demo/map.png docs/images/demo_map.png

$(VENV)/.ready-docs: $(READY)
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $(VENV)/.ready-docs

docs: $(VENV)/.ready-docs ## the documentation, with its gallery, in docs/_build/html
	rm -rf docs/generated
	OMP_NUM_THREADS=1 $(RUN) -m sphinx -W --keep-going -q -b html docs $(DOCS)
	$(RUN) docs/check_links.py $(DOCS)

test: $(READY) ## all tests
	SCIPY_ARRAY_API=1 OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 --dist loadfile

test-oldest: $(OLDEST)/.ready ## what meets scikit-learn, with the oldest versions that are supported
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -q -W ignore::pytest.PytestRemovedIn10Warning \
		$(MEETING_SKLEARN:%=tests/test_%.py)

wheel: $(VENV)/.ready-docs ## sdist and wheel in dist/
	rm -rf build dist
	$(RUN) -m build --outdir dist . > /dev/null

wheel-test: wheel ## the wheel in a clean environment: metadata, quick tests
	M3FUSION_DIST=dist $(RUN) -m pytest -q tests/test_wheel.py
	$(PYTHON) -m venv --clear $(CLEAN)
	wheel=$$(ls $(CURDIR)/dist/*.whl) && $(CLEAN)/bin/python -m pip install --quiet -c constraints.txt \
		"$$wheel[raster,plot]" pytest pytest-timeout hypothesis psutil
	rm -rf build/wheel && mkdir -p build/wheel && cp -r tests pyproject.toml build/wheel
	cd build/wheel && OMP_NUM_THREADS=1 $(CURDIR)/$(CLEAN)/bin/python -m pytest -q $(QUICK:%=tests/test_%.py)
	$(CLEAN)/bin/python -m pip check

soak: $(READY) ## the same tests with larger counts
	M3FUSION_SOAK=1 SCIPY_ARRAY_API=1 OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 --dist loadfile

bench: $(READY) ## speed against the plain way: half an hour on a quiet machine
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[bench]"
	$(RUN) benchmarks/bench.py

readme: $(READY) ## run the code blocks of README and docs
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q tests/test_documents.py

lint: $(READY) ## style and mistakes that can be seen without running
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: $(READY) ## put files into the common form
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean: ## remove what the other commands made
	rm -rf $(VENV) $(OLDEST) $(CLEAN) demo build dist *.egg-info .ruff_cache .hypothesis .pytest_cache
	rm -rf docs/_build docs/gallery docs/generated docs/results examples/output output
