# Two commands do everything: `make run` and `make test`. Both set up .venv when it is needed.
PYTHON ?= python3
BIN := .venv/bin
CORES ?= 8
# Python compiles the files that it imports. Let it keep them, and do not wait for pip to compile all of torch.
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile

.PHONY: run test test-slurm soak lint format docs weights bench bench-scale tensorboard unlock clean help

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

.venv/installed: envs/requirements.txt
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) -r envs/requirements.txt
	touch $@

.venv/installed-dev: .venv/installed envs/requirements-dev.txt
	$(PIP_INSTALL) -r envs/requirements-dev.txt
	touch $@

run: .venv/installed  ## Run the whole workflow on the embedded phantom data
	$(BIN)/snakemake --cores $(CORES) --resources gpu=1

test: .venv/installed-dev  ## Lint, type-check and test
	$(MAKE) lint
	$(BIN)/pytest -n 2 --dist worksteal tests

test-slurm: .venv/installed-dev  ## Run the phantom chain through a one-node SLURM started here (root, Debian)
	$(PIP_INSTALL) -r envs/requirements-cluster.txt
	tests/slurm/run.sh

soak: .venv/installed-dev  ## Kill the cache's job at random moments, again and again (minutes)
	$(BIN)/python tests/soak/kills.py

lint: .venv/installed-dev  ## Check style, types and the workflow's own lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy
	PYTHONPATH=workflow $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/snakemake --lint

format: .venv/installed-dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow/rules

docs: .venv/installed-dev  ## Write config/README.md and schema.json
	$(BIN)/python workflow/scripts/describe_config.py

WEIGHTS := results/weights/results/runs
WEIGHTS_FOLDS = $(shell sed -n 's/^folds: \[\(.*\)\]/\1/p' config/weights.yaml | tr -d ,)
weights: .venv/installed  ## Train the models in weights/ anew, from the phantom alone
	$(PIP_INSTALL) -r envs/requirements-export.txt
	$(BIN)/snakemake --cores $(CORES) --resources gpu=1 --directory results/weights \
	    --configfile config/weights.yaml -- results/runs/sieve/fold0/model.pt \
	    $(foreach fold,$(WEIGHTS_FOLDS),results/runs/large/fold$(fold)/model.onnx)
	cp $(WEIGHTS)/sieve/fold0/model.pt weights/sieve.pt
	set -e; for fold in $(WEIGHTS_FOLDS); do \
	    $(BIN)/python workflow/scripts/shrink_model.py $(WEIGHTS)/large/fold$$fold/model.pt weights/fold$$fold.pt; \
	    cp $(WEIGHTS)/large/fold$$fold/model_card.md weights/fold$$fold.md; \
	done

BENCH ?= --out docs/benchmarks.md
bench: .venv/installed-dev  ## Measure speed and memory, write docs/benchmarks.md
	$(BIN)/python benchmarks/run.py $(BENCH)

bench-scale: .venv/installed-dev  ## Measure runs with 888 series and how CTs are read (as root), write docs/scale.md and docs/reading.md
	$(BIN)/python benchmarks/scale.py --out docs/scale.md
	$(BIN)/python benchmarks/reading.py --out docs/reading.md

tensorboard: .venv/installed  ## Show the training logs
	$(BIN)/tensorboard --logdir results/tensorboard

unlock: .venv/installed  ## After a crash of the machine: release the folder
	$(BIN)/snakemake --unlock

clean:  ## Delete all results
	rm -rf results/* .snakemake
