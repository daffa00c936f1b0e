"""The header compiles in every dialect: by itself, and in several files of one program."""

from __future__ import annotations

from pathlib import Path

import pytest
from library import STRICT, built, declared, run

DIALECTS = [
    *((compiler, standard, "c") for compiler in ["gcc", "clang"] for standard in ["c99", "c11", "c17"]),
    *(
        (compiler, standard, "c++")
        for compiler in ["g++", "clang++"]
        for standard in ["c++11", "c++17", "c++20"]
    ),
]


@pytest.mark.parametrize(("compiler", "standard", "language"), DIALECTS)
def test_the_header_alone(compiler: str, standard: str, language: str) -> None:
    header = built() / "include" / "promwrite" / "promwrite.h"
    # by way of another file, because a header as the main file gives warnings of its own
    run(
        compiler,
        f"-std={standard}",
        *STRICT,
        "-fsyntax-only",
        "-x",
        language,
        "-include",
        header,
        "/dev/null",
    )


@pytest.mark.parametrize(("compiler", "standard", "language"), DIALECTS)
def test_the_header_in_two_files_of_one_program(
    compiler: str, standard: str, language: str, tmp_path: Path
) -> None:
    twice = "#include <promwrite/promwrite.h>\n#include <promwrite/promwrite.h>\n"
    (tmp_path / "one.c").write_text(
        f"{twice}const char *other(void);\n"
        "int main(void) {\n    return other() == promwrite_version() ? 0 : 1;\n}\n"
    )
    (tmp_path / "two.c").write_text(
        f"{twice}const char *other(void);\nconst char *other(void) {{ return promwrite_version(); }}\n"
    )
    # every function by its address, so that each must be there to link
    table = ",\n    ".join(f"(function){name}" for name in sorted(declared()))
    (tmp_path / "three.c").write_text(
        f"{twice}typedef void (*function)(void);\nextern const function table[];\n"
        f"const function table[] = {{\n    {table}\n}};\n"
    )
    run(
        *(compiler, f"-std={standard}", *STRICT, f"-I{built() / 'include'}"),
        *("-x", language, tmp_path / "one.c", tmp_path / "two.c", tmp_path / "three.c", "-x", "none"),
        *(f"-L{built()}", "-lpromwrite", "-o", tmp_path / "program"),
    )
    run(tmp_path / "program", env={"LD_LIBRARY_PATH": str(built())})
