#!/usr/bin/env bash
# Builds the agents of the contract tests into the folder given (target/contract). The one in Python needs no building.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$1
mkdir -p "$out"
out=$(cd "$out" && pwd)

cd "$root"
cargo build --quiet --locked -p promwrite-contract-agent
built=${CARGO_TARGET_DIR:-target}
cp "$built/debug/promwrite-contract-agent" "$out/rust"
