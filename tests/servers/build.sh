#!/usr/bin/env bash
# Puts every server of the file `releases` below OUTDIR, as OUTDIR/<kind>-<version>/<kind>.
# A server that is there already is not made again; one that cannot be made ends the run and is named.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

fail() {
    echo "build.sh: $*" >&2
    exit 1
}

need() { # program, what it is needed for, where it comes from
    command -v "$1" >/dev/null || fail "$1 is missing: needed for $2 ($3)"
}

# One run at a time, because two would write the same files.
need flock "taking turns" "package util-linux"
exec 9>"$out/.lock"
flock 9

work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

from_go() { # kind, version, package, file to write
    need go "$1 $2" "Go $(awk '$1 == "go" { print $2 }' "$here/go.mod") or newer"
    # These two variables are where the servers keep the version that they report.
    local stamp="-X github.com/prometheus/common/version.Version=$2 -X github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=$2"
    # Without service discovery, because nothing is scraped here and the cloud SDKs are a third of the build.
    # Without cgo, so that no C compiler takes part.
    (cd "$here" && CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath -tags=remove_all_sd \
        -ldflags "-s -w $stamp" -o "$4" "$3" 2>"$work/go.log") || { cat "$work/go.log" >&2; fail "go could not build $1 $2 ($3)"; }
}

from_deb() { # kind, version, package, file to write
    need apt-get "$1 $2" "Debian 12"
    need dpkg-deb "$1 $2" "package dpkg"
    download "$3" || fail "apt-get could not download the package $3 for $1 $2"
    local deb=("$work/$3"_*.deb) found
    found=$(dpkg-deb -f "${deb[0]}" Version)
    case $found in
    "$2"[+-]*) ;;
    *) fail "$1 $2 is wanted, but apt has $3 $found: these are Debian 12's versions" ;;
    esac
    # Taken out of the package, not installed: installing starts a system service.
    dpkg-deb -x "${deb[0]}" "$work/$3" && mv "$work/$3/usr/bin/$3" "$4"
}

# apt with lists and cache of its own, because then it needs no root and leaves the machine's alone.
own_apt() {
    mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
    apt-get -qq -o APT::Sandbox::User="$(id -un)" -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" "$@"
}

download() { # package
    (
        cd "$work"
        # The machine's own lists first: they may be missing or out of date, then fresh ones are fetched.
        apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$1" 2>"$work/apt.log" && exit
        [ -d "$work/apt" ] || own_apt update || { cat "$work/apt.log" >&2; exit 1; }
        own_apt download "$1"
    )
}

make_one() { # kind, version, source, package
    local folder="$out/$1-$2" stamp said
    # The lock file of the Go modules is part of the stamp, because a change in it makes another server.
    stamp="$* $(if [ "$3" = go ]; then echo "$modules"; fi)"
    if [ -x "$folder/$1" ] && [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
    echo "build.sh: $1 $2 from $3 $4"
    rm -rf "$folder"
    mkdir "$folder"
    "from_$3" "$1" "$2" "$4" "$folder/$1"
    # Tried here, because a missing shared library is better named now than by a test.
    said=$("$folder/$1" --version 2>&1) || fail "$1 $2 does not start: $said"
    echo "$stamp" >"$folder/stamp"
}

modules=$(cat "$here/go.mod" "$here/go.sum" | sha256sum)
while read -r kind version source package; do
    case $kind in
    '#'*) ;;
    *) make_one "$kind" "$version" "$source" "$package" </dev/null ;;
    esac
done <"$here/releases"
