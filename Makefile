# Two commands do everything on a bare Debian with Python 3.11, git and make:
#   make demo   installs and runs the main job: the volume experiment in both frameworks
#   make test   installs and passes the tests (what .ci/run does)
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test test-slow pages lab export blocks chapters bench bench-sweep bench-training fuzz record sabotage divergence clean bench-value valuation prior

help: ## show these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

# One environment with everything, made once and again when the packaging facts change.
$(READY): settings.ini setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, ensurepip; assert sys.version_info >= (3, 11)' || { \
	  echo "Python 3.11 with venv must be installed. Hint: apt-get install python3 python3-venv, or make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): about 2 GB, some minutes"
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25'
	$(BIN)/python -m pip install --progress-bar off --quiet -c constraints.txt -e '.[all]'
	@echo "$(CURDIR)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/bigdata_ai_checkout.pth" # nbdev-export finds nbs.docments
	@touch $(READY)

demo: $(READY) ## install, run the volume experiment in PyTorch and TensorFlow, print the verdicts, write the report
	$(BIN)/bigdata-ai run volume --full

test: $(READY) ## install, then all tests that CI runs
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal --durations 12

test-slow: $(READY) ## the longer tests
	$(BIN)/python -m pytest -m slow

pages: $(READY) ## write nbs/pages: types, names and files at every door, Spark, own notebooks, keys of a .toml
	$(BIN)/python tests/declaration.py
	$(BIN)/python tests/matrix.py
	$(BIN)/python tests/matrix_spark.py
	$(BIN)/python tests/matrix_notebooks.py

lab: $(READY) ## JupyterLab on the course
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) nbs/course

export: $(READY) ## write bigdata_ai/*.py from the notebooks and clean them
	$(BIN)/nbdev-export
	$(BIN)/nbdev-clean

blocks: $(READY) ## bring the generated blocks of README and notebooks up to date
	$(BIN)/python -c "from pathlib import Path; from bigdata_ai.experiment.report import update_blocks; [print(\"updated\", p) for g in (\"*.md\", \"nbs/**/*.ipynb\") for p in sorted(Path().glob(g)) if update_blocks(p)]"

chapters: $(READY) ## run every chapter again at its stored size and show where outputs differ (slow; CHAPTERS="00 11", CHAPTERS="--store 00")
	OMP_NUM_THREADS=1 $(BIN)/python tests/chapters.py $(CHAPTERS)

bench: $(READY) ## speed of the data half side by side with others, and how it grows (about 10 minutes; --quick: BENCH=--quick)
	$(BIN)/python -W ignore tests/benchmarks/data.py $(BENCH)

bench-sweep: $(READY) ## speed of a sweep side by side with a plain papermill loop (about 10 minutes; BENCH=--quick)
	$(BIN)/python -W ignore tests/benchmarks/sweep.py $(BENCH)

bench-value: $(READY) ## learning curves extended, and the advisor against buying (about 40 minutes; BENCH=--quick)
	$(BIN)/python -W ignore tests/benchmarks/curves.py $(BENCH)
	$(BIN)/python -W ignore tests/benchmarks/advisor.py $(BENCH)

bench-training: $(READY) ## speed of training side by side with hand-written loops and libraries (installs those; BENCH=--quick)
	$(BIN)/python -m pip install --progress-bar off --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python -m pip uninstall --quiet --yes torchvision # comes with fastai, breaks Lightning beside this torch, and is needed by neither
	$(BIN)/python -W ignore tests/benchmarks/training.py $(BENCH)

record: $(READY) ## run the full volume experiment and record it in data/evidence/ (needs a clean commit)
	$(BIN)/bigdata-ai run volume --full
	$(BIN)/bigdata-ai report --record

sabotage: $(READY) ## damage every experiment in nine ways and see whether it is noticed (about 15 minutes; SABOTAGE=--quick, or --record)
	@status=0; for name in $(patsubst nbs/experiments/%.toml,%,$(wildcard nbs/experiments/*.toml)); do \
	  echo "== $$name"; $(BIN)/bigdata-ai sabotage $$name $(SABOTAGE) || status=1; done; exit $$status

valuation: $(READY) ## set rankings of rows side by side over 20 seeds and write data/evidence/valuation.csv (about 5 minutes)
	$(BIN)/python -W ignore -c "import pandas as pd; from bigdata_ai.core import data_path, write_atomic; from bigdata_ai.data.catalog import load; from bigdata_ai.value.valuation import compare; write_atomic(data_path() / 'evidence' / 'valuation.csv', pd.concat([compare(load(name), trees=100) for name in ('breast_cancer', 'digits', 'mnist_5k')]).to_csv(index=False, float_format='%.4g'))"

prior: $(READY) ## train the ensemble behind value.curves.extrapolate anew on LCDB 1.1 and write data/curve_prior.npz (about 15 minutes)
	$(BIN)/python -W ignore -c "import numpy as np; from bigdata_ai.core import data_path; from bigdata_ai.value.prior import train; np.savez(data_path() / 'curve_prior.npz', **train(show_progress=True)[0])"

fuzz: $(READY) ## let atheris look for texts that break a parser of the kit's own (10 minutes; SECONDS=60; finds stand in _fuzz/)
	$(BIN)/python -m pip install --progress-bar off --quiet -c constraints.txt -e '.[fuzz]'
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore tests/fuzz.py $(or $(SECONDS),600)

divergence: $(READY) ## walk PyTorch and TensorFlow down the same paths and write how far they end apart (about 4 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -c "from bigdata_ai.core import data_path, write_atomic; from bigdata_ai.train.parity import divergence, tasks; write_atomic(data_path() / 'evidence' / 'divergence.csv', divergence(tasks()).to_csv(index=False, float_format='%.3g'))"

clean: ## remove the environment and all runs
	rm -rf $(VENV) _runs build dist *.egg-info
