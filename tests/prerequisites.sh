#!/usr/bin/env bash
# Names every program that a fresh machine lacks, all in one run. Argument "tests": with what the tests of the C library need;
# "servers": and with what the real servers need.
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
missing=0

lacks() {
    echo "missing: $*" >&2
    missing=$((missing + 1))
}

at_least() { # name, version found or nothing, version wanted, where it comes from
    if [ -z "$2" ]; then
        lacks "$1 ($4)"
    elif [ "$(printf '%s\n%s\n' "$3" "$2" | sort -V | head -n1)" != "$3" ]; then
        lacks "$1 $3 or newer, $2 is installed ($4)"
    fi
}

word() { # n-th word of what a command prints, nothing when there is no such command
    local n=$1
    shift
    "$@" 2>/dev/null | awk -v n="$n" 'NR == 1 { print $n }'
}

rust=$(awk -F'"' '/^rust-version/ { print $2 }' "$root/Cargo.toml")
at_least cargo "$(word 2 cargo --version)" "$rust" "Rust's installer, rustup"
[ -n "$(word 1 cargo fmt --version)" ] || lacks "rustfmt (rustup component add rustfmt)"
[ -n "$(word 1 cargo clippy --version)" ] || lacks "clippy (rustup component add clippy)"
command -v cc >/dev/null || lacks "cc, a C compiler (package build-essential)"
command -v ld.bfd >/dev/null || lacks "ld.bfd, GNU's linker (package binutils)"
command -v objcopy >/dev/null || lacks "objcopy (package binutils)"
command -v make >/dev/null || lacks "make (package make)"
at_least "$python" "$(word 2 "$python" --version)" 3.10 "package python3"
"$python" -c 'import venv, ensurepip' 2>/dev/null || lacks "Python's venv module (package python3-venv)"

if [ "${1:-}" = tests ] || [ "${1:-}" = servers ]; then
    for pair in g++/g++ clang/clang clang++/clang cmake/cmake pkg-config/pkg-config valgrind/valgrind; do
        command -v "${pair%/*}" >/dev/null || lacks "${pair%/*} (package ${pair#*/})"
    done
fi

if [ "${1:-}" = servers ]; then
    at_least go "$(word 3 go version | sed 's/^go//')" "$(awk '$1 == "go" { print $2 }' "$root/tests/servers/go.mod")" "go.dev or a package"
    command -v apt-get >/dev/null || lacks "apt-get (Debian 12: the old servers are taken out of its packages)"
    command -v dpkg-deb >/dev/null || lacks "dpkg-deb (package dpkg)"
    command -v flock >/dev/null || lacks "flock (package util-linux)"
fi

[ "$missing" -eq 0 ] || { echo "$missing missing; nothing was built" >&2; exit 1; }
