# Everything runs in .venv, which is made on first use. PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin
SAMPLE := data/sample

.PHONY: demo test lint bench soak

.venv/core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

.venv/dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[torch,render,large,raw,watch,server,dev]'
	touch $@

demo: .venv/core  ## index the sample, search it, evaluate, write demo/index.html
	$(BIN)/finesight demo $(SAMPLE) --out demo --model mini

test: .venv/dev  ## all tests, a file at a time on every core
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: .venv/dev  ## style, types, and the arrows between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: .venv/dev  ## kill indexing 200 times, with readers beside it; nothing may be lost
	$(BIN)/python benchmarks/index_soak.py 200

bench: .venv/dev  ## the time a search takes, and how fast indexing is
	$(BIN)/python benchmarks/search_start.py
	$(BIN)/python benchmarks/index_throughput.py
	$(BIN)/python benchmarks/reindex.py
	$(BIN)/python benchmarks/query_latency.py --quick
