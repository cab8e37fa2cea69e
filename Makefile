# One command an intent. Everything runs in .venv, which the first command makes.
# Brokers are local processes, see stack/; `make stack KAFKA_BROKERS=3 RABBITMQ=4` chooses other kinds of them.

PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.9
export KAFKA_BROKERS RABBITMQ
# A dashboard whose libraries are compiled anew at each start takes three times as long to be there.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test suite lint format stack stack-down bench soak docs clean
.DEFAULT_GOAL := demo

demo: .venv/.ready  ## brokers, reference flow, monitor and dashboard on this machine; Ctrl-C stops them
	@$(PYTHON) -m stack install --for demo
	@$(BIN)/python -m stack.demo

test: .venv/.ready  ## what CI runs
	@$(PYTHON) -m stack install --for test
	@$(MAKE) --no-print-directory -j 2 lint suite

# Three processes on two cores, since most of the time tests wait for brokers.
suite: .venv/.ready
	$(BIN)/python -m tests.suite -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST)

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stack: .venv/.ready  ## just the brokers; addresses in .stack/endpoints.json
	@$(PYTHON) -m stack install --for demo
	@$(BIN)/python -m stack up

stack-down:
	@$(BIN)/python -m stack down

bench: .venv/.ready  ## the figures, as tables: make bench, or make bench ONLY=kafka,aws
	@$(PYTHON) -m stack install --for test
	ONLY=$(ONLY) $(BIN)/python -m benchmarks

soak: .venv/.ready  ## one long proof: make soak NAME=churn
	@$(PYTHON) -m stack install --for test
	$(BIN)/python -m benchmarks.soak $(NAME)

docs: .venv/.ready  ## the generated documents and pictures
	$(BIN)/python -m monitor.exposition.catalogue > docs/metrics.md
	$(BIN)/python -m tests.dashboards.pictures
	$(BIN)/python -m dashboards.grafana
	$(BIN)/eventflow rules --format prometheusrule > deploy/kubernetes/rules.yaml

clean: stack-down
	rm -rf .venv .stack* .mypy_cache .pytest_cache .ruff_cache .hypothesis artifacts

.venv/.ready: pyproject.toml uv.lock
	@$(PYTHON) -m stack install --for venv
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the locked Python packages into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv sync --quiet --frozen
	@touch $@
