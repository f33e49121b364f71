# Copyright: aiserving.gke contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# `make demo` shows the collection on a Google Cloud on loopback; `make test` proves it.

PYTHON ?= python3
BIN := .venv/bin
LINK := .venv/collections/ansible_collections/aiserving/gke
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help env demo test lint sanity newest pytest truth chaos gameday bench google clean

help:
	@echo 'make demo     build the service in two regions on a sandbox, then fail one over'
	@echo 'make test     environment, lint, sanity and every test'
	@echo 'make lint     ruff, mypy, yamllint, ansible-lint'
	@echo 'make truth    the sandbox before judges that are not ours, and the table of docs/sandbox.md; about 8 minutes;'
	@echo '              WITHOUT=gcloud,kubectl does without judges that are not here, and keeps no table'
	@echo 'make chaos    two runs at the same moment, ten times; twenty kills; about 15 minutes'
	@echo 'make gameday  incidents under load, and docs/incidents.md; about 20 minutes'
	@echo 'make bench    what tasks, runs, builds and the load cost; about 15 minutes'
	@echo 'make google   PROJECT=... builds on a real project, step by step, told and asked before, and writes evidence'
	@echo 'make clean    stop the sandbox and remove what was made'

env: .venv/ready

.venv/ready: requirements.txt requirements-sandbox.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which with make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade --requirement requirements-dev.txt
	mkdir -p $(dir $(LINK))
	ln -sfn $(CURDIR) $(LINK)
	touch $@

demo: env
	$(BIN)/python -m sandbox start
	$(BIN)/ansible-playbook site.yml
	$(BIN)/ansible-playbook failover_drill.yml
	@echo
	@cat reports/failover.txt

# What only judges runs side by side; the tests come last and have both cores for themselves.
test: env
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint sanity newest
	$(MAKE) --no-print-directory pytest

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p sandbox -p tests -p bench -p proof -p ansible_collections.aiserving.gke.plugins
	$(BIN)/yamllint --strict .
	$(BIN)/ansible-lint --offline --strict
	$(BIN)/antsibull-changelog lint

# ansible-test wants to live in a tree named after the collection and to download pip; tests/run_sanity.py spares it both.
sanity: env
	$(BIN)/python -m tests.run_sanity

# The same collection on the newest interpreter and ansible-core of this machine, where there is a newer one.
newest: env
	$(BIN)/python -m tests.run_newest

# Most of it waits for something: three at a time on two cores, a file's tests together.
pytest: env
	$(BIN)/python -m pytest -n 3 --dist loadfile

# Which moments are hit follows from a seed, which is printed: make chaos SEED=7 hits those of 7 again.
chaos: env
	SEED=$(SEED) $(BIN)/python -m pytest tests/chaos

gameday: env
	$(BIN)/python -m pytest tests/gameday

# A judge that is not here fails it before it begins. What of `make test` counts for the table runs along.
TRUTH := tests/truth $(wildcard tests/sandbox/*/test_mistakes.py tests/sandbox/*/test_*faults.py)
truth: .venv/truth
	$(BIN)/python -m pytest -p tests.truth.table -n 2 --dist loadscope $(if $(WITHOUT),--without '$(WITHOUT)',--keep-table) $(TRUTH)

.venv/truth: .venv/ready requirements-truth.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-truth.txt
	touch $@

# kubernetes.core, to compare with, comes inside the PyPI package "ansible"; of that nothing else is kept.
PEER := .cache/bench/ansible_collections/kubernetes
$(PEER):
	$(BIN)/python -m pip install --quiet --no-deps --target .cache/bench-download 'ansible>=12'
	mkdir -p $(dir $@)
	mv .cache/bench-download/ansible_collections/kubernetes $@
	rm -rf .cache/bench-download

bench: env $(PEER)
	PYTHONPATH=.venv/collections $(BIN)/python -m bench $(BENCH)

# What a run has not removed yet is remembered in .google, which is therefore not cleaned away.
google: env
	PYTHONPATH=.venv/collections $(BIN)/python -m proof $(MAKEOVERRIDES)

clean:
	-test ! -x $(BIN)/python || $(BIN)/python -m sandbox stop
	rm -rf .sandbox .cache reports .venv .mypy_cache .ruff_cache .ansible aiserving-gke-*.tar.gz
