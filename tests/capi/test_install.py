"""`make install` copies what was built, to where it was told, and nothing else; `make uninstall` takes it away."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from library import ROOT, built, install, run, version

MULTIARCH = "/usr/lib/x86_64-linux-gnu"


def tree(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file()
    }


def expected(libdir: str) -> set[str]:
    return {
        "include/promwrite/promwrite.h",
        "include/promwrite/promwrite.hpp",
        f"{libdir}/libpromwrite.so.{version()}",
        f"{libdir}/libpromwrite.so.0",
        f"{libdir}/libpromwrite.so",
        f"{libdir}/libpromwrite.a",
        f"{libdir}/pkgconfig/promwrite.pc",
        f"{libdir}/cmake/promwrite/promwriteConfig.cmake",
        f"{libdir}/cmake/promwrite/promwriteConfigVersion.cmake",
    } | {f"share/doc/promwrite/licences/{file}" for file in tree(built() / "licences")}


def state(*folders: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_size)
        for folder in folders
        for path in folder.rglob("*")
    }


def test_a_prefix(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    install(prefix)
    assert tree(prefix) == expected("lib")
    assert (prefix / "lib" / "libpromwrite.so").readlink() == Path("libpromwrite.so.0")
    assert (prefix / "lib" / "libpromwrite.so.0").readlink() == Path(f"libpromwrite.so.{version()}")
    for path in prefix.rglob("*"):
        if path.is_file() and not path.is_symlink():
            wanted = 0o755 if path.name == f"libpromwrite.so.{version()}" else 0o644
            assert path.stat().st_mode & 0o777 == wanted, path
            if path.suffix in {".pc", ".cmake"}:
                assert "@" not in path.read_text()
    # over itself, as an update does
    install(prefix)
    assert tree(prefix) == expected("lib")


def test_a_staged_tree(tmp_path: Path) -> None:
    install("/usr", MULTIARCH, tmp_path / "stage")
    assert tree(tmp_path / "stage" / "usr") == expected("lib/x86_64-linux-gnu")
    assert [path.name for path in (tmp_path / "stage").iterdir()] == ["usr"]
    # nothing in it knows of the staging folder, nor of the folder it was built in
    for path in (tmp_path / "stage").rglob("*"):
        if path.suffix in {".pc", ".cmake"}:
            assert str(tmp_path) not in path.read_text()
            assert str(ROOT) not in path.read_text()
    pc = (tmp_path / "stage" / MULTIARCH[1:] / "pkgconfig" / "promwrite.pc").read_text()
    assert "prefix=/usr\nlibdir=${prefix}/lib/x86_64-linux-gnu\n" in pc


def test_uninstall(tmp_path: Path) -> None:
    other = tmp_path / "usr" / "include" / "other.h"
    other.parent.mkdir(parents=True)
    other.write_text("/* somebody else's */\n")
    install("/usr", MULTIARCH, tmp_path)
    install("/usr", MULTIARCH, tmp_path, what="uninstall")
    assert tree(tmp_path) == {"usr/include/other.h"}
    assert not list(tmp_path.rglob("promwrite*"))


def test_it_only_copies(tmp_path: Path) -> None:
    # no cargo, no compiler, no Python: whoever calls one of them fails
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ["cargo", "rustc", "rustup", "cc", "gcc", "ld", "python3", "curl", "git"]:
        (programs / name).write_text("#!/bin/sh\nexit 99\n")
        (programs / name).chmod(0o755)
    before = state(ROOT / "capi", built())
    run(
        *("make", "-C", ROOT, "install", f"PREFIX={tmp_path / 'prefix'}"),
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CARGO_TARGET_DIR": str(tmp_path / "no-such-folder"),
        },
    )
    assert tree(tmp_path / "prefix") == expected("lib")
    assert state(ROOT / "capi", built()) == before


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PREFIX": "usr/local"}, "PREFIX is 'usr/local': must be an absolute path"),
        ({"LIBDIR": "lib64"}, "LIBDIR is 'lib64': must be an absolute path"),
        ({"PREFIX": "/opt/my programs"}, "PREFIX is '/opt/my programs': only letters, digits and"),
        ({"PROMWRITE_CAPI": "/nonexistent"}, "/nonexistent has no built library: run 'make build' first"),
    ],
)
def test_what_is_wrong_is_named(variables: dict[str, str], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "capi" / "install.sh", "install"],
        env={**os.environ, "DESTDIR": str(tmp_path), **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
