"""The C library as `capi/build.sh` made it, and the programs that look at it and use it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "capi" / "include" / "promwrite" / "promwrite.h"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def built() -> Path:
    """The folder of the built library: `$PROMWRITE_CAPI`, or target/capi."""
    folder = ROOT / os.environ.get("PROMWRITE_CAPI", "target/capi")
    assert (folder / "promwrite.o").is_file(), f"{folder} has no built library: run `make build`"
    return folder


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Runs a program that must succeed; returns what it printed. `env` is added to the environment."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def install(
    prefix: Path | str, libdir: Path | str = "", destdir: Path | str = "", what: str = "install"
) -> str:
    """`make install`, or `make uninstall`."""
    return run("make", "-C", ROOT, what, f"PREFIX={prefix}", f"LIBDIR={libdir}", f"DESTDIR={destdir}")


def declared() -> set[str]:
    """The functions that the header declares."""
    code = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    return set(re.findall(r"\b(promwrite_\w+)\(", code))


def version() -> str:
    """The version of the workspace."""
    return (ROOT / "Cargo.toml").read_text().partition('\nversion = "')[2].partition('"')[0]
