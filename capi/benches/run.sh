#!/usr/bin/env bash
# Speed of an append in C and the size of the library. The library is target/capi, or the folder that PROMWRITE_CAPI names.
set -euo pipefail
cd "$(dirname "$0")/../.."
library=${PROMWRITE_CAPI:-target/capi}
[ -e "$library/libpromwrite.a" ] || { echo "$library/libpromwrite.a is missing: \`make build\` makes it" >&2; exit 1; }
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
system=(-lm -lpthread -ldl)

g++ -std=c++17 -O2 -Wall -Wextra -Wpedantic -Werror -Icapi/include capi/benches/append.cpp -o "$built/append" \
    "$library/libpromwrite.a" "${system[@]}"
"$built/append"

# A program with every part of the library that it can reach, and the same without any.
gcc -O2 -s -Wl,--gc-sections -Icapi/include -x c - -o "$built/with" -x none "$library/libpromwrite.a" "${system[@]}" <<'C'
#include <promwrite/promwrite.h>
int main(void) {
    promwrite_writer *writer;
    promwrite_pusher *pusher;
    promwrite_handler *handler;
    return promwrite_writer_new("", 0, 0, &writer, 0) + promwrite_pusher_new("", 0, "", 0, 0, 0, 0, &pusher, 0) +
           promwrite_handler_new(0, &handler, 0);
}
C
echo 'int main(void) { return 0; }' | gcc -O2 -s -x c - -o "$built/without"
size() { stat --dereference --format=%s "$1"; }
awk -v so="$(size "$library/libpromwrite.so")" -v part=$(($(size "$built/with") - $(size "$built/without"))) \
    'BEGIN { printf "libpromwrite.so %.2f MB, static part of a stripped program %.2f MB\n", so / 1e6, part / 1e6 }'
