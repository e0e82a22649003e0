# SPDX-License-Identifier: Apache-2.0
# `make` prints what there is. Everything is built into .venv, target, .demo and .cache; nothing else is touched.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup serve test test-rust test-python check check-rust check-python accept soak bench bench-batching fuzz tsan docs clean

PYTHON3 ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
# Tests, lints and the library under test share this profile, and so each other's artefacts.
PROFILE := ci
STAMPS := $(VENV)/stamps

# The Python files are used from the source tree as they are; only these need a build.
BUILD_SOURCES := $(shell find crates proto -name '*.rs' -o -name '*.proto' -o -name 'Cargo.toml') \
	Cargo.toml Cargo.lock pyproject.toml
LIBTENSORFLOW = $(abspath $(firstword $(wildcard $(VENV)/lib*/python3*/site-packages/tensorflow/libtensorflow_cc.*)))

help:  ## Print this help
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/' | expand -t 18

setup: $(STAMPS)/packages  ## Make .venv with everything that building and testing need

$(STAMPS)/packages: requirements-dev.txt requirements-stubs.txt
	test -x $(PYTHON) || $(PYTHON3) -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-stubs.txt
	@mkdir -p $(@D) && touch $@

# One library is installed at a time: building one profile makes the other's stamp stale.
$(STAMPS)/installed-release: $(STAMPS)/packages $(BUILD_SOURCES)
	$(PYTHON) -m maturin develop --release --quiet
	@rm -f $(STAMPS)/installed-* && touch $@

$(STAMPS)/installed-$(PROFILE): $(STAMPS)/packages $(BUILD_SOURCES)
	$(PYTHON) -m maturin develop --profile $(PROFILE) --quiet
	@rm -f $(STAMPS)/installed-* && touch $@

serve: $(STAMPS)/installed-release  ## Build, export two demo models, serve them on ports 8500 and 8501
	$(PYTHON) examples/serve_demo.py .demo

test: test-rust test-python  ## Run all tests

test-rust: $(STAMPS)/packages
	models="$$($(PYTHON) -m tests.models runtime)"; \
	TENSORSERVE_TEST_MODELS="$$models" TENSORSERVE_TEST_TENSORFLOW_LIBRARY="$(LIBTENSORFLOW)" \
	TENSORSERVE_REQUIRE_TENSORFLOW=1 PYO3_PYTHON="$(abspath $(PYTHON))" \
	cargo test --quiet --profile $(PROFILE) --workspace --exclude tensorserve-bindings

test-python: $(STAMPS)/installed-$(PROFILE)
	$(PYTHON) -m pytest

# What is too long or too heavy for CI: `make accept AREA=versions` runs tests/accept/test_versions.py.
AREA ?=
accept: $(STAMPS)/installed-$(PROFILE) $(STAMPS)/accept-packages  ## Run the acceptance tests of an area, or of all: AREA=...
	$(PYTHON) -m pytest tests/accept$(if $(AREA),/test_$(AREA).py)

# `make soak SUITE=hostile SOAK_SECONDS=900` runs tests/soak/test_hostile.py.
SUITE ?=
SOAK_SECONDS ?= 900
soak: $(STAMPS)/installed-$(PROFILE) $(STAMPS)/accept-packages  ## Load a server for SOAK_SECONDS in one way, or in all: SUITE=...
	SOAK_SECONDS=$(SOAK_SECONDS) $(PYTHON) -m pytest -s tests/soak$(if $(SUITE),/test_$(SUITE).py)

$(STAMPS)/accept-packages: requirements-accept.txt requirements-models.txt $(STAMPS)/packages
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-accept.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-models.txt
	@touch $@

check: check-rust check-python  ## What CI looks at first: format, lint, types, stub, unit and meta tests

check-rust: $(STAMPS)/packages
	cargo fmt --all --check
	PYO3_PYTHON="$(abspath $(PYTHON))" cargo clippy --quiet --profile $(PROFILE) --workspace --all-targets -- -D warnings

check-python: $(STAMPS)/installed-$(PROFILE)
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m mypy.stubtest tensorserve._core
	$(PYTHON) -m pytest --quiet tests/unit tests/meta

bench: $(STAMPS)/installed-release  ## Measure this machine; writes benchmarks/results and docs/benchmarks.md
	@command -v h2load >/dev/null || { echo 'make bench needs h2load: apt-get install nghttp2-client' >&2; exit 1; }
	cargo build --quiet --release --package tensorserve-runtimes --example run_floor
	$(PYTHON) -m benchmarks

# What decodes a client's bytes, each for FUZZ_SECONDS; `make fuzz FUZZ_TARGETS=url FUZZ_SECONDS=60` is a short look.
FUZZ_TARGETS ?= predict_request predict_json tf_example url npy
FUZZ_SECONDS ?= 600

fuzz:  ## Feed the decoders of requests with bytes that nobody would send, ten minutes each
	@command -v c++ >/dev/null || { echo 'make fuzz needs a C++ compiler: apt-get install g++' >&2; exit 1; }
	FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/run.sh $(FUZZ_TARGETS)

# `make tsan STRESS_SECONDS=30` is a short look.
STRESS_SECONDS ?= 600

tsan:  ## Let many threads at the batching queues under the thread sanitizer, for ten minutes
	@command -v cc >/dev/null && command -v nm >/dev/null || \
		{ echo 'make tsan needs a C compiler and nm: apt-get install gcc' >&2; exit 1; }
	STRESS_SECONDS=$(STRESS_SECONDS) crates/servables/tests/tsan/run.sh

bench-batching: $(STAMPS)/installed-release  ## Measure batching and scheduling alone: what they cost, a grid of parameters, overload
	cargo run --quiet --release --package tensorserve-servables --example queue_cost
	$(PYTHON) -m benchmarks batching
	$(PYTHON) -m benchmarks overload

docs: $(STAMPS)/installed-$(PROFILE)  ## Write the generated pages: docs/flags.md, docs/benchmarks.md
	$(PYTHON) -m tensorserve.config.reference > docs/flags.md
	$(PYTHON) -m benchmarks.report

clean:  ## Remove everything that was built or exported
	rm -rf target fuzz/target .demo .cache $(VENV)
