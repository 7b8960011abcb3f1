# What a person types. Needs make and Python 3.11, 3.12 or 3.13; everything else is installed into .venv.
#   make demo           the whole platform with one table on its way through it (ARGS=--exit ends with the pipeline)
#   make up             the platform until Ctrl-C
#   make test           the tests (ARGS=path/to/test.py chooses)
#   make test-long      what make test leaves out: more cases of what it shows once
#   make check          format, lint, types, and what Dagster loads
#   make test-kafka     the messaging, flow and end-to-end tests on a real Apache Kafka (needs Java and Maven)
#   make test-mixtures  every mixture of our roles and foreign ones, on Apache Kafka
#   make test-engines   every engine that is installed, in an interpreter of its own or not (make autosklearn installs one)
#   make test-faults    datasets flow while processes are killed and frozen (ARGS=--short for a few minutes; Linux)
#   make bench-latency  from event to running step, beside Dagster's defaults and plain consumers (a quarter of an hour)
#   make bench-growth   the same with 1,000 and 10,000 datasets in the catalogue
#   make bench-automl   our engines beside plain models on the tables of ../shared/data (ARGS="--seconds 10 --seeds 3"; resumes)
#   make bench-bias     the bias report beside fairlearn and AIF360, and as rows and columns grow (half an hour)
#   make bench-ingest   upload and download of 2 GB beside DuckDB's bare COPY, and the memory they take
#   make bench-xai      whole explanations beside plain shap (ARGS=--short; ARGS="--venv PATH" adds other libraries)
#   make docs           docs/configuration.md, docs/asyncapi.json and the pages about bias from what they describe
#   make autosklearn    auto-sklearn, in an interpreter of its own (needs Python 3.9 or 3.10)
#   make lock           choose versions anew (needs uv)
#   make clean          remove .venv and caches; .mlpipe with its data stays

# Some machines forbid bytecode by a variable; every process would compile what it imports, and the tests all their files.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --no-compile

.PHONY: demo up test test-long check docs lock clean

demo: .venv/.runtime
	$(BIN)/mlpipe demo $(ARGS)

up: .venv/.runtime
	$(BIN)/mlpipe up

test: .venv/.development
	$(BIN)/python -m pytest -m 'not faults and not long' $(ARGS)

test-long: .venv/.development
	$(BIN)/python -m pytest -m 'long and not faults' $(ARGS)

check: .venv/.development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/dagster definitions validate -w workspace.yaml

# A lock that changed is installed again. The development lock holds the runtime lock, in the same versions.
.venv/.runtime: requirements.lock $(BIN)/mlpipe
	$(PIP) -r requirements.lock
	$(compile)
	@touch $@

.venv/.development: requirements-dev.lock requirements.lock $(BIN)/mlpipe
	$(PIP) -r requirements-dev.lock
	$(compile)
	@touch .venv/.runtime $@

# The project itself: a path file, its name and version for importlib.metadata, and a script. An editable installation
# would need build tools, which neither the lock nor a venv of Python 3.12 has.
define LINK
import pathlib, re, shutil, sysconfig
site = pathlib.Path(sysconfig.get_path("purelib"))
version = re.search(r'version="([^"]+)"', pathlib.Path("setup.py").read_text())[1]
(site / "mlpipe.pth").write_text(f"{pathlib.Path.cwd()}\n")
for older in site.glob("mlpipe_dagster-*.dist-info"):
    shutil.rmtree(older)
info = site / f"mlpipe_dagster-{version}.dist-info"
info.mkdir()
(info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mlpipe-dagster\nVersion: {version}\n")
endef
export LINK

$(BIN)/mlpipe: Makefile setup.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo 'mlpipe needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)' >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python -c "$$LINK"
	@printf '#!/bin/sh\nexec "%s/python" -m mlpipe_dagster.cli "$$@"\n' '$(CURDIR)/$(BIN)' > $@
	@chmod +x $@

# Bytecode once, in parallel: uncompiled packages cost every process a second. Some packages ship files that no Python 3
# compiles; they are never imported.
define compile
	@echo 'Compiling bytecode …'
	@$(BIN)/python -m compileall -q -j 0 .venv/lib mlpipe_dagster >/dev/null 2>&1 || true
endef

.PHONY: bench-latency bench-growth bench-ingest bench-automl bench-bias bench-xai
bench-automl: .venv/.development
	$(BIN)/python -m mlpipe_dagster_tests.benchmarks.automl.run $(ARGS)

bench-latency: .venv/.development
	$(BIN)/python -m mlpipe_dagster_tests.benchmarks.latency.run $(ARGS)

bench-ingest: .venv/.development
	$(BIN)/python -m mlpipe_dagster_tests.benchmarks.ingest $(ARGS)

bench-bias: .venv/.development
	$(BIN)/python -m mlpipe_dagster_tests.benchmarks.bias $(ARGS)

bench-xai: .venv/.development
	PYTHONPATH=. $(BIN)/python -m mlpipe_dagster_tests.benchmarks.explanations $(ARGS)

bench-growth: .venv/.development
	$(BIN)/python -m mlpipe_dagster_tests.benchmarks.growth $(ARGS)

.PHONY: autosklearn
autosklearn: .venv/.runtime
	$(BIN)/mlpipe engines install autosklearn

# One after another: an engine that goes by the clock needs the machine for itself.
.PHONY: test-engines
test-engines: .venv/.development
	$(BIN)/python -m pytest -n 0 mlpipe_dagster_tests/automl/test_engines.py mlpipe_dagster_tests/defs/test_flow_engines.py $(ARGS)

docs: .venv/.runtime
	$(BIN)/python -m mlpipe_dagster.settings_table > docs/configuration.md
	$(BIN)/python -m mlpipe_dagster.asyncapi > docs/asyncapi.json
	$(BIN)/python -m mlpipe_dagster.bias.pages docs
	$(BIN)/python -m mlpipe_dagster.automl.fairness.pages docs

lock:
	uv pip compile setup.py --universal --python-version 3.11 --generate-hashes --no-header --quiet \
		--output-file requirements.lock
	uv pip compile setup.py --extra dev --constraints requirements.lock --universal --python-version 3.11 \
		--generate-hashes --no-header --quiet --output-file requirements-dev.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find mlpipe_dagster mlpipe_dagster_tests -name __pycache__ -prune -exec rm -rf {} +

include mlpipe_dagster_tests/kafka.mk
