"""C and C++ programs that use the library wrongly, from many threads, after forks, under signals, and that end in every
way: each plain, under the sanitizers and under valgrind, against a receiver that says what arrived."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clib import INCLUDE, SANITIZERS, SYSTEM, WARNINGS, build, output
from library import built as library
from library import declared
from receiver import FaultReceiver, Sample, cut, status

PROGRAMS = Path(__file__).resolve().parent / "programs"
TIME = 1_700_000_000_000
# definite alone, because what the sending thread holds at exit is found by inner pointers only: "possibly lost"
LEAKS = ["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]
VALGRIND = ["valgrind", "-q", "--error-exitcode=9"]
KINDS = ["plain", "sanitized", "valgrind"]
Built = Callable[..., list[str]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The command of a program of that name, built once each way."""
    folder = tmp_path_factory.mktemp("programs")

    def command(name: str, kind: str = "plain", *, link: bool = True) -> list[str]:
        sanitized = kind == "sanitized"
        program = folder / f"{name}-sanitized" if sanitized else folder / name
        if not program.exists():
            build(PROGRAMS / f"{name}.c", program, flags=SANITIZERS if sanitized else [], link=link)
        if sanitized:
            symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
            assert " __asan_init" in symbols, "the sanitizer is not in the program"
            assert " __ubsan_handle_" in symbols, "the sanitizer is not in the program"
        # a forked child leaks the parent's senders on purpose, because to touch them could disturb the parent
        leaks = [] if name == "forks" else LEAKS
        return [*([*VALGRIND, *leaks] if kind == "valgrind" else []), str(program)]

    return command


def at(receiver: FaultReceiver) -> dict[str, str]:
    return {"URL": f"{receiver.url}/api/v1/write", "GATEWAY": receiver.address}


def all_held(receiver: FaultReceiver) -> dict[tuple[str, str | None], list[tuple[int, float]]]:
    """Milliseconds since TIME and value of every sample, by the series' name and its label `of`."""
    return {
        (series["labels"].pop("__name__"), series["labels"].pop("of", None)): [
            (s["ts_ms"] - TIME, Sample(s["ts_ms"], s["value_bits"]).value) for s in series["samples"]
        ]
        for series in receiver.store()["series"]
    }


def held(receiver: FaultReceiver, name: str, of: str | None = None) -> list[tuple[int, float]]:
    """The same of one series."""
    return all_held(receiver).get((name, of), [])


def test_a_sanitizer_finds_what_is_wrong(tmp_path: Path) -> None:
    """That the runs below can fail: a program that reads freed memory of the library's caller does."""
    source = tmp_path / "wrong.c"
    source.write_text(
        "#include <promwrite/promwrite.h>\n"
        "int main(void) {\n"
        "    promwrite_options *options = promwrite_options_new();\n"
        "    promwrite_options_free(options);\n"
        "    return *(volatile char *)options == 77;\n"
        "}\n"
    )
    sanitized = build(source, tmp_path / "sanitized", flags=SANITIZERS)
    found = subprocess.run([sanitized], capture_output=True, text=True, timeout=60)
    assert found.returncode != 0
    assert "heap-use-after-free" in found.stderr
    plain = build(source, tmp_path / "plain")
    found = subprocess.run([*VALGRIND, *LEAKS, plain], capture_output=True, text=True, timeout=60)
    assert found.returncode == 9
    assert "Invalid read" in found.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_bad_arguments(built: Built, kind: str) -> None:
    with FaultReceiver() as receiver:
        assert re.fullmatch(r"\d{3} refused\n", output(built("arguments", kind), at(receiver)))
        assert receiver.requests() == []


def test_bad_arguments_are_given_to_every_function() -> None:
    functions = declared()
    assert len(functions) > 60
    source = (PROGRAMS / "arguments.c").read_text()
    called = set(re.findall(r"\b(promwrite_\w+)\(", source))
    kinds = re.findall(r"BAD_WAITS\((\w+), \w+\);", source)
    called |= {
        f"promwrite_{kind}_{name}"
        for kind in kinds
        for name in re.findall(r"promwrite_##kind##_(\w+)\(", source)
    }
    assert functions - called == set()


@pytest.mark.parametrize("kind", KINDS)
def test_closed(built: Built, kind: str) -> None:
    with FaultReceiver() as receiver:
        assert output(built("closed", kind), at(receiver)) == "closed\n"
        assert held(receiver, "closed", "from another thread") == [(0, 1)]
        assert held(receiver, "closed", "freed") == [(0, 1)]
        assert held(receiver, "waits") == [(0, 1)]
        assert held(receiver, "shut") == [(0, 1)]
        groups = {group["key"]["job"]: group["families"] for group in receiver.store()["groups"]}
        assert groups.keys() == {"closed", "handled"}


@pytest.mark.parametrize("kind", KINDS)
def test_eight_threads(built: Built, kind: str) -> None:
    with FaultReceiver() as receiver:
        delivered = int(output(built("threads", kind), at(receiver)))
        # of the shared series each millisecond comes eight times and is delivered once
        assert delivered == 9 * 2000
        samples = [(n, float(n)) for n in range(2000)]
        series = {("own", str(number)) for number in range(8)} | {("shared", "all")}
        assert all_held(receiver) == dict.fromkeys(series, samples)


# Forks are not sanitized, because AddressSanitizer's own allocator is no good after one: it stays locked for ever where
# the sending thread was just in it.
@pytest.mark.parametrize("kind", ["plain", "valgrind"])
def test_a_fork(built: Built, kind: str) -> None:
    with FaultReceiver() as receiver:
        output(built("forks", kind), at(receiver))
        assert held(receiver, "fork", "parent") == [(0, 0), (1, 1), (2, 2)]
        assert held(receiver, "fork", "child") == [(1, 1)]
        assert held(receiver, "fork", "child that exits") == [(3, 3)]
        assert held(receiver, "fork", "made in the child") == [(2, 2)]
        # each of the three processes over connections of its own
        assert receiver.counts()["connections"] == len(receiver.requests()) == 3


@pytest.mark.parametrize(("kind", "forks"), [("plain", 200), ("valgrind", 20)])
def test_forks_while_threads_append(built: Built, kind: str, forks: int) -> None:
    with FaultReceiver() as receiver:
        output([*built("forks", kind), str(forks)], at(receiver))
        found = all_held(receiver)
        for number in range(forks):
            assert found.pop(("child", str(number))) == [(0, number)]
        for number in range(4):
            assert found.pop(("busy", str(number))) == [(n, float(n)) for n in range(forks * 50)]
        assert found == {}


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_signals(built: Built, kind: str) -> None:
    # resets while the client writes, which is where SIGPIPE would come from
    faults = [
        cut("first_byte"),
        cut("mid_headers"),
        cut("mid_body", after_bytes=1),
        cut("after_accept"),
        status(503),
    ]
    with FaultReceiver(faults) as receiver:
        told = output(built("signals", kind), at(receiver))
        assert re.fullmatch(r"delivered 20000, failed requests [1-9]\d*\n", told)
        assert held(receiver, "signals", "storm") == [(n, float(n)) for n in range(20_000)]


@pytest.mark.parametrize("end", ["return", "exit", "exit in a thread"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_end_without_close_delivers(built: Built, kind: str, end: str) -> None:
    with FaultReceiver([status(503)]) as receiver:
        output([*built("ends", kind), end], {**at(receiver), "EXIT_IDLE_TIMEOUT": "30s"}, code=7)
        assert held(receiver, "ends", end) == [(0, 1)]
        assert receiver.group(job="ends") is not None


def test_an_end_does_not_wait_for_the_dead(built: Built) -> None:
    with FaultReceiver() as receiver:
        receiver.down()
        began = time.monotonic()
        output([*built("ends"), "exit"], {**at(receiver), "EXIT_IDLE_TIMEOUT": "300ms"}, code=7)
        # ten times what is asked for, because a shared machine may stop a process for as long as it likes
        assert time.monotonic() - began < 3


def test_underscore_exit_loses_what_is_pending_and_does_not_hang(built: Built) -> None:
    with FaultReceiver() as receiver:
        output([*built("ends"), "_exit"], {**at(receiver), "EXIT_IDLE_TIMEOUT": "30s"}, code=7, seconds=10)
        assert receiver.requests() == []


@pytest.mark.parametrize("kind", KINDS)
def test_dlclose_with_data_queued(built: Built, kind: str) -> None:
    command = [*built("dlclose", kind, link=False), str(library() / "libpromwrite.so")]
    with FaultReceiver() as receiver:
        assert output(command, at(receiver)) == "unloaded\n"
        assert held(receiver, "unloaded") == [(0, 1)]


def run_layer(program: Path, exceptions: bool) -> None:
    """Runs the C++ program and looks at what arrived."""
    with FaultReceiver() as receiver:
        told = output([program], at(receiver))
        assert told == ("results and exceptions\n" if exceptions else "results\n")
        found = all_held(receiver)
        assert found.pop(("results", "map")) == [(0, 1), (1, 2), (2, 3), (3, 4)]
        assert found.pop(("results", "list")) == [(0, 5)]
        assert found.pop(("results", "vector")) == [(0, 6)]
        assert found.pop(("page", "page")) == [(0, 7)]
        assert found.pop(("packed", None)) == [(0, 8)]
        methods = [request.method for request in receiver.requests() if "/job/results" in request.path]
        assert methods == ["PUT", "POST", "DELETE"]
        if exceptions:
            assert found.pop(("thrown", None)) == [(0, 1)]
            assert found.pop(("thrown", "list")) == [(0, 2), (1, 3), (2, 4)]
            assert found.pop(("thrown", "append")) == [(0, 5)]
            assert found.pop(("thrown_page", None)) == [(0, 6)]
            for number in range(4):
                assert found.pop(("unwound", str(number))) == [(0, number)]
            help_texts = {
                m["help"] for request in receiver.requests() for m in request.decoded.get("metadata", [])
            }
            assert {"Results.", "Thrown."} <= help_texts
        assert found == {}


@pytest.mark.parametrize("exceptions", [True, False], ids=["exceptions", "results"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_cpp_layer(tmp_path: Path, compiler: str, exceptions: bool) -> None:
    flags = [] if exceptions else ["-fno-exceptions"]
    program = tmp_path / "layer"
    build(PROGRAMS / "layer.cpp", program, compiler=compiler, standard="c++17", flags=flags)
    run_layer(program, exceptions)


def test_the_cpp_layer_sanitized(tmp_path: Path) -> None:
    program = tmp_path / "layer"
    build(PROGRAMS / "layer.cpp", program, compiler="g++", standard="c++17", flags=SANITIZERS)
    run_layer(program, True)


@pytest.mark.parametrize("standard", ["c++20", "c++2b"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_cpp_layer_in_newer_standards(compiler: str, standard: str) -> None:
    for flags in ([], ["-DPROMWRITE_NO_EXCEPTIONS"]):
        command = [compiler, f"-std={standard}", "-fsyntax-only", *WARNINGS, *flags, f"-I{INCLUDE}"]
        done = subprocess.run([*command, PROGRAMS / "layer.cpp"], capture_output=True, text=True, timeout=100)
        assert (done.returncode, done.stderr) == (0, "")


def test_both_kinds_of_error_in_one_program(tmp_path: Path) -> None:
    """Units with and without exceptions link together, because their classes have names of their own."""
    (tmp_path / "results.cpp").write_text(
        "#define PROMWRITE_NO_EXCEPTIONS\n#include <promwrite/promwrite.hpp>\n"
        'bool refused() { return !promwrite::Writer::try_make("ftp://x"); }\n'
    )
    (tmp_path / "exceptions.cpp").write_text(
        "#include <promwrite/promwrite.hpp>\n#include <promwrite/promwrite.hpp>\nbool refused();\n"
        "int main() {\n"
        '    try { promwrite::Writer("ftp://x"); } catch (const promwrite::Exception&) { return refused() ? 5 : 1; }\n'
        "    return 2;\n}\n"
    )
    objects = []
    for name in ("results", "exceptions"):
        objects.append(tmp_path / f"{name}.o")
        build(
            tmp_path / f"{name}.cpp", objects[-1], compiler="g++", standard="c++17", flags=["-c"], link=False
        )
    program = tmp_path / "both"
    command = ["g++", *map(str, objects), str(library() / "libpromwrite.a"), *SYSTEM, "-o", str(program)]
    subprocess.run(command, check=True, timeout=100)
    output([program], {}, code=5)
