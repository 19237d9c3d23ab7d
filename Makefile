# Two commands do all the set-up on a fresh machine with Python 3.11 or newer, git and make:
#   make demo    install, search on the digits data, write the report (under 10 minutes)
#   make test    install, all checks and tests
# `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Two workers suit two cores; each keeps to one thread (tests/conftest.py).
TEST_WORKERS ?= 2
TEST_FLAGS ?=

DEMO := demo
DEMO_FLAGS ?= --model convnet --data digits --minutes 6
OPEN ?= 1

.PHONY: help install test lint format demo nightly clean
.DEFAULT_GOAL := help

help:
	@echo 'make install   create $(VENV) and install Syno with its tools (nothing to do the second time)'
	@echo 'make test      install, lint, then all tests'
	@echo 'make lint      ruff, mypy --strict, import-linter'
	@echo 'make format    let ruff put the files into shape'
	@echo 'make demo      install, search for an operator on the digits data, write $(DEMO)/report.html'
	@echo 'make nightly   the longer checks that make test leaves out'
	@echo 'make clean     remove what the tools and the demo wrote; keeps $(VENV)'

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo 'Syno needs Python 3.11 or newer; there is no "$(PYTHON)" here. Install one, or name it: make install PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Syno needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make install PYTHON=python3.11" >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) || { \
		echo 'No virtual environment could be made. On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Installing Syno and what it needs into $(VENV): a few minutes the first time.'
	$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev]'
	@touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports --no-logo

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The checks run first and the tests last, so that pytest's closing line ends the output.
test: lint
	$(BIN)/python -m pytest -n $(TEST_WORKERS) $(TEST_FLAGS)

nightly: install
	$(BIN)/python -m pytest -n $(TEST_WORKERS) -m nightly $(TEST_FLAGS)

# The same command continues a demo that was interrupted; `make clean` begins anew.
demo: install
	@mkdir -p $(DEMO)
	$(BIN)/syno search $(DEMO_FLAGS) --study $(DEMO)/study.db
	$(BIN)/syno report --study $(DEMO)/study.db --out $(DEMO)/report.html
	@echo "The report is $(CURDIR)/$(DEMO)/report.html"
	@if [ '$(OPEN)' = 1 ] && [ -z "$$CI" ] && [ -t 1 ] && \
		{ [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ]; }; then \
		$(BIN)/python -m webbrowser -t "file://$(CURDIR)/$(DEMO)/report.html" || true; fi

clean:
	rm -rf $(DEMO) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
