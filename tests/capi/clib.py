"""How a C or C++ program is built with the library in it, and how it is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from library import HEADER, STRICT, built

INCLUDE = HEADER.parents[1]
WARNINGS = [*STRICT, "-Wshadow", "-Wconversion"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
# What the static library needs beside it.
SYSTEM = ["-lm", "-lpthread", "-ldl"]


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
    command += ["-o", str(program), *([str(built() / "libpromwrite.a")] if link else []), *SYSTEM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, ""), f"{' '.join(command)}\n{done.stderr}"
    return program


def output(
    command: Iterable[str | Path], variables: dict[str, str], *, code: int = 0, seconds: float = 100
) -> str:
    """Runs a program that must end with that code and say nothing on standard error; returns what it printed."""
    done = subprocess.run(
        list(command), env={**os.environ, **variables}, capture_output=True, text=True, timeout=seconds
    )
    assert (done.returncode, done.stderr) == (code, ""), f"{done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
