"""Every program in examples/go is built, runs as a reader would run it, and what it wrote is looked at."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from promwrite.testing import Receiver
from receiver import FaultReceiver
from servers import PASSWORD, USER, Prometheus, Pushgateway, VictoriaMetrics, bits, labels

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "go"
HOST = os.uname().nodename
CLOSED = "127.0.0.1:1"  # nobody listens at this port, which only root could open

Run = Callable[..., str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them, built."""
    folder = tmp_path_factory.mktemp("go")
    subprocess.run(["go", "vet", "./..."], cwd=EXAMPLES, check=True)
    subprocess.run(["go", "build", "-o", f"{folder}/", "./..."], cwd=EXAMPLES, check=True)
    return folder


@pytest.fixture
def run(built: Path) -> Run:
    """Runs an example as a program and returns what it wrote to its log."""

    def run(name: str, **variables: str) -> str:
        done = subprocess.run(
            [built / name],
            env={**os.environ, "WORKER": "7", **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
        return done.stderr

    return run


def values(server: Prometheus | VictoriaMetrics, name: str, since_ms: int) -> dict[str, list[int]]:
    """The bits of the samples of each series with that name, by its labels as text."""
    held = server.query_range_raw(name, since_ms, since_ms + 120_000)
    return {
        ",".join(f"{key}={value}" for key, value in sorted(series) if key != "__name__"): [
            b for _, b in samples
        ]
        for series, samples in held.items()
    }


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("name", "job", "metric"),
    [
        ("tencent_pushgateway", "db_backup", "db_backup_last_completion_timestamp_seconds"),
        ("tencent_pushgateway_async", "batchA", "job_progress_ratio"),
    ],
)
def test_tencent_pushgateway(run: Run, pushgateway_binary: Path, name: str, job: str, metric: str) -> None:
    with Pushgateway(pushgateway_binary, basic_auth=True) as server:
        before = time.time()
        run(name, TMP_ADDRESS=server.address, TMP_APPID=USER, TMP_TOKEN=PASSWORD)
        ((group, series),) = server.groups().items()
        assert group == labels({"job": job, "instance": HOST, "worker": "7"})
        ((stored, value),) = series.items()
        assert ("__name__", metric) in stored
        if name == "tencent_pushgateway_async":
            assert value == bits("1")
        else:
            assert bits(str(before)) <= value <= bits(str(time.time()))


def test_castai_remote_write(run: Run, remote_write_server: Prometheus | VictoriaMetrics) -> None:
    before = now_ms()
    run("castai_remote_write", URL=remote_write_server.write_url)
    assert values(remote_write_server, "my_metric_name", before) == {"worker=7": [bits("123")]}


def test_castai_remote_write_async(run: Run, remote_write_server: Prometheus | VictoriaMetrics) -> None:
    before = now_ms() - 5000
    told = run("castai_remote_write_async", URL=remote_write_server.write_url)
    assert "3 accepted, 3 delivered" in told
    assert values(remote_write_server, "my_metric_name", before) == {"worker=7": [bits(n) for n in "012"]}


@pytest.mark.servers
def test_eryajf_remote_write(run: Run, victoria_metrics_binary: Path) -> None:
    with VictoriaMetrics(victoria_metrics_binary, basic_auth=True) as server:
        before = now_ms()
        run("eryajf_remote_write", URL=server.write_url, USERNAME=USER, PASSWORD=PASSWORD)
        assert values(server, "my_metric_name", before) == {"worker=7": [bits("123")]}


def test_tencent_cls(run: Run, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Receiver(
        basic_auth=("AKID", "k3y"), write_path="/prometheus/topic/api/v1/write", tls=context
    ) as receiver:
        variables = {"CLS_TOPIC": "topic", "CLS_SECRET_ID": "AKID", "CLS_SECRET_KEY": "k3y"}
        run("tencent_cls", CLS_HOST=receiver.gateway, SSL_CERT_FILE=str(tmp_path / "ca.pem"), **variables)
        assert receiver.values("rows_loaded_total", stage="load", worker="7") == [1200.0]


def test_blueking(run: Run, pushgateway: Pushgateway) -> None:
    """A real gateway, behind one that demands the token."""
    rules = {"auth": {"header": {"name": "X-BK-TOKEN", "value": "t0ken"}}}
    with FaultReceiver(upstream=pushgateway.address, rules=rules) as collector:
        run("blueking", BK_ADDRESS=collector.address, BK_TOKEN="t0ken")
        ((group, series),) = pushgateway.groups().items()
        assert group == labels({"job": "batchA", "instance": "my.host.ip", "worker": "7"})
        assert list(series.values()) == [bits("12.5")]
        assert [request.method for request in collector.requests()] == ["PUT"]


def test_writer(run: Run, prometheus: Prometheus) -> None:
    before = now_ms() - 5000
    run("writer", URL=prometheus.write_url)
    own = f"instance={HOST},job=etl"
    assert values(prometheus, "rows_loaded_total", before) == {
        f"{own},stage=load,worker=7": [bits(n) for n in ("700", "1000", "1200")]
    }
    assert values(prometheus, "temperature_celsius", before) == {f"{own},room=a,worker=7": [bits("21.5")]}


def test_writer_for_tencent(run: Run) -> None:
    with Receiver(basic_auth=("1250000000", "t0ken"), write_path="/api/v1/prom/write") as receiver:
        run("writer", URL=receiver.write_url, USERNAME="1250000000", PASSWORD="t0ken")
        assert receiver.values("rows_loaded_total", job="etl", stage="load", worker="7") == [
            700.0,
            1000.0,
            1200.0,
        ]
        assert receiver.metadata["rows_loaded_total"][:2] == ("counter", "Rows loaded.")


def test_promgather(run: Run, remote_write_server: Prometheus | VictoriaMetrics) -> None:
    before = now_ms() - 10  # the core's clock is coarse
    told = run("promgather", URL=remote_write_server.write_url)
    assert "6 accepted, 6 delivered" in told
    own = f"instance={HOST},job=batchA"
    assert values(remote_write_server, "file_size_bytes_bucket", before) == {
        f"{own},le={bound},worker=7": [bits(n)]
        for bound, n in (("100.0", "1"), ("1000.0", "2"), ("10000.0", "3"), ("+Inf", "4"))
    }
    assert values(remote_write_server, "file_size_bytes_sum", before) == {f"{own},worker=7": [bits("88880")]}
    assert values(remote_write_server, "file_size_bytes_count", before) == {f"{own},worker=7": [bits("4")]}


def test_a_failure_is_in_the_exit_code(built: Path) -> None:
    """All at once, because those that queue wait their five seconds."""
    variables = {
        "TMP_ADDRESS": CLOSED,
        "BK_ADDRESS": CLOSED,
        "CLS_HOST": CLOSED,
        "URL": f"http://{CLOSED}/api/v1/write",
        "TMP_TOKEN": "s3cret",
        "BK_TOKEN": "s3cret",
        "CLS_SECRET_KEY": "s3cret",
        "PASSWORD": "s3cret",
    }
    programs = {
        path.parent.name: subprocess.Popen(
            [built / path.parent.name], env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True
        )
        for path in EXAMPLES.glob("*/main.go")
    }
    for name, program in programs.items():
        _, told = program.communicate(timeout=60)
        assert program.returncode == 1, name
        assert told, name
        assert "s3cret" not in told, name


def test_every_example_is_tested() -> None:
    """By its source, so that it holds when tests are selected."""
    source = Path(__file__).read_text()
    tested = set(re.findall(r'(?:\brun\(\s*|^        \()"(\w+)"', source, re.MULTILINE))
    assert {path.parent.name for path in EXAMPLES.glob("*/main.go")} == tested


def test_every_example_begins_with_shutdown() -> None:
    """Because Go runs no hook when main returns."""
    for path in EXAMPLES.glob("*/main.go"):
        begin = path.read_text().partition("func main() {")[2]
        first = next(
            line for line in begin.splitlines() if line.strip() and not line.strip().startswith("//")
        )
        assert first.strip() in ("defer promwrite.Shutdown(5 * time.Second)", "defer func() {"), path
        assert "promwrite.Shutdown(5 * time.Second)" in begin, path
