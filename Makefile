# `make` lists what there is. bin/demo and bin/test need nothing installed; the rest sets up .venv by itself.
.DEFAULT_GOAL := help
.PHONY: help setup run unit test check lock bench replay

TOOL := bin/setup -m
COMPILE := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

help: ## list these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  \1\t\2/'

setup: ## make .venv with everything that development needs
	bin/setup

run: ## set up, start everything, place one spoken call, serve until Ctrl-C
	bin/demo

unit: ## the unit suite: no network, no database, a few seconds
	bin/test tests/unit

test: ## every suite
	bin/test

check: ## format, lint, types and every suite with the long tests: what CI runs
	bin/test --all

lock: ## compile requirements*.in to pinned, hashed files (UPGRADE=--upgrade for newer versions)
	$(TOOL) $(COMPILE) $(UPGRADE) requirements.in -o requirements.txt
	$(TOOL) $(COMPILE) $(UPGRADE) requirements-demo.in -o requirements-demo.txt
	$(TOOL) $(COMPILE) $(UPGRADE) requirements-dev.in -o requirements-dev.txt

bench: ## measure: figures on stdout, one JSON object a line
	bin/bench

replay: ## feed a recorded call to the machine and print the commands: make replay FILE=tests/replays/…
	$(TOOL) worker.call.replay "$(FILE)"
