# Each target sets up what it needs: uv, Python 3.10, the locked environment in .venv.
RUN ?= runs/demo
SAMPLES ?= 8
SEEDS ?= 5
PYTHON := .venv/bin/python
BACKENDS := reference_float lava_float lava_fixed
export PYTHONUNBUFFERED := 1
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: demo release results test test-fast test-machines coverage mutate lint api setup clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   train on the embedded benchmark, export to NIR, run in Lava (RUN=$(RUN))"
	@echo "make release   the demo again, and its files in mdft/released, with a model card"
	@echo "make results   compare all systems on both benchmarks (hours; resumes; SEEDS=$(SEEDS))"
	@echo "make test-fast   the tests for the inner loop: no Lava, no other process, nothing slow"
	@echo "make test   the whole test suite"
	@echo "make test-machines   what could depend on the processor, on six emulated ones"
	@echo "make coverage   the suite again, with its branch coverage; under 90 % is an error"
	@echo "make mutate FILE=mdft/gzsl.py   change the file a little, a hundred times: who notices?"
	@echo "make lint   ruff and pyright"
	@echo "make api    the API reference, site/index.html"

setup: .venv/.locked

.venv/.locked: uv.lock pyproject.toml .python-version
	@uv=$$(.ci/uv) && { "$$uv" sync --locked && touch $@ || { echo "set-up: failed as said above;" \
	    "if uv could not fetch Python 3.10, install it (pyenv install 3.10) and make again" >&2; \
	    exit 1; }; }

# The same scores on every x86-64 processor with AVX2; elsewhere they differ by some points.
demo: setup
	@OMP_NUM_THREADS=1 $(PYTHON) -m mdft.train --out $(RUN) --resume \
	    $$($(PYTHON) -m mdft.distributed.reproducible)
	@$(PYTHON) -m export.to_nir $(RUN) --samples $(SAMPLES)
	@for backend in $(BACKENDS); do for pathway in audio visual; do \
	    $(PYTHON) -m hardware.run $(RUN)/motion_$$pathway.nir $(RUN)/probe.npz \
	        --backend $$backend --runtime process --json $(RUN)/parity_$${backend}_$$pathway.json || exit; \
	done; done
	@$(PYTHON) -m export.summary $(RUN)

release:
	@$(MAKE) demo RUN=runs/released SAMPLES=4
	@$(PYTHON) -m export.release runs/released mdft/released

# One call for all reports; a run that is in their .csv files is not repeated. The last four are of
# variants: MDFT with an MLP for the spiking network, and with a ridge regression beside it, and
# baselines with the batch sizes of their authors' code.
results: setup
	@$(PYTHON) -m mdft.compare embedded --data-seeds 3 --seeds $(SEEDS) --epochs 48 --patience 10 \
	    --out runs/compare/embedded --table docs/results.md
	@$(PYTHON) -m mdft.compare order --data-seeds 3 --seeds $(SEEDS) --patience 10 \
	    --compare-inputs features+events features \
	    --out runs/compare/order --table docs/results_order.md
	@$(PYTHON) -m mdft.compare embedded --data-seeds 3 --seeds $(SEEDS) --epochs 48 --patience 10 \
	    --compare-inputs features+events --only mdft --model.motion.network mlp \
	    --out runs/compare/embedded_mlp --table docs/results_mlp.md
	@$(PYTHON) -m mdft.compare order --data-seeds 3 --seeds $(SEEDS) --patience 10 \
	    --compare-inputs features+events --only mdft --model.motion.network mlp \
	    --out runs/compare/order_mlp --table docs/results_order_mlp.md
	@$(PYTHON) -m mdft.compare embedded --data-seeds 3 --seeds $(SEEDS) --epochs 48 --patience 10 \
	    --compare-inputs features whitened-features --only mdft --model.ridge 0.05 \
	    --out runs/compare/embedded_ridge --table docs/results_ridge.md
	@$(PYTHON) -m mdft.compare embedded --data-seeds 3 --seeds $(SEEDS) --epochs 48 --patience 10 \
	    --compare-inputs features+events --only avgzslnet avca clipclap mdft \
	    --baseline.avgzslnet.batch-size 256 --baseline.avca.batch-size 256 \
	    --baseline.clipclap.batch-size 64 \
	    --out runs/compare/embedded_batch --table docs/results_batch.md

# One thread each: the suite itself runs on every core.
test: setup
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n auto

# For the inner loop: what is left out needs Lava, starts other processes or takes ten seconds.
test-fast: setup
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n auto -m "not slow and not lava and not subprocess"

test-machines: setup
	@$(PYTHON) -m tests.machines

coverage: setup
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n auto --cov --cov-report=term

# Mutants are counted in mutants/; those that survive are listed, and shown by `mutmut show NAME`.
mutate: setup
	@test -f "$(FILE)" || { echo "FILE=$(FILE): no such file; name one of only_mutate in" \
	    "pyproject.toml, such as FILE=mdft/gzsl.py" >&2; exit 2; }
	@OMP_NUM_THREADS=1 .venv/bin/mutmut run "$(subst /,.,$(basename $(FILE))).*"
	@.venv/bin/mutmut results

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/pyright

# pdoc prints its warnings and goes on; here they are errors. Children of ours, and classes of
# Lava's, are no API.
api: setup
	@said=$$(PDOC_ALLOW_EXEC=1 $(PYTHON) -m pdoc --docformat google --output-directory site \
	    mdft export events hardware !hardware.lava.child !hardware.lava.guard \
	    !hardware.lava.processes 2>&1) && [ -z "$$said" ] || { echo "$$said" >&2; exit 1; }
	@echo site/index.html

clean:
	rm -rf .venv .tools runs site
