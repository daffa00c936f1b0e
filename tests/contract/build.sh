#!/usr/bin/env bash
# Builds the agents of the contract tests into the folder given, from the C library in PROMWRITE_CAPI (target/capi) and the Go
# package with its object in place. The agent in Python needs no building.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
capi=$(cd "${PROMWRITE_CAPI:-$root/target/capi}" && pwd)

cd "$root"
cargo build --quiet --locked -p promwrite-contract-agent
cp "${CARGO_TARGET_DIR:-target}/debug/promwrite-contract-agent" "$out/rust"

# the object that is shipped, and not cargo's archive
"${CC:-cc}" -std=gnu11 -Wall -Wextra -Wpedantic -Werror -g -Icapi/include tests/contract/agents/c/agent.c \
    "$capi/libpromwrite.a" -lm -o "$out/c"

cd tests/contract/agents/go
go build -o "$out/go" .
