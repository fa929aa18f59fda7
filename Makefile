# make demo   plays the tune in examples/twinkle.mid in the style of a performance, and says where the MIDI is
# make test   lint, types and tests
# make slow   the tests that take longer: longer training, two processes
# make samples MAESTRO=data/maestro-v3.0.0   plays the README's samples again, into docs/samples
# Each is enough by itself on a fresh machine with Python 3.11 or newer; samples needs MAESTRO too. PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
VENV ?= .venv
STYLE ?= examples/styles/satie_gymnopedie.mid
MELODY ?= examples/twinkle.mid
OUT ?= out/demo.mid
SEED ?= 1

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

.PHONY: help demo test lint types check slow examples samples clean

help:
	@sed -n 's/^# \(make\)/\1/p' Makefile

demo: $(INSTALLED)
	@mkdir -p $(dir $(OUT))
	$(BIN)/musicstyle generate --style $(STYLE) --melody $(MELODY) --out $(OUT) --seed $(SEED) --force
	@echo "The tune $(MELODY) in the style of $(STYLE): $(abspath $(OUT))"

test: lint types check

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED_DEV)
	$(BIN)/mypy

check: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -q -n auto

slow: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -q -m slow

examples: $(INSTALLED)
	$(BIN)/python examples/make_performances.py

samples: $(INSTALLED)
	$(BIN)/python examples/samples.py $(MAESTRO)

# The stamps are newer than what they were made from, so that a second run installs nothing.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "musicstyle needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(INSTALLED_DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(INSTALLED) $@

clean:
	rm -rf $(VENV) out .mypy_cache .pytest_cache .ruff_cache
