#!/usr/bin/env bash
# A Rust static library as one object whose only global symbols are those listed: localise.sh LIBRARY EXPORTS OBJECT.
#
# Raw Rust archives do not link together, because each brings a copy of std with the same global names. Here everything but
# the exports becomes local. --force-group-allocation dissolves the COMDAT groups first: otherwise the linker would throw away
# "the same" group of another Rust library, whose symbols are local by then, and the first panic would be a segmentation fault.
# .llvmbc holds bitcode of another LLVM, on which ar and nm abort.
set -euo pipefail
library=$1 exports=$2 object=$3

# of GNU, because no other linker knows --force-group-allocation
mapfile -t symbols <"$exports"
ld.bfd -r --force-group-allocation --gc-sections "${symbols[@]/#/--undefined=}" --entry="${symbols[0]}" \
    --whole-archive "$library" -o "$object.whole"
objcopy --keep-global-symbols="$exports" -R .llvmbc -R .llvmcmd -R .comment "$object.whole" "$object"
strip --strip-unneeded "$object"
rm "$object.whole"
