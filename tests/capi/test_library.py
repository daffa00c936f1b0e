"""What is in the built files: the functions of the header, bound as the design says, and nothing of this machine."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from types import ModuleType

import pytest
from library import HEADER, ROOT, built, declared, install, run, version

MACHINE_CODE = ["promwrite.o", "libpromwrite.a", "libpromwrite.so"]


def dynamic() -> dict[str, list[str]]:
    """The dynamic section: tag → values."""
    found: dict[str, list[str]] = {}
    for tag, value in re.findall(r"\((\w+)\)\s+(.*)", run("readelf", "-dW", built() / "libpromwrite.so")):
        found.setdefault(tag, []).append(value)
    return found


def crates() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crates", ROOT / "capi" / "crates.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_export_list_is_the_header() -> None:
    names = (ROOT / "capi" / "exports").read_text().split()
    assert len(names) > 60
    assert names == sorted(set(names))
    assert set(names) == declared()


def test_the_shared_library_exports_the_list_with_version() -> None:
    lines = run(
        "nm", "--dynamic", "--defined-only", "--with-symbol-versions", built() / "libpromwrite.so"
    ).splitlines()
    names = {line.split()[2] for line in lines}
    assert names == {f"{name}@@PROMWRITE_0" for name in declared()} | {"PROMWRITE_0"}


@pytest.mark.parametrize("file", ["promwrite.o", "libpromwrite.a"])
def test_the_static_library_exports_the_list(file: str) -> None:
    lines = run("nm", "--extern-only", "--defined-only", built() / file).splitlines()
    assert {line.split()[2] for line in lines if len(line.split()) == 3} == declared()


def test_what_it_is_bound_to() -> None:
    entries = dynamic()
    assert entries["SONAME"] == ["Library soname: [libpromwrite.so.0]"]
    assert set(re.findall(r"\[(.+?)\]", " ".join(entries["NEEDED"]))) <= {
        "libc.so.6",
        "libm.so.6",
        "libgcc_s.so.1",
        "ld-linux-x86-64.so.2",
    }
    flags = " ".join(entries["FLAGS"] + entries["FLAGS_1"]).split()
    assert "NODELETE" in flags
    assert "NOW" in flags
    assert entries.keys().isdisjoint({"RPATH", "RUNPATH", "TEXTREL"})
    segments = run("readelf", "-lW", built() / "libpromwrite.so")
    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK.* RW ", segments)
    assert ".symtab" not in run("readelf", "-SW", built() / "libpromwrite.so")


def test_links_and_versions() -> None:
    folder = built()
    assert (folder / "libpromwrite.so").readlink() == Path("libpromwrite.so.0")
    assert (folder / "libpromwrite.so.0").readlink() == Path(f"libpromwrite.so.{version()}")
    header = HEADER.read_text()
    assert f'#define PROMWRITE_VERSION "{version()}"\n' in header
    for name, number in zip(["MAJOR", "MINOR", "PATCH"], version().split("."), strict=True):
        assert f"#define PROMWRITE_VERSION_{name} {number}\n" in header
    assert (folder / "include" / "promwrite" / "promwrite.h").read_text() == header


def test_size() -> None:
    assert (built() / "libpromwrite.so").stat().st_size <= 3_000_000


@pytest.mark.parametrize("file", MACHINE_CODE)
def test_no_path_of_the_machine_that_built_it(file: str) -> None:
    home = Path.home()
    places = {
        ROOT,
        Path(os.environ.get("CARGO_HOME", home / ".cargo")),
        Path(os.environ.get("RUSTUP_HOME", home / ".rustup")),
        Path(run("rustc", "--print", "sysroot").strip()),
        Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")),
        Path("/home"),
        Path("/root"),
    }
    code = (built() / file).read_bytes()
    # the panics of our own sources say where they are, so this would find a path if it stood there
    assert b"/crates/ureq-" in code
    assert [place for place in places if f"{place}/".encode() in code] == []


def test_the_go_package_has_the_same() -> None:
    assert (ROOT / "go" / "promwrite.h").read_text() == HEADER.read_text(), (
        "go/promwrite.h is stale: run `make capi`"
    )


def test_private_libraries_are_those_that_rustc_names(tmp_path: Path) -> None:
    install(tmp_path)
    named = set((built() / "native-static-libs").read_text().split())
    assert "-lc" in named
    pc = (tmp_path / "lib" / "pkgconfig" / "promwrite.pc").read_text()
    private = re.findall(r"^Libs\.private: (.*)$", pc, re.MULTILINE)[0].split()
    # every compiler driver adds these two
    assert set(private) == named - {"-lc", "-lgcc_s"}


def test_every_linked_crate_has_its_licence() -> None:
    folder = built() / "licences"
    index = (folder / "INDEX").read_text().splitlines()
    linked = [f"{crate.name} {crate.version}" for crate in crates().linked()]
    assert "rustls 0.23" in " ".join(linked)
    assert not {"proptest", "cbindgen", "prost-derive", "pyo3"} & {name.split()[0] for name in linked}
    assert [line.split(":")[0] for line in index] == [*linked, "rust-std"]
    for name in linked:
        texts = list((folder / name.replace(" ", "-")).rglob("*"))
        assert any(text.is_file() and len(text.read_bytes()) > 200 for text in texts), name
    assert (folder / "rust-std").is_dir()


def test_a_crate_without_licence_fails(tmp_path: Path) -> None:
    module = crates()
    bare = tmp_path / "bare"
    (bare / "src").mkdir(parents=True)
    (bare / "src" / "license.rs").write_text("// not a licence\n")
    licensed = tmp_path / "licensed"
    (licensed / "third_party").mkdir(parents=True)
    (licensed / "third_party" / "LICENCE-MIT.txt").write_text("text\n")
    given = [module.Crate("bare", "1.0.0", "MIT", bare), module.Crate("licensed", "2.0.0", "MIT", licensed)]
    assert module.copy_licences(given, tmp_path / "out") == ["bare 1.0.0"]
    assert (tmp_path / "out" / "licensed-2.0.0" / "third_party" / "LICENCE-MIT.txt").read_text() == "text\n"
