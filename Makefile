# Every target sets up what it needs: `make demo` and `make test` start from nothing but python3 (with venv) and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt

# Prints what is wrong with $(PYTHON), in one line, or nothing.
define probe_python
command -v '$(PYTHON)' >/dev/null 2>&1 || { echo "'$(PYTHON)' was not found: install Python 3.11 or newer, or run make PYTHON=/path/to/python3"; exit; }; \
'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { echo "'$(PYTHON)' is too old or does not run: Python 3.11 or newer is needed, run make PYTHON=/path/to/python3"; exit; }; \
'$(PYTHON)' -c 'import venv, ensurepip' >/dev/null 2>&1 || echo "'$(PYTHON)' has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)"
endef

.PHONY: help demo test theory swarm lint lab notebooks bench fidelity clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do printf '%-12s %s\n' "$$target" "$$text"; done

demo: $(VENV)/lab.stamp ## run the photo service, in real and in simulated time
	$(BIN)/edri-sim demo

test: lint $(VENV)/pythons.stamp ## lint, then run every test and notebook
	EDRI_TEST_PYTHONS="$$(ls -d $(CURDIR)/$(VENV)/pythons/*/bin/python 2>/dev/null | paste -sd: -)" $(BIN)/python -m pytest tests notebooks --nbval --nbval-current-env --nbval-sanitize-with notebooks/sanitize.cfg

swarm: $(VENV)/dev.stamp ## run the models for 10,000 and 1,000 seeds (ten to thirty minutes; SWARM="--flows 500 --first 10000")
	$(BIN)/python -m tests.swarm $(SWARM)

theory: $(VENV)/dev.stamp ## compare queues with theory at a utilisation of 0.95 too
	EDRI_THEORY=1 $(BIN)/python -m pytest tests/lab/test_theory.py

lint: $(VENV)/dev.stamp ## check style, types and the walls between the modules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

lab: $(VENV)/lab.stamp ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks $(as_root)

notebooks: $(VENV)/dev.stamp ## run every notebook and keep what it shows, after a change of a picture (NOTEBOOKS="notebooks/07-an-outage.ipynb")
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False $(or $(NOTEBOOKS),notebooks/*.ipynb)

bench: $(VENV)/dev.stamp ## measure against the peers, each in its own environment
	$(BIN)/python benchmarks/run.py

fidelity: $(VENV)/dev.stamp ## hold a simulation of the photo service against real runs of it (half a minute)
	$(BIN)/python benchmarks/fidelity.py

clean: ## remove the environments and the caches
	rm -rf $(VENV) benchmarks/.env .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(if $(problem),$(error $(problem)))
	'$(PYTHON)' -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/build.stamp: $(INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling editables
	touch $@

$(VENV)/%.stamp: $(VENV)/build.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt -e '.[$(extras)]'
	touch $@

# The digest must be the same on all of them. What each gets depends on the dependencies alone.
$(VENV)/pythons.stamp: $(INPUTS) tests/pythons/make.py | $(BIN)/python
	$(BIN)/python tests/pythons/make.py $(VENV)/pythons
	touch $@

# Jupyter refuses to run as root unless it is told to; in a container there is often nobody else.
lab: as_root = $(if $(filter 0,$(shell id -u)),--allow-root)
$(BIN)/python: problem = $(shell $(probe_python))
$(VENV)/lab.stamp: extras = lab,tls
$(VENV)/dev.stamp: extras = all,dev
