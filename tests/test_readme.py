"""The README's sections for C, C++ and Go are followed word by word, in an empty folder, against a real server.

Only this differs from what a reader does: the clone is a link to this repository, which is built already; what is
installed goes to a folder of the test; and localhost:9090 is the server that the test has started.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import Prometheus, VictoriaMetrics, bits, labels

ROOT = Path(__file__).resolve().parents[1]
Follow = Callable[..., None]
Server = Prometheus | VictoriaMetrics


def blocks(section: str) -> list[tuple[str, str]]:
    """Language and text of each block of a section, in order."""
    readme = (ROOT / "README.md").read_text()
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)^## ", readme, re.DOTALL | re.MULTILINE)
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def follow(tmp_path: Path, remote_write_server: Server) -> Follow:
    """Does what a section says: runs its commands, and writes each program to the file that the next commands name."""

    def run(section: str, files: dict[str, str]) -> None:
        done: list[str] = ["set -eux"]
        for language, text in blocks(section):
            if language != "sh":
                name = files.pop(language)
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_text(
                    text.replace("http://localhost:9090/api/v1/write", remote_write_server.write_url)
                )
                continue
            text = text.replace(
                "git clone <this repository> promwrite", f"[ -e promwrite ] || ln -s '{ROOT}' promwrite"
            )
            # a folder that the Go section makes stands already, because its program lies in it
            text = text.replace("mkdir job", "mkdir -p job")
            text = re.sub(
                r"^make -C promwrite capi$", "test -e promwrite/target/capi/libpromwrite.a", text, flags=re.M
            )
            text = re.sub(r"^sudo (make .*install)", rf"\1 PREFIX='{tmp_path}/usr'", text, flags=re.M)
            text = re.sub(r"^sudo ldconfig$", "", text, flags=re.M)
            assert "sudo" not in text
            done.append(text)
        assert not files, "programs that the section does not have"
        environment = {
            **os.environ,
            "PKG_CONFIG_PATH": f"{tmp_path}/usr/lib/pkgconfig",
            "LD_LIBRARY_PATH": f"{tmp_path}/usr/lib",
            "GOFLAGS": "-mod=mod",
        }
        command = ["bash", "-c", "\n".join(done)]
        told = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110
        )
        assert told.returncode == 0, told.stdout + told.stderr

    return run


def rows(server: Server, started_ms: int) -> list[dict[str, str]]:
    """The series of the programs, each with the value that they wrote."""
    stored = server.query_range_raw("rows_loaded_total", started_ms - 5, started_ms + 120_000)
    for samples in stored.values():
        assert [value for _, value in samples] == [bits("1200")] * len(samples)
    return [dict(series) for series in stored]


def expected(**more: str) -> dict[str, str]:
    host = os.uname().nodename
    return dict(labels({"__name__": "rows_loaded_total", "stage": "load", "instance": host, **more}))


def test_c_and_cpp(follow: Follow, remote_write_server: Server) -> None:
    started = time.time_ns() // 1_000_000
    follow("C and C++", {"c": "rows.c", "cpp": "rows.cpp"})
    assert rows(remote_write_server, started) == [expected()]


def test_go(follow: Follow, remote_write_server: Server) -> None:
    started = time.time_ns() // 1_000_000
    follow("Go", {"go": "job/main.go"})
    assert rows(remote_write_server, started) == [expected(job="etl")]
