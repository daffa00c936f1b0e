"""The crates that are linked into the C library, as the lock file has them.

``crates.py roots`` prints the folders that hold their sources, one a line; ``crates.py licences FOLDER`` copies the
licence of each into that folder, Rust's standard library included, and fails when one has none.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LICENCE = re.compile(
    r"(licen[cs]e|unlicense|copying|copyright|notice)([-_.](?!rs$|py$|go$|c$).*)?", re.IGNORECASE
)
# Where a toolchain keeps the notices of the standard library: Rust's own, Debian's.
STANDARD_LIBRARY = ["share/doc/rust/COPYRIGHT-library.html", "share/doc/libstd-rust-dev/copyright"]


class Crate(NamedTuple):
    name: str
    version: str
    licence: str
    folder: Path


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def target() -> str:
    """The platform that is built for, as rustc names it."""
    return output("rustc", "-vV").partition("host: ")[2].split()[0]


def linked() -> list[Crate]:
    """The crates of others that end up in the library: no tests, no build scripts, no macros."""
    platform = target()
    metadata = json.loads(
        output("cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", platform)
    )
    known = {(p["name"], p["version"]): p for p in metadata["packages"]}
    # the tree, because the metadata has the features of the whole workspace, tests included
    tree = output(
        *("cargo", "tree", "--locked", "--package", "promwrite-capi", "--target", platform),
        *("--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"),
    )
    names = {(words[0], words[1].removeprefix("v")) for words in map(str.split, tree.splitlines()) if words}
    return [
        Crate(
            name, version, package["license"] or "see its licence file", Path(package["manifest_path"]).parent
        )
        for name, version in sorted(names)
        if (package := known[name, version])["source"] is not None
    ]


def copy_licences(crates: list[Crate], into: Path) -> list[str]:
    """Copies all licences; returns what has none."""
    shutil.rmtree(into, ignore_errors=True)
    missing = []
    lines = []
    for crate in crates:
        files = [f for f in sorted(crate.folder.rglob("*")) if f.is_file() and LICENCE.fullmatch(f.name)]
        if not files:
            missing.append(f"{crate.name} {crate.version}")
        for file in files:
            copied = into / f"{crate.name}-{crate.version}" / file.relative_to(crate.folder)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)
        lines.append(f"{crate.name} {crate.version}: {crate.licence}\n")

    system = Path(output("rustc", "--print", "sysroot").strip())
    notices = next((found for place in STANDARD_LIBRARY if (found := system / place).is_file()), None)
    if notices is None:
        missing.append(f"Rust's standard library (neither of {', '.join(STANDARD_LIBRARY)} is in {system})")
    else:
        (into / "rust-std").mkdir(parents=True)
        shutil.copyfile(notices, into / "rust-std" / notices.name)
        lines.append("rust-std: MIT OR Apache-2.0\n")
    (into / "INDEX").write_text("".join(lines))
    return missing


def main(arguments: list[str]) -> str | None:
    match arguments:
        case ["roots"]:
            print("\n".join(sorted({str(crate.folder.parent) for crate in linked()})))
        case ["licences", folder]:
            missing = copy_licences(linked(), Path(folder))
            if missing:
                return f"no licence file: {'; '.join(missing)}"
        case _:
            return "usage: crates.py roots | crates.py licences FOLDER"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
