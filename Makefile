# `make` without a target lists all targets. Each target first installs its packages into .venv.

PYTHON ?= python3
BIN := .venv/bin
NODE := tests/node/node_modules
LIGHTHOUSE := tests/lighthouse/node_modules
PYTHONS ?= python3.12 python3.13
LOCKED = $(shell sed -n 's/^\([a-z0-9._-]*\)==.*/\1/p' requirements-dev.lock)
GENERATOR := .venv/client-generator

# uv takes seconds, pip a minute or two; without uv, pip shows its progress.
UV := $(shell command -v uv 2>/dev/null)
HOW := $(if $(UV),with uv,with pip: a minute or two)
INSTALL := $(if $(UV),$(UV) pip install --python $(BIN)/python,$(BIN)/python -m pip install \
	--disable-pip-version-check --progress-bar off)

.PHONY: help run dev test postman openapi words screenshots lighthouse bench soak check check-code check-web check-packages audit sbom pythons format lock migrate seed doctor clean
.DEFAULT_GOAL := help

help: ## list all targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/installed ## install, start the servers, migrate, and serve on http://127.0.0.1:8000
	@$(BIN)/backend serve

dev: .venv/installed ## the same, and a change of a file is served within two seconds
	@$(BIN)/backend dev

migrate: .venv/installed ## migrate the database to the newest schema
	@$(BIN)/backend migrate

seed: .venv/installed ## fill the database with a thousand made-up users
	@$(BIN)/backend seed

doctor: .venv/installed ## diagnose the installation, with advice
	@$(BIN)/backend doctor

test: .venv/installed-dev $(NODE)/.installed $(GENERATOR)/.installed ## run all tests, with real servers and a real browser
	@$(BIN)/python tests/browser/chromium.py
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/faults
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not alone" tests/faults
	$(BIN)/python -m pytest -m alone tests/faults

postman: .venv/installed-dev $(NODE)/.installed ## run the Postman collections against a new instance
	$(BIN)/python -m pytest -q -s tests/clients/test_postman.py

openapi: .venv/installed ## regenerate docs/openapi.json after a change of the API
	@ENVIRONMENT=test $(BIN)/python -c 'import json, main; print(json.dumps(main.app.openapi(), indent=2, ensure_ascii=False))' > docs/openapi.json

words: .venv/installed-dev ## update the catalogs of the pages after a change of their wording
	@$(BIN)/python .ci/words.py

screenshots: .venv/installed-dev ## retake the screenshots in docs/images; ALL=folder for every view, into that folder
	$(BIN)/python -m tests.browser.screenshots $(if $(ALL),--all $(ALL))

lighthouse: .venv/installed-dev $(LIGHTHOUSE)/.installed ## rate every view of the admin pages by Lighthouse; VIEW=dashboard_users for one, RUNS=3
	@$(BIN)/python -m tests.lighthouse --runs $(or $(RUNS),1) $(VIEW)

bench: .venv/installed-bench ## measure the table of docs/PERFORMANCE.md; ROW=P2 for one row, RUNS=5, USERS=10000000
	@$(BIN)/python -m benchmarks --runs $(or $(RUNS),5) $(if $(ROW),--row $(ROW),--write)

soak: .venv/installed-dev ## run clients while servers and processes fail repeatedly; MINUTES=5, SEED=1
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

check: check-code check-web check-packages ## check format, lint, types, imports, dependencies, migrations; scripts and styles; licences, advisories, locks

check-code: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry .
	@$(BIN)/python .ci/check_migrations.py

check-web: $(NODE)/.installed
	$(NODE)/.bin/biome check --error-on-warnings

check-packages: .venv/installed-dev
	@echo "checking licences, advisories and locks …"
	@$(BIN)/pip-licenses --packages $(LOCKED) > /dev/null
	@$(BIN)/python .ci/check_advisories.py
	@$(BIN)/python .ci/locks.py

audit: .venv/installed-dev ## look up known vulnerabilities of the image's packages; fails where they cannot be looked up
	@$(BIN)/python .ci/check_advisories.py --required

sbom: .venv/installed-dev ## write sbom.cdx.json: the image's packages, as CycloneDX
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o sbom.cdx.json deploy/requirements.lock

pythons: .venv/installed-dev ## run unit and integration tests under other versions; PYTHONS="python3.12 python3.13"
	@for python in $(PYTHONS); do \
		own=.venv/for-$$(basename $$python); $$python -m venv --clear $$own && $$own/bin/python -V && \
		$(BIN)/uv pip install --quiet --python $$own/bin/python --require-hashes -r requirements-dev.lock && \
		$(BIN)/uv pip install --quiet --python $$own/bin/python --no-deps --no-build-isolation -e . && \
		$$own/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder tests/unit tests/integration || exit 1; \
	done

format: .venv/installed-dev $(NODE)/.installed ## format the code, and fix lint errors automatically
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(NODE)/.bin/biome check --write

lock: .venv/installed-dev ## update the lock files after a change of pyproject.toml; UPGRADE=1 for newer versions, COOLDOWN=7, their least age in days
	$(BIN)/python .ci/locks.py --write $(if $(UPGRADE),--upgrade) $(if $(COOLDOWN),--cooldown $(COOLDOWN))

clean: ## remove .venv and caches, but not the data in .local
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache $(NODE) $(LIGHTHOUSE)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "making .venv …"
	@$(PYTHON) -m venv .venv

.venv/installed: requirements.lock pyproject.toml | .venv/bin/python
	@echo "1/2 installing the locked packages into .venv ($(HOW)) …"
	@$(INSTALL) --require-hashes -r requirements.lock
	@echo "2/2 installing the project itself …"
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	@echo "installing the tools for tests and checks ($(HOW)) …"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

.venv/installed-bench: requirements-bench.lock .venv/installed
	@echo "installing the tools for benchmarks ($(HOW)) …"
	@$(INSTALL) --require-hashes -r requirements-bench.lock
	@touch $@

$(GENERATOR)/.installed: tests/clients/generator.lock .venv/installed-dev
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(GENERATOR)
	@$(BIN)/uv pip install --quiet --python $(GENERATOR)/bin/python --require-hashes -r $<
	@touch $@

# One rule for both folders with Node packages.
tests/%/node_modules/.installed: tests/%/package-lock.json
	@command -v npm >/dev/null || { echo "Tests and checks need Node.js 20.19 or newer with npm: \
	apt-get install nodejs npm, brew install node, or nodejs.org" >&2; exit 1; }
	@echo "installing the Node tools of tests/$* …"
	@npm ci --prefix tests/$* --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
