# mailward: `make run` tries it, `make test` proves it. See README.md.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MINIMUM := import sys; sys.exit("mailward needs Python 3.11 or newer; try make PYTHON=python3.11") if sys.version_info < (3, 11) else None

.PHONY: setup setup-dev run demo-servers docs docs-reference docs-images test check unit fuzz interleavings bench bench-quick bench-setup fmt test-all lock man install uninstall clean

MINUTES ?= 1
CONFIG ?= examples/loopback.toml
DEMO ?=

setup: $(VENV)/.run-ready
setup-dev: $(VENV)/.dev-ready

$(VENV)/.created:
	@$(PYTHON) -c '$(MINIMUM)'
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment: on Debian run 'apt-get install make python3-venv'" >&2; exit 1; }
	@touch $@

$(VENV)/.run-ready: $(VENV)/.created requirements/build.txt requirements/run.txt requirements/embedded.txt pyproject.toml mailbox/pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/build.txt -r requirements/run.txt -r requirements/embedded.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . -e mailbox
	@touch $@

$(VENV)/.dev-ready: $(VENV)/.run-ready requirements/dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

run: setup
	@$(BIN)/python -m mailward.app.selfsigned .run
	@if [ -n "$(DEMO)" ]; then $(BIN)/python examples/demo.py $(CONFIG) .run; fi
	@exec $(BIN)/mailward serve --config $(CONFIG) --data .run

demo-servers: setup
	@exec $(BIN)/python examples/demo_servers.py

check: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q --ignore=tests/real

unit: setup-dev
	$(BIN)/pytest -q --ignore=tests/real

test: setup-dev
	@sh tests/real/install.sh
	$(BIN)/pytest -q

# Every parser against mutants of its corpus; the guard against its oracle, with dice. Both say how
# far they came, and stop by themselves.
fuzz: setup-dev
	$(BIN)/python -m tests.fuzz.at_length $(MINUTES)

interleavings: setup-dev
	$(BIN)/python -m tests.guard.interleavings $(MINUTES)

# Everything that is promised about speed and memory, beside its peers; see bench/README.md.
bench: setup-dev bench-setup
	$(BIN)/python -m bench.run

bench-quick: setup-dev bench-setup
	$(BIN)/python -m bench.run --quick

bench-setup:
	@sh bench/install.sh

fmt: setup-dev
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format .

# The documentation as a site in build/site, by a tool in an environment of its own.
docs: build/.docs-ready
	build/docs-venv/bin/zensical build --strict
	@! grep -rE --include='*.html' '<(script|link|img)[^>]*(src|href)="https?://' build/site # the privacy of readers

build/.docs-ready: $(VENV)/.created requirements/docs.txt
	@mkdir -p build
	@$(PYTHON) -m venv build/docs-venv
	build/docs-venv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

# The tables in docs/reference, from the code, and in docs/performance.md, from bench/results/full.
docs-reference: setup-dev
	$(BIN)/python -m tests.docs.tables

# The pictures in docs/images: a daemon is attacked on loopback (Debian, as root).
docs-images: setup-dev
	@sh tests/real/install.sh demo
	$(BIN)/python examples/screenshots.py docs/images

# Every Python 3.11 to 3.13 that is found, each in an environment of its own.
test-all:
	@set -e; for version in 3.11 3.12 3.13; do \
	  if python$$version -c 'pass' 2>/dev/null; then \
	    echo "== Python $$version"; $(MAKE) test PYTHON=python$$version VENV=.venv-$$version; \
	  else echo "== Python $$version: not found, left out"; fi; done

# Pin anew: every requirement with the hashes of all its wheels, no addresses.
lock:
	@for name in $(addprefix requirements/,build run embedded dev docs) tests/real/programs/aiosmtplib tests/real/programs/jmapc; do uv pip compile \
	  --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q $$name.in -o $$name.txt; done

# As root: the command, its man page, completion for shells, and a service for systemd.
PREFIX ?= /usr/local
DESTDIR ?=

install:
	@$(PYTHON) -c '$(MINIMUM)'
	@sh packaging/install.sh "$(PYTHON)" "$(PREFIX)" "$(DESTDIR)"

uninstall:
	@sh packaging/uninstall.sh "$(PREFIX)" "$(DESTDIR)"

man: build/mailward.1

build/mailward.1: $(VENV)/.run-ready src/mailward/app/cli/grammar.py src/mailward/app/cli/printed/manual.py
	@mkdir -p build
	$(BIN)/python -m mailward.app.cli.printed.manual > $@

clean:
	rm -rf .venv .venv-3.1? .run build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
