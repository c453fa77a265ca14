# Two commands: `make run` and `make test`. Both do all set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# the tests start some hundred processes: each that compiles the sources anew costs a third of a second
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test check lint bench lock documents clean

run: $(VENV)/run.ready
	@exec $(BIN)/python -m sandbox.run

test: $(VENV)/dev.ready
	@sh scripts/test_machine.sh
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

check: lint
	$(BIN)/python -m pytest tests/architecture -n 2

lint: $(VENV)/dev.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src sandbox tests verifier
	$(BIN)/lint-imports

bench: $(VENV)/bench.ready
	@sh scripts/test_machine.sh
	@$(BIN)/python -m bench

documents: $(VENV)/dev.ready
	$(BIN)/subs document

lock: $(VENV)/dev.ready
	sh scripts/lock.sh

$(VENV)/run.ready: requirements/runtime.txt pyproject.toml scripts/venv.sh
	@sh scripts/venv.sh "$(PYTHON)" $(VENV) runtime $@

$(VENV)/dev.ready: requirements/dev.txt pyproject.toml scripts/venv.sh
	@sh scripts/venv.sh "$(PYTHON)" $(VENV) dev $@

$(VENV)/bench.ready: requirements/bench.txt pyproject.toml scripts/venv.sh
	@sh scripts/venv.sh "$(PYTHON)" $(VENV) bench $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
