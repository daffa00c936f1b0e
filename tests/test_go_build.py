"""Programs that use the Go package, built in each way there is and run: what they append arrives."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from library import ROOT, built, install, run, version
from receiver import FaultReceiver, cut, hold

SOURCES = ROOT / "tests" / "gobuild"
PACKAGE = "github.com/promwrite/promwrite/go"
WHAT_IT_LACKS = "promwrite_requires_cgo_and_linux_amd64_or_the_tag_promwrite_dynamic"
# what every Linux with glibc has; Go's own net needs libresolv where it asks libc
LIBC = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libresolv.so.2", "ld-linux-x86-64.so.2"}
TS = 1700000000000

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def objects() -> Path:
    """The built C library, whose object the Go package links."""
    folder = built()
    linked = ROOT / "go" / "internal" / "static" / "promwrite_linux_amd64.syso"
    assert linked.is_file(), f"{linked} is missing: run `make build`"
    assert filecmp.cmp(linked, folder / "promwrite.o", shallow=False), f"{linked} is stale: run `make build`"
    return folder


def module(folder: Path, package: Path = ROOT / "go") -> Path:
    """A copy of the programs as a module of somebody else, which finds the Go package in that folder."""
    shutil.copytree(SOURCES, folder)
    run("go", "mod", "edit", f"-replace={PACKAGE}={package}", cwd=folder)
    return folder


def go_build(
    folder: Path, program: str, *flags: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`go build`, which may fail; of the settings of this machine only those of caches and the module proxy count."""
    clean = {"GOFLAGS": "", "GOWORK": "off", "CGO_CFLAGS": "", "CGO_LDFLAGS": ""}
    return subprocess.run(
        ["go", "build", *flags, "-o", f"{folder}/bin/", f"./{program}"],
        cwd=folder,
        env={**os.environ, **clean, **(env or {})},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def build(objects: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds one of the programs, each time in a module of its own."""

    def build(program: str, *flags: str, env: Mapping[str, str] | None = None) -> Path:
        folder = module(tmp_path_factory.mktemp("job") / "job")
        done = go_build(folder, program, *flags, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        return folder / "bin" / program

    return build


@pytest.fixture(scope="module")
def ends(build: Build) -> Path:
    return build("ends")


@pytest.fixture(scope="module")
def storms(build: Build) -> Path:
    return build("storms")


@pytest.fixture(scope="module")
def prefix(objects: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation of the C library in a folder of its own."""
    folder = tmp_path_factory.mktemp("prefix")
    install(folder)
    return folder


def delivers(program: Path, linked: str, env: Mapping[str, str]) -> None:
    """Runs the consumer with nothing but that environment; its sample must arrive."""
    with FaultReceiver() as receiver:
        done = subprocess.run(
            [program, f"{receiver.url}/api/v1/write"], env=env, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{linked}\n", "")
        assert receiver.samples({"__name__": "built", "kind": "consumer"}) == [(TS + 123, 42.5)]


def delivers_everything(program: Path) -> None:
    with FaultReceiver() as receiver:
        assert run(program, receiver.url) == "static\n"
        for job in ("sync", "async"):
            assert receiver.group(job=job) is not None
        assert [value for _, value in receiver.samples({"__name__": "level"})] == [7.0]
        assert receiver.samples({"__name__": "written"}) == [(TS + 123, 42.5)]


def needed(program: Path) -> set[str]:
    """The shared libraries that the program itself names."""
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "-dW", program)))


def loaded(program: Path) -> set[str]:
    """The files that the loader would load for it, but for the kernel's."""
    lines = run("ldd", program).splitlines()
    return {Path(line.split()[0]).name for line in lines} - {"linux-vdso.so.1"}


@pytest.mark.parametrize("flags", [[], ["-trimpath"], ["-trimpath", "-ldflags=-s -w"]], ids=" ".join)
def test_static(flags: list[str], build: Build) -> None:
    program = build("consumer", *flags)
    assert needed(program) <= LIBC
    assert loaded(program) <= LIBC
    delivers(program, "static", {})
    if "-trimpath" in flags:
        # the go tool itself records the folder of the package, because it stands in a replace directive
        folders = b"|".join(re.escape(bytes(folder)) for folder in (ROOT, Path.home()))
        assert not re.findall(rb"(?:%s)/[^\s/]+/" % folders, program.read_bytes())


def test_size(build: Build) -> None:
    """What promwrite adds to a program that sends by net/http already."""
    sizes = []
    for flags, samples in [([], []), (["-tags=grown"], [(TS, 7.0)])]:
        program = build("grown", "-ldflags=-s -w", *flags)
        with FaultReceiver() as receiver:
            run(program, receiver.url)
            assert receiver.group(job="grown") == {"level": "level 7\n"}
            assert receiver.samples({"__name__": "grown"}) == samples
        sizes.append(program.stat().st_size)
    print(f"stripped {sizes[0]}, with promwrite {sizes[1]}: {sizes[1] - sizes[0]} more")
    # more than nothing, because what is not linked would be small too
    assert 1_000_000 < sizes[1] - sizes[0] <= 4_000_000


def test_vendored(objects: Path, tmp_path: Path) -> None:
    package = tmp_path / "promwrite"
    shutil.copytree(ROOT / "go", package)
    folder = module(tmp_path / "job", package)
    run("go", "mod", "vendor", cwd=folder)
    # so that nothing but what was vendored can be built
    shutil.rmtree(package)
    vendored = folder / "vendor" / PACKAGE
    assert (vendored / "promwrite.h").is_file()
    assert filecmp.cmp(
        vendored / "internal" / "static" / "promwrite_linux_amd64.syso",
        objects / "promwrite.o",
        shallow=False,
    )
    done = go_build(folder, "everything", "-mod=vendor", "-trimpath")
    assert (done.returncode, done.stderr) == (0, "")
    delivers_everything(folder / "bin" / "everything")


def test_dynamic(build: Build, prefix: Path) -> None:
    program = build(
        "consumer", "-tags=promwrite_dynamic", env={"PKG_CONFIG_LIBDIR": f"{prefix}/lib/pkgconfig"}
    )
    assert "libpromwrite.so.0" in needed(program)
    # it has nothing of the core itself
    defined = run("nm", "--defined-only", program).split()
    assert not [name for name in defined if name in (ROOT / "capi" / "exports").read_text().split()]
    delivers(program, "dynamic", {"LD_LIBRARY_PATH": f"{prefix}/lib"})


def test_a_core_of_another_version(build: Build, prefix: Path, tmp_path: Path) -> None:
    """Every entry says so, and calls nothing of that core, of which each function but the version's would abort."""
    program = build(
        "entries", "-tags=promwrite_dynamic", env={"PKG_CONFIG_LIBDIR": f"{prefix}/lib/pkgconfig"}
    )
    names = (ROOT / "capi" / "exports").read_text().split()
    names.remove("promwrite_version")
    other = tmp_path / "other.c"
    other.write_text(
        '#include <stdlib.h>\nconst char *promwrite_version(void) { return "99.0.0"; }\n'
        + "".join(f"void {name}(void) {{ abort(); }}\n" for name in names)
    )
    script = f"-Wl,--version-script={built() / 'promwrite.map'}"
    library = tmp_path / "libpromwrite.so.0"
    run("gcc", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", script, other, "-o", library)
    told = run(program, env={"LD_LIBRARY_PATH": str(tmp_path)}).splitlines()
    reason = f'"99.0.0" is refused: the linked core must be of version {version()}'
    assert [line.partition(":")[0] for line in told] == [
        "NewWriter",
        "Write",
        "Write with Async",
        "NewDoer",
        "Push with Async",
        "Flush",
        "Shutdown",
        "TakeLog",
    ]
    assert not [line for line in told if reason not in line]


def test_a_header_of_another_version(objects: Path, tmp_path: Path) -> None:
    package = tmp_path / "promwrite"
    shutil.copytree(ROOT / "go", package)
    header = package / "promwrite.h"
    text, count = re.subn(
        r"^#define PROMWRITE_VERSION_PATCH .*$",
        "#define PROMWRITE_VERSION_PATCH 99",
        header.read_text(),
        flags=re.M,
    )
    assert count == 1
    header.write_text(text)
    done = go_build(module(tmp_path / "job", package), "consumer")
    assert done.returncode != 0
    assert "promwrite.h is of another version than this Go package" in done.stderr


@pytest.mark.parametrize("env", [{"CGO_ENABLED": "0"}, {"GOOS": "windows"}], ids=str)
def test_where_it_cannot_be_built(env: dict[str, str], objects: Path, tmp_path: Path) -> None:
    done = go_build(module(tmp_path / "job"), "consumer", env=env)
    assert done.returncode != 0
    # and nothing else, in which it would be lost
    assert re.findall(r"^\S+:\d+:\d+: (.*)$", done.stderr, re.M) == [f"undefined: {WHAT_IT_LACKS}"]


@pytest.fixture(scope="module")
def second_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw archive of another Rust library."""
    target = tmp_path_factory.mktemp("second")
    run(
        *("cargo", "build", "--quiet", "--release", "--locked", "--offline", "--target-dir", target),
        cwd=ROOT / "tests" / "capi" / "second_rust",
    )
    return target / "release" / "libsecond.a"


@pytest.fixture(scope="module")
def beside(objects: Path, second_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program of two Rust libraries."""
    folder = module(tmp_path_factory.mktemp("second") / "job")
    (folder / "second" / "link.go").write_text(
        f'package main\n\n// #cgo LDFLAGS: {second_library}\nimport "C"\n'
    )
    done = go_build(folder, "second")
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "bin" / "second"


@pytest.mark.parametrize("panics_first", ["second", "promwrite"])
def test_beside_another_rust_library(panics_first: str, beside: Path) -> None:
    with FaultReceiver() as receiver:
        said = run(beside, panics_first, f"{receiver.url}/api/v1/write", env={"RUST_BACKTRACE": "0"})
        assert said.startswith(panics_first)
        assert "second caught 3\n" in said
        assert "promwrite caught true promwrite: internal error in promwrite_writer_flush_start" in said
        for name, value in [("before", 1.0), ("after", 2.0)]:
            assert receiver.samples({"__name__": name}) == [(TS, value)]


def test_the_oldest_go(build: Build) -> None:
    """The one that go.mod asks for; the go tool fetches it from the module proxy unless it is in the cache already."""
    (asked,) = re.findall(r"^go (\S+)$", (ROOT / "go" / "go.mod").read_text(), re.M)
    oldest = asked if asked.count(".") == 2 else f"{asked}.0"
    found = subprocess.run(
        ["go", "version"], env={**os.environ, "GOTOOLCHAIN": f"go{oldest}"}, capture_output=True, text=True
    )
    assert f"go version go{oldest} " in found.stdout, (
        f"needs Go {oldest}, which cannot be had: {found.stderr}"
    )
    program = build("everything", env={"GOTOOLCHAIN": f"go{oldest}"})
    assert run("go", "version", program).split()[1] == f"go{oldest}"
    delivers_everything(program)


@pytest.mark.parametrize("storm", ["children", "signals"])
def test_storms(storm: str, storms: Path) -> None:
    each = 200 * 25
    # broken connections, so that the sending thread meets a pipe that is gone
    faults = [cut("after_accept"), cut("mid_body"), cut("after_body")]
    with FaultReceiver(steps=faults) as receiver:
        told = run(storms, storm, f"{receiver.url}/api/v1/write")
        assert told == f"{each} {each} 0\n"
        found = [receiver.samples({"__name__": "storm", "appender": str(number)}) for number in range(4)]
    assert sum(len(samples) for samples in found) == each
    for samples in found:
        assert samples == [(TS + n, float(n)) for n in range(len(samples))]


@pytest.mark.parametrize(
    ("how", "code", "values"), [("stdout", -signal.SIGPIPE, [1.0]), ("ignored", 0, [1.0, 2.0])]
)
def test_stdout_that_nobody_reads(how: str, code: int, values: list[float], storms: Path) -> None:
    """What SIGPIPE does is what the program has chosen: by default it ends a Go program that writes there."""
    read, write = os.pipe()
    os.close(read)
    with FaultReceiver() as receiver:
        try:
            done = subprocess.run(
                [storms, how, f"{receiver.url}/api/v1/write"],
                stdout=write,
                stderr=subprocess.PIPE,
                timeout=60,
            )
        finally:
            os.close(write)
        assert (done.returncode, done.stderr) == (code, b"")
        assert [value for _, value in receiver.samples({"__name__": "stdout"})] == values


@contextmanager
def pending(program: Path, how: str, url: str, deadline: str) -> Iterator[subprocess.Popen[str]]:
    """The program that has queued its sample and waits for the end of its input."""
    child = subprocess.Popen(
        [program, how, f"{url}/api/v1/write", deadline],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "pending\n"
            yield child
        finally:
            child.kill()


def end(child: subprocess.Popen[str]) -> tuple[float, str, str]:
    """Lets it end; returns how many seconds that took, and what it printed."""
    start = time.monotonic()
    out, err = child.communicate(timeout=60)
    return time.monotonic() - start, out, err


@pytest.mark.parametrize(("how", "code"), [("return", 0), ("exit", 3)])
def test_without_shutdown_what_is_pending_is_lost(how: str, code: int, ends: Path) -> None:
    with FaultReceiver() as receiver:
        with pending(ends, how, receiver.url, "1h") as child:
            seconds, *printed = end(child)
        assert (child.returncode, printed) == (code, ["", ""])
        assert seconds < 2
        assert receiver.counts()["requests"] == 0


@pytest.mark.parametrize(("how", "code"), [("return", 0), ("exit", 3)])
def test_without_shutdown_it_ends_at_once(how: str, code: int, ends: Path) -> None:
    """Though a request is on its way, to a receiver that does not answer."""
    with FaultReceiver(default=hold()) as receiver, pending(ends, how, receiver.url, "0s") as child:
        assert receiver.wait(1, "held")
        seconds, *printed = end(child)
        assert (child.returncode, printed) == (code, ["", ""])
        assert seconds < 2


def test_shutdown_delivers(ends: Path) -> None:
    with FaultReceiver() as receiver:
        with pending(ends, "shutdown", receiver.url, "1h") as child:
            assert end(child)[1:] == ("<nil>\n", "")
        assert child.returncode == 0
        assert receiver.samples({"__name__": "pending"}) == [(TS, 1.0)]


def test_shutdown_gives_up(ends: Path) -> None:
    with FaultReceiver(default=hold()) as receiver, pending(ends, "shutdown", receiver.url, "0s") as child:
        assert receiver.wait(1, "held")
        seconds, out, err = end(child)
        assert (child.returncode, err) == (0, "")
        assert out.startswith("promwrite: 0 rejected, 1 dropped")
        assert 1 <= seconds < 3


def test_sigterm_ends_it_at_once(ends: Path) -> None:
    with FaultReceiver(default=hold()) as receiver, pending(ends, "shutdown", receiver.url, "0s") as child:
        assert receiver.wait(1, "held")
        start = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == -signal.SIGTERM
        assert time.monotonic() - start < 2
