# Two commands for a newcomer: `make demo` and `make test`. Each does all its own set-up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.labtool

.PHONY: help demo venv test unit integration lint format bench fuzz clean

help:
	@echo "make demo         the whole story on this machine, no root, no server"
	@echo "make test         every test: unit and integration (sets up Docker where it may)"
	@echo "make unit         the tests that need nothing but Python"
	@echo "make integration  real roles over real SSH into real containers"
	@echo "make lint         ruff, mypy, yamllint, ansible-lint"
	@echo "make fuzz         hostile input for whatever reads bytes from the network"
	@echo "make bench        the figures: start-up, a second deployment, parsing"

$(STAMP): pyproject.toml scripts/venv.sh
	@PYTHON="$(PYTHON)" sh scripts/venv.sh "$(VENV)"
	@touch $(STAMP)

venv: $(STAMP)

demo: $(STAMP)
	@$(BIN)/labtool demo

test: unit integration

unit: $(STAMP)
	$(BIN)/python -m pytest tests/unit

integration: $(STAMP)
	$(BIN)/python -m pytest tests/integration

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline --profile production

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# Coverage-guided; FUZZ_SECONDS=600 for longer. Prints how many inputs it ran.
FUZZ_SECONDS ?= 60
fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet 'atheris>=3'
	$(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .ansible
