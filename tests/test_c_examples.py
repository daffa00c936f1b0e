"""Every program in examples/c and examples/cpp runs as a reader would run it, against the real servers, and what these
hold is looked at."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from clib import build, output
from servers import Prometheus, Pushgateway, VictoriaMetrics, bits
from servers import labels as stored_labels

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
COUNTS = {"ERROR": 1200, "WARN": 2400, "INFO": 20_000, "DEBUG": 1000, "other": 401}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with lines of every level, mixed."""
    lines = [
        (n / count, f"2026-01-01 {level}: line {n}") for level, count in COUNTS.items() for n in range(count)
    ]
    file = tmp_path_factory.mktemp("log") / "app.log"
    file.write_text("".join(f"{line}\n" for _, line in sorted(lines)))
    return file


def built(name: str, folder: Path) -> Path:
    """The example, built as the comment at its head says, with the static library."""
    source = EXAMPLES / name
    if source.suffix == ".c":
        return build(source, folder / source.stem)
    flags = ["-fno-exceptions"] if "-fno-exceptions" in source.read_text() else []
    return build(source, folder / source.stem, compiler="g++", standard="c++17", flags=flags)


@pytest.mark.parametrize("name", ["c/log_levels.c", "cpp/log_levels.cpp"])
def test_remote_write(
    remote_write_server: Prometheus | VictoriaMetrics, tmp_path: Path, log: Path, name: str
) -> None:
    # the clock of an append is the kernel's coarse one
    before = time.time_ns() // 1_000_000 - 20
    told = output([built(name, tmp_path), log], {"URL": remote_write_server.write_url, "WORKER": "7"})
    # totals after 10 000, 20 000 and all lines; those within one millisecond are one
    found = re.fullmatch(
        r"http\S+(?: \(samples\))?: accepted (\d+),? delivered (\d+)(?:,? superseded (\d+))?\n", told
    )
    assert found, told
    assert int(found[1]) == 15 == int(found[2]) + int(found[3] or 0)
    held = remote_write_server.query_range_raw("log_lines_total", before, time.time_ns() // 1_000_000)
    common = {
        "__name__": "log_lines_total",
        "job": "log_levels",
        "worker": "7",
        "instance": os.uname().nodename,
    }
    assert {series: samples[-1][1] for series, samples in held.items()} == {
        stored_labels({**common, "level": level}): bits(str(count)) for level, count in COUNTS.items()
    }


@pytest.mark.parametrize("name", ["c/log_levels_gateway.c", "cpp/log_levels_gateway.cpp"])
def test_pushgateway(pushgateway: Pushgateway, tmp_path: Path, log: Path, name: str) -> None:
    told = output([built(name, tmp_path), log], {"GATEWAY": pushgateway.address, "WORKER": "7"})
    found = re.fullmatch(
        r"http\S+(?: \(pushes\))?: accepted 3,? delivered (\d)(?:,? superseded (\d))?\n", told
    )
    assert found, told
    assert int(found[1]) + int(found[2] or 0) == 3
    ((group, series),) = pushgateway.groups().items()
    assert dict(group) == {"job": "log_levels", "worker": "7", "instance": os.uname().nodename}
    assert {dict(labels)["level"]: value for labels, value in series.items()} == {
        level: bits(str(count)) for level, count in COUNTS.items()
    }


@pytest.mark.parametrize("name", ["c/log_levels.c", "cpp/log_levels.cpp"])
def test_mistakes_are_told(tmp_path: Path, log: Path, name: str) -> None:
    program = built(name, tmp_path)
    for arguments, words in [
        ([program], "usage: "),
        ([program, tmp_path / "missing"], "usage: "),
        ([program, log], 'promwrite: url: "ftp://nowhere" is refused: '),
    ]:
        done = subprocess.run(
            arguments, env={**os.environ, "URL": "ftp://nowhere"}, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(words)


def test_every_example_is_tested() -> None:
    """By its source, so that it holds when tests are selected."""
    tested = set(re.findall(r'"(c(?:pp)?/\w+\.c(?:pp)?)"', Path(__file__).read_text()))
    programs = [*EXAMPLES.glob("c/*.c"), *EXAMPLES.glob("cpp/*.cpp")]
    assert {str(path.relative_to(EXAMPLES)) for path in programs} == tested
