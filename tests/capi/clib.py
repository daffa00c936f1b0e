"""The C library for tests: where it lies, how a program is built with it, how the program is run.

The library is what `make build` left in target/capi, or in the folder that PROMWRITE_CAPI names.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAPI = Path(os.environ.get("PROMWRITE_CAPI") or ROOT / "target" / "capi").resolve()
INCLUDE = ROOT / "capi" / "include"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
# What the static library needs beside it.
SYSTEM = ["-lm", "-lpthread", "-ldl"]


def library(name: str = "libpromwrite.a") -> Path:
    """A file of the built library."""
    found = CAPI / name
    if not found.is_file():
        raise FileNotFoundError(f"{found} is missing: `make build` makes it")
    return found


def build(
    source: Path,
    program: Path,
    *,
    compiler: str = "gcc",
    standard: str = "c11",
    flags: Iterable[str] = (),
    link: bool = True,
) -> Path:
    """Compiles one source file, every warning an error, into a program that has the library in it."""
    command = [compiler, f"-std={standard}", "-g", "-O1", *WARNINGS, *flags, f"-I{INCLUDE}", str(source)]
    command += ["-o", str(program), *([str(library())] if link else []), *SYSTEM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    assert done.stderr == "", done.stderr
    return program


def run(
    command: Iterable[str | Path], variables: dict[str, str], *, code: int = 0, seconds: float = 100
) -> str:
    """Runs a program that must end with that code and say nothing on standard error; returns what it printed."""
    done = subprocess.run(
        list(command), env={**os.environ, **variables}, capture_output=True, text=True, timeout=seconds
    )
    assert (done.returncode, done.stderr) == (code, ""), f"{done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
