# `make demo` and `make test` work on a fresh machine with Python >= 3.11, git and make.
PYTHON_IN_VENV := .venv/bin/python
# More for pytest: make test ARGS="-k evaluation"
ARGS ?=
# A file's tests stay on one core, as they share what takes long to make.
DISTRIBUTED := --dist loadfile --no-loadscope-reorder

.PHONY: help demo test bench docs figures wheel clean
help:
	@echo "make demo    set up .venv, run the whole job on simulated features, end with a table and a report"
	@echo "make test    set up .venv, run all checks and tests"
	@echo "make bench   measure speed and memory (benchmarks/)"
	@echo "make docs    build the documentation's site into site/ (docs/, zensical.toml)"
	@echo "make figures run the demo and draw docs/images/ from it"
	@echo "make wheel   build dist/duetal-*.whl"
	@echo "make clean   remove .venv, caches and the demo's output"

demo: .venv/setup-demo
	$(PYTHON_IN_VENV) examples/demo.py

test: .venv/setup-dev
	$(PYTHON_IN_VENV) -m pytest --numprocesses auto --maxprocesses 4 $(DISTRIBUTED) $(ARGS)

bench: .venv/setup-dev
	@for script in benchmarks/[!_]*.py; do \
		echo "== $$script"; $(PYTHON_IN_VENV) "$$script" || exit 1; \
	done

docs: .venv/setup-dev
	$(PYTHON_IN_VENV) scripts/settings_page.py
	$(PYTHON_IN_VENV) -m zensical build --clean --strict

figures: .venv/setup-dev
	$(PYTHON_IN_VENV) examples/demo.py
	$(PYTHON_IN_VENV) scripts/draw_figures.py demo/run demo/dataset docs/images
	$(PYTHON_IN_VENV) scripts/review_pictures.py docs/images

# Without isolation: with the backend that is installed, and no network.
wheel: .venv/setup-dev
	$(PYTHON_IN_VENV) -m pip wheel --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf .venv node_modules demo dist notebook site .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# setup.sh touches these files last, so that an interrupted setup is done again.
.venv/setup-demo .venv/setup-dev: .venv/setup-%: pyproject.toml package-lock.json scripts/setup.sh
	@PYTHON="$(PYTHON)" scripts/setup.sh $*
