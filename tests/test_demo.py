"""The demo does what it says: the comparison with a receiver of its own, and the job against a server that is given."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from promwrite.testing import Receiver

DEMO = Path(__file__).resolve().parent / "demo" / "demo.py"
SECRET = "t0ken-of-the-demo"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, DEMO, *arguments], capture_output=True, text=True, timeout=100)


def test_the_comparison() -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    well, hung = done.stdout.split("The receiver hangs")
    rows = [line for line in well.splitlines() if "arrived" in line]
    assert [re.search(r"\d+ \w+ arrived", row) is not None for row in rows] == [True] * 5
    assert not any(re.search(r"\b0 \w+ arrived", row) for row in rows)
    assert "5 of 5 raised in the job" in hung
    assert well.count("ledger, ") == hung.count("ledger, ") == 4
    assert hung.count("were lost") == 4


@pytest.mark.parametrize("kind", ["gateway", "write"])
def test_a_given_server(kind: str, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(f"{SECRET}\n")
    password.chmod(0o600)
    header = tmp_path / "headers"
    header.write_text(f"X-BK-TOKEN: {SECRET}\n")
    header.chmod(0o600)
    with Receiver(basic_auth=("user", SECRET), headers={"X-BK-TOKEN": SECRET}) as receiver:
        url = receiver.url if kind == "gateway" else receiver.write_url
        given = ["--url", url, "--kind", kind, "--header-file", str(header), "--user", "user"]
        done = run(*given, "--password-file", str(password))
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        assert "delivered" in done.stdout
        assert SECRET not in done.stdout
        assert any("file_lines" in group.text for group in receiver.groups.values()) or kind == "write"
        assert (
            any(("__name__", "file_read_lines") in series for series in receiver.samples) or kind == "gateway"
        )
        assert receiver.groups or receiver.samples
        # what is not delivered makes the demo fail, and say why
        password.write_text("another\n")
        done = run(*given, "--password-file", str(password))
        assert done.returncode == 1
        assert "401" in done.stdout
        assert SECRET not in done.stdout
