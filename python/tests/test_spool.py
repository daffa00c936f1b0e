"""What a process leaves in its spool directory, another one sends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import promwrite
import pytest
from promwrite.testing import Receiver

JOB = """
import sys, promwrite
writer = promwrite.Writer(sys.argv[1], spool_dir=sys.argv[2], instance="", exit_idle_timeout=0.05)
series = writer.series("m")
for value in range(100):
    series.append(value, 1_700_000_000 + value)
"""


def leave(url: str, directory: Path) -> None:
    """A job that ends while its receiver is away."""
    subprocess.run([sys.executable, "-c", JOB, url, str(directory)], check=True, capture_output=True)


@pytest.fixture
def url() -> str:
    """Of a receiver that is away: the port is free again."""
    with Receiver() as receiver:
        return receiver.write_url


def port(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


def values(receiver: Receiver) -> list[float]:
    (samples,) = receiver.samples.values()
    return [sample.value for sample in samples]


def test_drain_sends_what_an_exit_left(url: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    leave(url, spool)
    away = promwrite.drain(spool, url, 0.2)
    assert (bool(away), away.adopted, away.pending, away.delivered) == (False, 100, 100, 0)
    with Receiver(port=port(url)) as receiver:
        report = promwrite.drain(spool, url, options={"queue_config.min_backoff": "10ms"})
        assert (bool(report), report.adopted, report.delivered) == (True, 100, 100), report
        assert values(receiver) == list(range(100))
    assert not any(spool.iterdir())
    assert "100 adopted" in repr(report)


def test_the_command_says_by_its_exit_code_what_is_left(url: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    leave(url, spool)

    def drain(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "promwrite", "drain", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    assert drain(str(spool), url, "--timeout", "0.2").returncode == 1
    with Receiver(port=port(url)) as receiver:
        done = drain(str(spool), url, "--option", "user_agent=cron")
        assert done.returncode == 0 and "100 delivered" in done.stdout, done
        assert values(receiver) == list(range(100))
    refused = drain(str(tmp_path / "missing"), url)
    assert refused.returncode == 2 and "must be a directory that exists" in refused.stderr


def test_a_report_with_more_on_disk_than_delivered_is_not_true(url: str, tmp_path: Path) -> None:
    writer = promwrite.Writer(url, spool_dir=str(tmp_path / "spool"), instance="")
    writer.append("m", 1)
    report = writer.close(0)
    assert (bool(report), report.spooled, report.dropped, report.pending) == (False, 1, {}, 0)


def test_a_directory_that_others_can_change_is_refused(url: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(promwrite.InvalidError, match=r"spool_dir: .*must not be writable by other users"):
        promwrite.Writer(url, spool_dir=str(tmp_path))
    with pytest.raises(promwrite.InvalidError, match=r"spool_dir: .*an option of Writer"):
        promwrite.Handler(spool_dir=str(tmp_path))
