#!/usr/bin/env bash
# Installs what `capi/build.sh` made, or removes it again: install.sh install|uninstall, with the variables PREFIX (/usr/local),
# LIBDIR (PREFIX/lib) and DESTDIR (a staging folder before both). It only copies, so it can run as another user: no cargo, no
# network, nothing written but what is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
built=${PROMWRITE_CAPI:-$here/../target/capi}
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

[ "${1:-}" = install ] || [ "${1:-}" = uninstall ] || fail "the argument must be install or uninstall, not '${1:-}'"
for name in prefix libdir; do
    value=${!name}
    [[ $value == /* ]] || fail "${name^^} is '$value': must be an absolute path"
    # what would need quoting in promwrite.pc, in CMake or in sed
    [[ $value =~ ^[A-Za-z0-9/._+~:,=@-]+$ ]] || fail "${name^^} is '$value': only letters, digits and /._+~:,=@- are possible"
done
[ -e "$built/promwrite.o" ] && [ -e "$built/licences/INDEX" ] || fail "$built has no built library: run 'make build' first"

soname=$(readlink "$built/libpromwrite.so")
shared=$(readlink "$built/$soname")
version=${shared#libpromwrite.so.}
IFS=. read -r major minor _ <<<"$version"
# without what every compiler driver adds by itself
libraries=$(tr ' ' '\n' <"$built/native-static-libs" | grep -vx -e -lc -e -lgcc_s | paste -sd ' ')
# from the header's folder upwards, as the files of CMake need it
include=$(realpath -m --relative-to="$libdir/cmake/promwrite" "$prefix/include")

filled() { # a template
    sed -e "s|@prefix@|$prefix|" -e "s|@libdir@|${libdir/#"$prefix/"/\$\{prefix\}/}|" -e "s|@include@|$include|" \
        -e "s|@version@|$version|" -e "s|@major@|$major|g" -e "s|@minor@|$minor|" -e "s|@soname@|$soname|" \
        -e "s|@shared@|$shared|" -e "s|@pointer@|$(($(getconf LONG_BIT) / 8))|" "${@:2}" "$1"
}

installed() { # calls $1 for every file and link: kind, mode, source or text of the link, destination
    local file
    for file in "$built"/include/promwrite/*; do
        "$1" file 644 "$file" "$prefix/include/promwrite/${file##*/}"
    done
    "$1" file 755 "$built/$shared" "$libdir/$shared"
    "$1" link - "$shared" "$libdir/$soname"
    "$1" link - "$soname" "$libdir/libpromwrite.so"
    "$1" file 644 "$built/libpromwrite.a" "$libdir/libpromwrite.a"
    "$1" template 644 "$here/promwrite.pc.in" "$libdir/pkgconfig/promwrite.pc" -e "s|@libraries@|$libraries|"
    for file in promwriteConfig promwriteConfigVersion; do
        "$1" template 644 "$here/cmake/$file.cmake.in" "$libdir/cmake/promwrite/$file.cmake" -e "s|@libraries@|${libraries// /;}|"
    done
    while IFS= read -r -d '' file; do
        "$1" file 644 "$built/licences/$file" "$prefix/share/doc/promwrite/licences/$file"
    done < <(cd "$built/licences" && find . -type f -printf '%P\0')
}

put() {
    local to=${DESTDIR:-}$4
    case $1 in
        file) install -D -m "$2" "$3" "$to" ;;
        template) filled "$3" "${@:5}" | install -D -m "$2" /dev/stdin "$to" ;;
        link) mkdir -p "$(dirname "$to")" && ln -sf "$3" "$to" ;;
    esac
}

remove() {
    rm -f "${DESTDIR:-}$4"
}

case $1 in
    install)
        installed put
        echo "promwrite $version is installed in ${DESTDIR:-}$prefix; where the linker's cache is to know it, run ldconfig" ;;
    uninstall)
        installed remove
        for folder in "$prefix/include/promwrite" "$libdir/cmake/promwrite" "$prefix/share/doc/promwrite"; do
            [ ! -d "${DESTDIR:-}$folder" ] || find "${DESTDIR:-}$folder" -depth -type d -empty -delete
        done
        ;;
esac
