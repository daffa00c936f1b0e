"""Programs that use the installed library in each way there is, built and run: what they append arrives."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from library import STRICT, install, run
from receiver import FaultReceiver

HERE = Path(__file__).resolve().parent
CONSUMER = HERE / "consumer"
SECOND = HERE / "second_rust"
# (compiler, standard, source)
PROGRAMS = [
    ("gcc", "c99", "consumer.c"),
    ("gcc", "c11", "consumer.c"),
    ("clang", "c11", "consumer.c"),
    ("g++", "c++17", "consumer.cpp"),
    ("clang++", "c++17", "consumer.cpp"),
]
TARGETS = ["promwrite::promwrite", "promwrite::static"]


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation in a folder of its own."""
    folder = tmp_path_factory.mktemp("prefix")
    install(folder)
    return folder


def delivers(program: Path, env: Mapping[str, str] | None = None) -> None:
    """Runs a consumer, whose sample must arrive."""
    with FaultReceiver() as receiver:
        assert run(program, f"{receiver.url}/api/v1/write", env=env) == ""
        assert receiver.samples({"__name__": "built", "kind": "consumer"}) == [(1700000000123, 42.5)]


def needs_shared_library(program: Path) -> bool:
    return "[libpromwrite.so.0]" in run("readelf", "-dW", program)


def pkg_config(libdir: Path, *arguments: str, sysroot: str = "") -> list[str]:
    # LIBDIR and not PATH, because nothing of the machine may be found in its stead
    env = {"PKG_CONFIG_LIBDIR": str(libdir / "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": sysroot}
    if not sysroot:
        del env["PKG_CONFIG_SYSROOT_DIR"]
    return run("pkg-config", *arguments, "promwrite", env=env).split()


@pytest.mark.parametrize(("compiler", "standard", "source"), PROGRAMS)
def test_pkg_config(compiler: str, standard: str, source: str, prefix: Path, tmp_path: Path) -> None:
    flags = pkg_config(prefix / "lib", "--cflags", "--libs")
    assert flags == [f"-I{prefix}/include", f"-L{prefix}/lib", "-lpromwrite"]
    program = tmp_path / "program"
    run(compiler, f"-std={standard}", *STRICT, CONSUMER / source, *flags, "-o", program)
    assert needs_shared_library(program)
    delivers(program, {"LD_LIBRARY_PATH": str(prefix / "lib")})


@pytest.mark.parametrize(("compiler", "standard", "source"), PROGRAMS)
def test_pkg_config_static(compiler: str, standard: str, source: str, prefix: Path, tmp_path: Path) -> None:
    flags = pkg_config(prefix / "lib", "--static", "--cflags", "--libs")
    program = tmp_path / "program"
    run(compiler, f"-std={standard}", *STRICT, "-static", CONSUMER / source, *flags, "-o", program)
    assert "There is no dynamic section" in run("readelf", "-dW", program)
    delivers(program)


def test_pkg_config_of_a_staged_tree(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    install("/usr", "/usr/lib/x86_64-linux-gnu", stage)
    libdir = stage / "usr" / "lib" / "x86_64-linux-gnu"
    # the system's own folders are left out of what pkg-config prints, unless it is told to keep them
    flags = pkg_config(
        libdir, "--keep-system-cflags", "--keep-system-libs", "--cflags", "--libs", sysroot=str(stage)
    )
    program = tmp_path / "program"
    run("gcc", "-std=c11", *STRICT, CONSUMER / "consumer.c", *flags, "-o", program)
    assert needs_shared_library(program)
    delivers(program, {"LD_LIBRARY_PATH": str(libdir)})


@pytest.mark.parametrize(("compiler", "standard", "source"), PROGRAMS)
def test_the_archive(compiler: str, standard: str, source: str, prefix: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    archive = prefix / "lib" / "libpromwrite.a"
    run(
        *(compiler, f"-std={standard}", *STRICT, "-s", "-Wl,--gc-sections"),
        *(f"-I{prefix / 'include'}", CONSUMER / source, archive, "-lm", "-o", program),
    )
    assert not needs_shared_library(program)
    assert program.stat().st_size <= 4_000_000
    delivers(program)


def cmake(root: Path, build: Path, *options: str) -> None:
    run("cmake", "-S", CONSUMER, "-B", build, f"-DCMAKE_PREFIX_PATH={root}", *options)
    run("cmake", "--build", build)


@pytest.mark.parametrize("target", TARGETS)
def test_cmake(target: str, prefix: Path, tmp_path: Path) -> None:
    cmake(prefix, tmp_path, f"-DLIBRARY={target}")
    for program in ["consumer_c", "consumer_cpp"]:
        assert needs_shared_library(tmp_path / program) == (target == "promwrite::promwrite")
        delivers(tmp_path / program)


@pytest.mark.parametrize("target", TARGETS)
def test_cmake_finds_a_tree_that_was_moved(target: str, tmp_path: Path) -> None:
    install("/usr", "/usr/lib/x86_64-linux-gnu", tmp_path / "stage")
    shutil.move(tmp_path / "stage" / "usr", tmp_path / "elsewhere")
    # as on systems where /lib is a link
    (tmp_path / "lib").symlink_to("elsewhere/lib")
    config = tmp_path / "lib" / "x86_64-linux-gnu" / "cmake" / "promwrite"
    cmake(tmp_path / "none", tmp_path / "build", f"-DLIBRARY={target}", f"-Dpromwrite_DIR={config}")
    delivers(tmp_path / "build" / "consumer_c")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("0", True), ("0.1.0;EXACT", True), ("0.1.1", False), ("0.2", False), ("1", False)],
)
def test_cmake_versions(wanted: str, found: bool, prefix: Path, tmp_path: Path) -> None:
    configure = [
        "cmake",
        "-S",
        str(CONSUMER),
        "-B",
        str(tmp_path),
        f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DWANTED={wanted}",
    ]
    if found:
        run(*configure)
    else:
        with pytest.raises(AssertionError, match="compatible with requested"):
            run(*configure)


@pytest.fixture(scope="module", params=["off", "fat"])
def second(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw archive of another Rust library, built without and with link-time optimisation."""
    target = tmp_path_factory.mktemp("second")
    run(
        *("cargo", "build", "--quiet", "--release", "--locked", "--offline", "--target-dir", target),
        cwd=SECOND,
        env={"CARGO_PROFILE_RELEASE_LTO": request.param},
    )
    return target / "release" / "libsecond.a"


@pytest.mark.parametrize("panics_first", ["second", "promwrite"])
@pytest.mark.parametrize("linked_first", ["second", "promwrite"])
def test_beside_another_rust_library(
    linked_first: str, panics_first: str, second: Path, prefix: Path, tmp_path: Path
) -> None:
    archives: list[Path] = [second, prefix / "lib" / "libpromwrite.a"]
    if linked_first == "promwrite":
        archives.reverse()
    program = tmp_path / "program"
    flags = ["-std=c11", *STRICT, f"-I{prefix / 'include'}"]
    run("gcc", *flags, SECOND / "both.c", *archives, "-lm", "-lpthread", "-ldl", "-o", program)
    with FaultReceiver() as receiver:
        said = run(program, f"{receiver.url}/api/v1/write", panics_first, env={"RUST_BACKTRACE": "0"})
        assert "second caught 3\n" in said
        assert "promwrite caught 1: internal error in promwrite_writer_flush" in said
        assert said.startswith(panics_first)
        for name, value in [("before", 1.0), ("after", 2.0)]:
            assert receiver.samples({"__name__": name}) == [(1700000000000, value)]
