# make demo · make test · make lint · make bench · make up
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
PYTHON ?= python3
UV_VERSION := 0.13.8
HERE := .stagedoor
RIE := github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie@latest
UV := $(HERE)/uv/bin/uv
RUN := .venv/bin

export UV_PROJECT_ENVIRONMENT := .venv
export UV_SYSTEM_CERTS := 1

.PHONY: help setup demo up test lint format bench bench-webhooks bench-deploy bench-live bench-library bench-action bench-apps docs storm faults image-check live-rie clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit("stagedoor needs Python 3.11 or newer, this is " + sys.version) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(HERE)/uv
	@$(HERE)/uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.made: uv.lock pyproject.toml | $(UV)
	@$(UV) sync --quiet --locked --compile-bytecode --extra service --python $(PYTHON)
	@touch $@

$(HERE)/ministack/.made: demo/aws/requirements.txt | $(UV)
	@$(UV) venv --quiet --clear --python $(PYTHON) $(HERE)/ministack
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(HERE)/ministack/bin/python demo/aws/requirements.txt
	@touch $@

$(HERE)/moto/.made: tests/emulators/requirements.txt | $(UV)
	@$(UV) venv --quiet --clear --python $(PYTHON) $(HERE)/moto
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(HERE)/moto/bin/python tests/emulators/requirements.txt
	@touch $@

demo/github/node_modules/.made: demo/github/package-lock.json
	@cd demo/github && npm ci --silent --no-audit --no-fund
	@touch $@

tests/node/node_modules/.made: tests/node/package-lock.json
	@cd tests/node && npm ci --silent --no-audit --no-fund
	@touch $@

bench/peers/node_modules/.made: bench/peers/package-lock.json
	@cd bench/peers && npm ci --silent --no-audit --no-fund
	@touch $@

setup: .venv/.made $(HERE)/ministack/.made demo/github/node_modules/.made ## install everything into the checkout

demo: setup ## the whole story of a pull request, on this machine
	@$(RUN)/python -m demo

up: setup ## start the same and stay
	@$(RUN)/python -m demo up

test: setup tests/node/node_modules/.made bench/peers/node_modules/.made $(HERE)/moto/.made ## every test
	@PYTHONDONTWRITEBYTECODE= $(RUN)/pytest -n 3 --dist loadgroup

storm: setup ## one test alone: the service under kills, freezes and a lost queue
	@$(RUN)/pytest -s tests/chaos/test_storm.py

faults: setup ## 200 random lives of stages while one call in twenty fails: some minutes
	@FAULT_SEQUENCES=200 $(RUN)/pytest -s -n0 tests/faults

image-check: setup ## build the image without Docker and tell the demo's story in it: minutes, root, buildah, runc, debootstrap
	@$(RUN)/python -m tests.image .stagedoor/image

live-rie: setup ## the bridge under AWS's runtime interface emulator, which Go builds
	@GOBIN="$(CURDIR)/$(HERE)/rie" go install $(RIE)
	@AWS_LAMBDA_RIE="$(CURDIR)/$(HERE)/rie/aws-lambda-rie" $(RUN)/pytest -n0 tests/stagedoor/live/bridge/test_rie.py

lint: setup ## style, types, import arrows, workflows
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@for app in examples/*/app.py; do MYPYPATH="$${app%/app.py}" $(RUN)/mypy --no-error-summary "$$app"; done
	@$(RUN)/lint-imports --no-cache --no-logo
	@$(RUN)/hadolint --config .hadolint.yaml Dockerfile
	@$(RUN)/zizmor --quiet --offline .github action.yml examples/workflows
	@$(RUN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml examples/workflows/*.yml
	@$(RUN)/check-jsonschema --builtin-schema vendor.github-actions action.yml

format: setup ## put the style right
	@$(RUN)/ruff check --fix --quiet .
	@$(RUN)/ruff format .

bench: bench-webhooks bench-deploy bench-live bench-library bench-action ## every benchmark

bench-webhooks: setup ## what a webhook costs beside a bare INSERT
	@$(RUN)/python -m bench.webhooks --while "$(RUN)/python -m bench.deploying"

bench-deploy: setup bench/peers/node_modules/.made ## our deploys beside those of the CDK CLI
	@$(RUN)/python -m bench.deploy

bench-live: setup tests/node/node_modules/.made ## what the tunnel costs, and what it survives
	@$(RUN)/python -m bench.live

bench-library: setup ## what the library costs: cold starts, synth, a first deploy
	@$(RUN)/python -m bench.library

bench-action: setup ## what the Action's step costs before it does anything
	@$(RUN)/python -m bench.action

bench-apps: setup ## public CDK apps through deploy, again, change, diff and remove (APPS=folder of aws-cdk-examples)
	@$(RUN)/python -m bench.apps $(if $(APPS),--from "$(APPS)")

docs: setup ## what is generated in docs/
	@$(RUN)/python -m docs.generate_data_model
	@$(RUN)/python -m service.api.document

clean: ## what is installed and cached in the checkout
	rm -rf .venv $(HERE) demo/github/node_modules tests/node/node_modules bench/peers/node_modules
