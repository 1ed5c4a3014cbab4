# make run, make test: all the set-up there is.  Nothing outside the checkout is changed, apt is never called.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test check format bench faults flood docs golden clean peers
.DEFAULT_GOAL := run

run: $(VENV)/core.stamp
	@$(BIN)/python -m seawall demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Seawall needs Python 3.11 or newer as '$(PYTHON)': sudo apt-get install python3, or make PYTHON=/path/to/python3.11" >&2; exit 69; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv is missing: sudo apt-get install python3-venv" >&2; exit 69; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: requirements/core.txt pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/core.txt
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "seawall.pth").write_text(str(pathlib.Path("src").resolve()) + "\n")'
	@printf '#!/bin/sh\nexec "$$(dirname "$$0")/python" -m seawall "$$@"\n' > $(BIN)/seawall && chmod 755 $(BIN)/seawall
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/core.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@

peers: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.peers fetch

test: $(VENV)/dev.stamp peers
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy --cache-dir .cache/mypy
	$(BIN)/python -m bench.docs --check

format: $(VENV)/dev.stamp
	$(BIN)/ruff format src tests bench
	$(BIN)/ruff check --fix src tests bench

bench: $(VENV)/dev.stamp peers
	$(BIN)/python -m bench

faults: $(VENV)/dev.stamp peers
	$(BIN)/python -m bench.faults
	$(BIN)/python -m bench.faults_parts

flood: $(VENV)/dev.stamp peers
	$(BIN)/python -m bench.flood

docs: $(VENV)/dev.stamp
	$(BIN)/python -m bench.docs

golden: $(VENV)/dev.stamp peers
	$(BIN)/python -m tests.golden_record

clean:
	rm -rf $(VENV) .cache .demo
