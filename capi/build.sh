#!/usr/bin/env bash
# Makes the C library below target/capi, or in the folder given: promwrite.o and what is made of it, headers and licences.
# `capi/install.sh` copies from there. Needs cargo, gcc, GNU binutils and Python; no network once the crates are there, for
# instance from a tarball with their sources, which gives the same bytes:
#
#   mkdir -p .cargo && cargo vendor --locked --versioned-dirs vendor > .cargo/config.toml
#   CARGO_NET_OFFLINE=true capi/build.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${1:-$root/target/capi}"
out=$(cd "${1:-$root/target/capi}" && pwd)
cd "$root"

version=$(awk -F'"' '/^version = / { print $2; exit }' Cargo.toml)
soname=libpromwrite.so.0 # a new number when the ABI breaks, and only then: not that of the version
shared=libpromwrite.so.$version
host=$(rustc -vV | sed -n 's/^host: //p')

# No path of this machine stands in what is built, so that two machines build the same bytes; a flag of one word each, because
# paths may have spaces. Where the sources of std are installed, rustc would name those.
flags=("--remap-path-prefix=$root=/promwrite")
flags+=("--remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$(rustc -vV | sed -n 's/^commit-hash: //p')")
roots=$("${PYTHON:-python3}" capi/crates.py roots)
while read -r folder; do
    flags+=("--remap-path-prefix=$folder=/crates")
done <<<"$roots"
read -ra given <<<"${RUSTFLAGS:-}"
CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS:-$(IFS=$'\x1f' && echo "${given[*]}")}
CARGO_ENCODED_RUSTFLAGS+=${CARGO_ENCODED_RUSTFLAGS:+$'\x1f'}$(IFS=$'\x1f' && echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS

# a target folder of its own, because other flags would build everything anew in the common one
target=${CARGO_TARGET_DIR:-target}/capi-cargo
mkdir -p "$target"
cargo rustc --quiet --release --locked --package promwrite-capi --lib --target "$host" --target-dir "$target" \
    -- --print native-static-libs 2>"$target/log" || { cat "$target/log" >&2; exit 1; }
grep -v -e native -e '^$' "$target/log" >&2 || true
# sorted, because rustc's order changes; backwards, because of these librt needs libpthread
sed -n 's/^note: native-static-libs: //p' "$target/log" | tr ' ' '\n' | sort -ru | paste -sd ' ' >"$out/native-static-libs"

capi/localise.sh "$target/$host/release/libpromwrite.a" capi/exports "$out/promwrite.o"

rm -f "$out/libpromwrite.a"
ar rcsD "$out/libpromwrite.a" "$out/promwrite.o"

{
    echo 'PROMWRITE_0 {'
    echo '    global:'
    sed 's/.*/        &;/' capi/exports
    echo '    local: *;'
    echo '};'
} >"$out/promwrite.map"
read -ra libraries <"$out/native-static-libs"
# nodelete, because the library may own a thread; by gcc, because rustc's own linker drops the version names
"${CC:-cc}" -shared -s -o "$out/$shared" "$out/promwrite.o" -Wl,-soname,"$soname" -Wl,--version-script="$out/promwrite.map" \
    -Wl,-z,nodelete,-z,relro,-z,now,-z,defs -Wl,--gc-sections -Wl,--build-id -Wl,--as-needed "${libraries[@]}"
ln -sf "$shared" "$out/$soname"
ln -sf "$soname" "$out/libpromwrite.so"

mkdir -p "$out/include/promwrite"
cp capi/include/promwrite/promwrite.h* "$out/include/promwrite/"
"${PYTHON:-python3}" capi/crates.py licences "$out/licences"

if [ -d go ]; then
    # under the name by which the go tool picks it for the platform
    case $host in
        x86_64-*) arch=amd64 ;;
        aarch64-*) arch=arm64 ;;
        *) arch=${host%%-*} ;;
    esac
    mkdir -p go/internal/static
    cp "$out/promwrite.o" "go/internal/static/promwrite_linux_$arch.syso"
    # only when it differs, because a new time stamp would build the Go package anew
    cmp -s capi/include/promwrite/promwrite.h go/promwrite.h || cp capi/include/promwrite/promwrite.h go/promwrite.h
fi
