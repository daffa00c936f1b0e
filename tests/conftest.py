"""What all tests share: the real servers as fixtures, each test run once for every version of its server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Prometheus, Pushgateway, Server, VictoriaMetrics, binaries

SERVER_FIXTURES = {
    "prometheus_binary",
    "pushgateway_binary",
    "victoria_metrics_binary",
    "remote_write_server",
}


def named(binary: Path) -> str:
    return binary.parent.name


def running(server: Server) -> Iterator[Server]:
    with server:
        yield server
        # Captured by pytest, which shows it when the test failed.
        print(f"the end of the log of {server.binary.parent.name}:\n{server.log_tail()}")


@pytest.fixture(params=binaries("prometheus"), ids=named)
def prometheus_binary(request: pytest.FixtureRequest) -> Path:
    """For a test that starts Prometheus with options of its own."""
    return Path(request.param)


@pytest.fixture(params=binaries("pushgateway"), ids=named)
def pushgateway_binary(request: pytest.FixtureRequest) -> Path:
    """For a test that starts Pushgateway with options of its own."""
    return Path(request.param)


@pytest.fixture(params=binaries("victoria-metrics"), ids=named)
def victoria_metrics_binary(request: pytest.FixtureRequest) -> Path:
    """For a test that starts VictoriaMetrics with options of its own."""
    return Path(request.param)


@pytest.fixture
def prometheus(prometheus_binary: Path) -> Iterator[Server]:
    """A running Prometheus that takes remote write."""
    yield from running(Prometheus(prometheus_binary))


@pytest.fixture
def pushgateway(pushgateway_binary: Path) -> Iterator[Server]:
    """A running Pushgateway."""
    yield from running(Pushgateway(pushgateway_binary))


@pytest.fixture
def victoria_metrics(victoria_metrics_binary: Path) -> Iterator[Server]:
    """A running VictoriaMetrics."""
    yield from running(VictoriaMetrics(victoria_metrics_binary))


@pytest.fixture(
    params=[(Prometheus, binary) for binary in binaries("prometheus")]
    + [(VictoriaMetrics, binary) for binary in binaries("victoria-metrics")],
    ids=lambda pair: named(pair[1]),
)
def remote_write_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A running server of either kind that takes remote write: `write_url` and `query_range_raw`."""
    kind, binary = request.param
    yield from running(kind(binary))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs a real server, so that `make check` can leave it out."""
    for item in items:
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("servers")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test fails the run, because a check that was not made must not read as passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("a skipped test fails the run", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
