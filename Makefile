# The first target on a fresh machine makes .venv out of requirements/all.txt and then goes on.

PYTHON_NEEDED := 3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

LOWEST := $(VENV)-lowest

.PHONY: demo test check lowest serve docs bench snapshots soak mutants lock clean

demo: $(READY)
	$(BIN)/python examples/demo.py

test: $(READY)
	@echo "Every test, in less than half an hour on two quiet cores: processes are killed, disks filled, the power is cut."
	$(BIN)/python -m pytest -n 2

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The lowest versions that pyproject.toml declares, under what has most to do with other packages.
lowest: $(LOWEST)/.ready
	PYTHONPATH=$(CURDIR) $(LOWEST)/bin/python -m pytest -n 2 -p no:cacheprovider \
		tests/models tests/catalogue tests/cli/test_models.py tests/cli/test_every_command.py tests/cli/test_busy_server.py \
		tests/cli/test_completion.py tests/cli/test_config.py tests/cli/test_logs.py tests/api/test_metrics.py \
		tests/api/test_models.py tests/api/test_reach.py tests/api/test_clients.py tests/api/test_keys.py tests/access \
		tests/training/test_tabular.py tests/training/test_anomaly.py

serve: $(READY)
	$(BIN)/ai-engine serve

docs: $(READY)
	$(BIN)/python docs/generate.py $(if $(CI),--check)
	$(BIN)/python docs/explain_numbers.py $(if $(CI),--check)

bench: $(READY)
	$(BIN)/python -m benchmarks

snapshots: $(READY)
	$(BIN)/python -m tests.snapshots

soak: $(READY)
	AI_ENGINE_SOAK_ROUNDS=2000 AI_ENGINE_POWER_CUTS=10 $(BIN)/python -m pytest -n 2 --timeout 7200 \
		tests/faults tests/processes
	$(BIN)/python -m tests.mutants --sample 60

# Break lines of the core, and tell which of them no test notices: all of them takes a day, a SAMPLE less.
mutants: $(READY)
	$(BIN)/python -m tests.mutants $(if $(SAMPLE),--sample $(SAMPLE)) $(MODULES)

# What is installed is what is locked: no host stands in the files, and every archive has its digest.
# The three are for the tests, for the tests with the lowest versions, and for who runs it (deploy/Containerfile).
LOCKED = $(BIN)/uv pip compile pyproject.toml --extra train --universal --python-version $(PYTHON_NEEDED) \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	--upgrade --quiet

lock: $(READY)
	@test -x $(BIN)/uv || $(PIP) install --quiet uv
	$(LOCKED) --group dev --output-file requirements/all.txt
	$(LOCKED) --group test --resolution lowest-direct --output-file requirements/lowest.txt
	$(LOCKED) --output-file requirements/train.txt

clean:
	rm -rf $(VENV) $(LOWEST) .demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): requirements/all.txt pyproject.toml
	@python=$$(for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
		command -v $$name >/dev/null 2>&1 || continue; \
		$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; \
	done); \
	if [ -z "$$python" ]; then \
		echo "Python $(PYTHON_NEEDED) or newer is needed, and none is on the PATH." >&2; exit 1; \
	fi; \
	if ! $$python -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "$$python lacks the venv module; on Debian: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	test -x $(BIN)/python || $$python -m venv $(VENV)
	@echo "Installing what requirements/all.txt locks into $(VENV); this takes a minute or two."
	@$(PIP) install -qq --require-hashes --requirement requirements/all.txt
	@$(PIP) install -qq --no-deps --no-build-isolation --no-index --editable .
	@touch $(READY)

$(LOWEST)/.ready: requirements/lowest.txt $(READY)
	@echo "Installing what requirements/lowest.txt locks into $(LOWEST); this takes a minute."
	@$(BIN)/python -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python -m pip --disable-pip-version-check --no-input install -qq --require-hashes \
		--requirement requirements/lowest.txt
	@touch $@
