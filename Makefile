# `make help` lists what can be made. Everything that is made lies below target/.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := target/venv
BIN := $(CURDIR)/$(VENV)/bin
BUILT := $(abspath $(or $(CARGO_TARGET_DIR),target))
# Where the real servers lie; another place lets several work trees share them.
export PROMWRITE_SERVERS ?= $(CURDIR)/target/servers
export PROMWRITE_RECEIVER := $(BUILT)/debug/promwrite-receiver
# What is made of the C library, always at one place, because `sudo make install` knows no CARGO_TARGET_DIR.
export PROMWRITE_CAPI ?= $(CURDIR)/target/capi
# The agents of the contract tests.
export PROMWRITE_CONTRACT ?= $(CURDIR)/target/contract
GO_MODULES := go examples/go tests/gopeers tests/gobuild tests/contract/agents/go
# The same interpreter for every cargo call, because PyO3 is built again when it changes.
export PYO3_PYTHON := $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help prerequisites build rust package capi install uninstall agents check servers lint test bench demo wheel lock clean
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

prerequisites:
	@PYTHON='$(PYTHON)' tests/prerequisites.sh

$(VENV)/stamp: tests/requirements.txt | prerequisites
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	touch $@

rust: $(VENV)/stamp
	cargo build --workspace --locked

package: $(VENV)/stamp
	PATH="$(BIN):$$PATH" $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation ./python

capi: prerequisites ## the C library in target/capi
	PYTHON='$(PYTHON)' capi/build.sh '$(PROMWRITE_CAPI)'

build: rust package capi ## the Rust crates, the Python package in target/venv, the C library in target/capi

install: ## copies the built C library below PREFIX=/usr/local; LIBDIR= DESTDIR=
uninstall: ## removes what install copied
install uninstall:
	@PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' DESTDIR='$(DESTDIR)' capi/install.sh $@

agents: rust capi
	tests/contract/build.sh '$(PROMWRITE_CONTRACT)'

check: rust package agents ## every test that needs no real server
	@PYTHON='$(PYTHON)' tests/prerequisites.sh tests
	cargo test --workspace --locked --quiet
	cd go && go test ./...
	$(BIN)/python -m pytest -m 'not servers'

servers: ## Prometheus, Pushgateway and VictoriaMetrics, new and old, in target/servers
	@PYTHON='$(PYTHON)' tests/prerequisites.sh servers
	tests/servers/build.sh '$(PROMWRITE_SERVERS)'

test: servers rust package agents ## everything, real servers included
	cargo test --workspace --locked --quiet
	cd go && go test -race ./...
	cd go && GOEXPERIMENT=cgocheck2 go test ./...
	cd tests/gopeers && go test ./...
	$(BIN)/python -m pytest

lint: package capi ## format, lints and types
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps --locked -p promwrite-core -p promwrite-receiver
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest promwrite._promwrite
	test -z "$$(gofmt -l $(GO_MODULES) | tee /dev/stderr)"
	cd tests/gotools && go build -o ../../target/staticcheck honnef.co/go/tools/cmd/staticcheck
	for module in $(GO_MODULES); do (cd $$module && go vet ./... && '$(CURDIR)/target/staticcheck' ./...) || exit 1; done

bench: package capi servers ## the speed table, as ratios measured in one run
	cargo bench --locked -p promwrite-core
	$(BIN)/python python/benches/bench.py
	capi/benches/run.sh
	cd tests/gopeers && go test -run '^$$' -bench . -benchtime 1x ./write && go test -run '^$$' -bench . -benchtime 500x ./push

# USER counts only when it is given to make, because every shell has one.
given = $(if $(filter command,$(firstword $(origin $(1)))),--$(2)='$($(1))')
demo: rust package ## a real job beside its old self; URL= KIND=gateway|write [USER= PASSWORD_FILE= HEADER_FILE=] for a real server
	$(BIN)/python tests/demo/demo.py $(call given,URL,url) $(call given,KIND,kind) $(call given,USER,user) \
		$(call given,PASSWORD_FILE,password-file) $(call given,HEADER_FILE,header-file)

wheel: $(VENV)/stamp ## a manylinux2014 wheel in target/wheels, tried in a clean environment
	$(BIN)/pip install --quiet --disable-pip-version-check 'ziglang==0.17.0'
	rm -rf target/wheels
	PATH="$(BIN):$$PATH" $(BIN)/maturin build --release --locked --zig --compatibility manylinux2014 \
		--manifest-path python/Cargo.toml --out target/wheels
	$(PYTHON) -m venv --clear target/venv-wheel
	target/venv-wheel/bin/pip install --quiet --disable-pip-version-check --no-index target/wheels/*.whl
	target/venv-wheel/bin/python tests/wheel.py

lock: ## pins the Python tools of the tests at their latest releases
	$(PYTHON) -m venv --clear target/venv-lock
	target/venv-lock/bin/pip install --quiet --disable-pip-version-check uv
	target/venv-lock/bin/uv pip compile --quiet --universal --python-version 3.10 --no-header --upgrade tests/requirements.in -o tests/requirements.txt

clean: ## removes target/, the servers included
	rm -rf target
