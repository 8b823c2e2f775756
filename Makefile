# Everything runs from .venv; nothing outside this folder is changed. ARGS="..." is passed on.
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-up demo-down test test-install test-containers test-arm64 check audit drills bench fuzz build \
    docs reference images up down clean clean-all lock
.DELETE_ON_ERROR:

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# $(call locked,EXTRAS,OPTIONS): what they need of the lock, each file held against its digest; wheels alone, nothing is built.
locked = mkdir -p .cache && $(BIN)/python -m requirements.locked $(1) >.cache/needed.txt && \
    $(PIP) --require-hashes --only-binary :all: --requirement .cache/needed.txt $(2)
# The OpenCV without a screen, over the desktop's that mediapipe brings.
headless = $(call locked,--package opencv-python-headless,--force-reinstall --no-deps)
OURSELVES := PYTHONWARNINGS='ignore:Editable installation' $(PIP) --no-deps --no-build-isolation --editable .
# Two packages bring pytest plugins that are not ours; Dash's does not load where warnings are errors.
PYTEST := $(BIN)/pytest -p no:dash -p no:valkey
# A file's tests stay together, so what it makes once is made once; more than four processes take more memory than time.
PARALLEL := --numprocesses=auto --maxprocesses=4 --dist=loadfile
PINNED := pyproject.toml requirements/lock.txt
INSTALLED := .venv/.installed-demo
INSTALLED_TEST := .venv/.installed-test
INSTALL_TEST := tests/releases/test_clean_install.py
RUN := .cache/run
# A folder of pictures is mounted by its whole path, and its positions are those in the pictures.
COMPOSE := REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) \
    $(if $(PICTURES),PICTURES="$(abspath $(PICTURES))" LOCATION="$(or $(LOCATION),exif)") compose/compose
ARGS ?=

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

setup: $(INSTALLED) ## Install what the demo needs into .venv; with extras: make setup EXTRAS="certificates traces"
	@$(if $(EXTRAS),$(call locked,$(EXTRAS)))
	@$(if $(filter face,$(EXTRAS)),$(headless))

demo: $(INSTALLED) ## Run the whole system on this machine and show the live map
	@$(BIN)/headwater demo $(ARGS)

test: check ## Check, then unit, integration and end-to-end tests
	$(PYTEST) $(PARALLEL) --ignore=tests/integration --ignore=tests/end_to_end --ignore=tests/containers --ignore=$(INSTALL_TEST) $(ARGS)
	$(PYTEST) tests/integration $(ARGS)
	$(PYTEST) tests/end_to_end $(ARGS)

test-install: $(INSTALLED_TEST) ## Install the wheel into an empty environment and run the demo, about two minutes
	$(PYTEST) $(INSTALL_TEST) $(ARGS)

check: $(INSTALLED_TEST) ## Format, lint, types, and known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m requirements.audit

audit: $(INSTALLED_TEST) ## Ask whether a locked version has a known vulnerability: make audit ARGS="-s osv"
	$(BIN)/python -m requirements.audit $(ARGS)

drills: $(INSTALLED_TEST) ## Break everything while 100,000 frames flow, and count; half an hour
	$(BIN)/headwater drill --frames 100000 --peer --output docs/results $(ARGS)

bench: $(INSTALLED_TEST) ## Measure, as ratios in one run
	@$(call locked,bench) # what workers are measured against
	$(BIN)/python -m benchmarks $(ARGS)

fuzz: $(INSTALLED_TEST) ## Feed decoders with spoilt bytes: make fuzz ARGS="frame --inputs 10000000"
	$(BIN)/python -m tests.fuzz $(or $(ARGS),all)

build: $(INSTALLED_TEST) ## Make dist/: wheel, source distribution, bill of materials, locked installations
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m requirements.release dist

docs: $(INSTALLED_TEST) ## Build the site of the documentation into site/; a broken link is an error
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -b html . site
	@echo "open site/index.html"

reference: $(INSTALLED_TEST) ## Write the pages of docs/ that come from the code
	$(BIN)/python -m docs.reference

demo-up: $(INSTALLED) ## Start the demo in the background, without containers
	@mkdir -p $(RUN)
	@if [ -f $(RUN)/pid ] && kill -0 "$$(cat $(RUN)/pid)" 2>/dev/null; then echo "runs already; make demo-down stops it"; exit 1; fi
	@setsid $(BIN)/headwater demo $(ARGS) </dev/null >$(RUN)/log 2>&1 & echo $$! >$(RUN)/pid
	@for _ in $$(seq 300); do \
	    if grep -m 1 'http://' $(RUN)/log; then echo "log: $(RUN)/log; make demo-down stops it"; exit 0; fi; \
	    kill -0 "$$(cat $(RUN)/pid)" 2>/dev/null || break; sleep 0.2; \
	done; tail -n 5 $(RUN)/log >&2; echo "the demo did not come up; see $(RUN)/log" >&2; $(MAKE) --no-print-directory demo-down; exit 1

demo-down: ## Stop what `make demo-up` started
	@[ -f $(RUN)/pid ] || exit 0; pid=$$(cat $(RUN)/pid); \
	kill -TERM "$$pid" 2>/dev/null; \
	for _ in $$(seq 150); do kill -0 "$$pid" 2>/dev/null || break; sleep 0.1; done; \
	kill -KILL "$$pid" 2>/dev/null; rm -f $(RUN)/pid

images: ## Build the container images
	@$(COMPOSE) build $(ARGS)

up: ## Start everything as containers: make up PICTURES=my-pictures ARGS="--scale worker=3"
	@compose/make-secrets
	@$(COMPOSE) up --detach --build $(ARGS)
	@echo "The live map: http://$$(compose/setting SITE 127.0.0.1:8050), in a moment; docker ps says who is well, make down stops it"
	@case " $$(compose/setting OVERLAYS) " in *" observability "*) echo "Grafana: http://$$(compose/setting GRAFANA 127.0.0.1:3000), user admin, password in compose/secrets/grafana_password";; esac

down: ## Stop the containers; what they keep stays, but with ARGS=--volumes
	@$(COMPOSE) down $(ARGS)

test-containers: $(INSTALLED_TEST) ## Build the images and stream pictures through containers (starts an engine as root)
	@compose/test/with-engine $(PYTEST) tests/containers $(ARGS)

test-arm64: ## Build and run our images for linux/arm64, under emulation where need be
	@compose/test/with-engine compose/test/arm64

clean: demo-down ## Remove build output and caches, keep .venv
	rm -rf build dist site *.egg-info .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

clean-all: clean ## Remove .venv too
	rm -rf .venv

lock: ## Renew requirements/lock.txt; ARGS=--keep keeps its versions and only adds what is missing
	python=$$(requirements/find-python) && "$$python" -m venv .cache/lock
	.cache/lock/bin/python -m pip --disable-pip-version-check install --quiet uv
	.cache/lock/bin/python -m requirements.renew .cache/lock/bin/uv $(ARGS)

$(BIN)/python:
	@python=$$(requirements/find-python) && "$$python" -m venv .venv

$(INSTALLED): $(PINNED) | $(BIN)/python
	@echo "installing into .venv, about a minute the first time" >&2
	@$(call locked,build demo)
	@$(OURSELVES)
	@touch $@

$(INSTALLED_TEST): $(PINNED) | $(BIN)/python
	@echo "installing the test tools and TensorFlow into .venv, a few minutes the first time" >&2
	@$(call locked,build dev training)
	@$(OURSELVES)
	@$(headless)
	@touch $@ $(INSTALLED)
