"""prometheus_client's own tests of pushing, from its source distribution, with our blocking handler for its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / "target" / "upstream"


@pytest.fixture(scope="module")
def sources() -> Path:
    """The unpacked source distribution of the prometheus_client that is installed, fetched once."""
    name = f"prometheus_client-{version('prometheus_client')}"
    if not (TARGET / name).is_dir():
        package = name.replace("-", "==").replace("_", "-")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--no-binary", ":all:", "--dest", TARGET, package], check=True)
        with tarfile.open(TARGET / f"{name}.tar.gz") as archive:
            archive.extractall(TARGET, filter="data")
    return TARGET / name


@pytest.mark.parametrize("replaced", ["handler", "functions"])
def test_their_push_tests_pass(sources: Path, tmp_path: Path, replaced: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "UPSTREAM_REPLACED": replaced,
        "UPSTREAM_CALLS": str(tmp_path / "calls"),
    }
    done = subprocess.run(
        [
            *[sys.executable, "-m", "pytest", "-q", "-p", "upstream_plugin", "-p", "no:cacheprovider"],
            *["-c", os.devnull, "--rootdir", str(sources), f"--junitxml={tmp_path / 'result.xml'}"],
            str(sources / "tests" / "test_exposition.py") + "::TestPushGateway",
        ],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    suite = ElementTree.parse(tmp_path / "result.xml").getroot().find("testsuite")
    assert suite is not None
    assert [suite.get(outcome) for outcome in ("failures", "errors", "skipped")] == ["0", "0", "0"], (
        done.stdout
    )
    assert int(suite.get("tests", 0)) >= 22
    # Their TLS and redirect tests use handlers of their own; all others must have gone through ours.
    assert int((tmp_path / "calls").read_text()) >= 15
