"""Every program in examples/python runs as a reader would run it, and what it wrote is looked at."""

from __future__ import annotations

import math
import os
import re
import ssl
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import trustme
from prometheus_client import CollectorRegistry, Counter, start_http_server
from promwrite.testing import Receiver, labels
from servers import PASSWORD, USER, Prometheus, Pushgateway, VictoriaMetrics, bits
from servers import labels as stored_labels

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "python"


def run(name: str, **variables: str) -> str:
    """Runs an example as a program and returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        env={**os.environ, "WORKER": "7", **variables},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def only(receiver: Receiver, name: str) -> dict[str, str]:
    """The labels of the only series with that name."""
    (found,) = [dict(series) for series in receiver.samples if ("__name__", name) in series]
    return found


def test_writer_quickstart(promwrite_receiver: Receiver) -> None:
    run("writer_quickstart", URL=promwrite_receiver.write_url)
    rows = promwrite_receiver.values("rows_loaded_total", job="quickstart", stage="load", worker="7")
    # values within one millisecond are one sample, the last of them
    assert rows[-1] == 1200.0
    assert set(rows) <= {700.0, 1000.0, 1200.0}
    assert promwrite_receiver.values("temperature_celsius", room="a") == [21.5]
    assert only(promwrite_receiver, "temperature_celsius")["instance"] == os.uname().nodename
    assert promwrite_receiver.metadata["rows_loaded_total"][:2] == ("counter", "Rows loaded.")


def test_tencent_remote_write() -> None:
    with Receiver(basic_auth=("1250000000", "t0ken"), write_path="/api/v1/prom/write") as receiver:
        run("tencent_remote_write", TMP_ADDRESS=receiver.gateway, TMP_APPID="1250000000", TMP_TOKEN="t0ken")
        assert receiver.values("rows_loaded_total", job="etl", stage="load", worker="7") == [1200.0]


def test_tencent_pushgateway() -> None:
    with Receiver(basic_auth=("1250000000", "t0ken")) as receiver:
        run("tencent_pushgateway", TMP_ADDRESS=receiver.gateway, TMP_APPID="1250000000", TMP_TOKEN="t0ken")
        assert (
            'rows_loaded_total{stage="load"} 1200.0\n'
            in receiver.group("batchA", instance="127.0.0.1", worker="7").text
        )
        assert [push.method for push in receiver.pushes] == ["PUT"]


def test_tencent_cls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Receiver(
        basic_auth=("AKID", "k3y"), write_path="/prometheus/topic/api/v1/write", tls=context
    ) as receiver:
        variables = {"CLS_TOPIC": "topic", "CLS_SECRET_ID": "AKID", "CLS_SECRET_KEY": "k3y"}
        run("tencent_cls", CLS_HOST=receiver.gateway, CLS_CA_FILE=str(tmp_path / "ca.pem"), **variables)
        assert receiver.values("rows_loaded_total", job="etl", stage="load", worker="7") == [1200.0]


def test_blueking() -> None:
    with Receiver(headers={"X-BK-TOKEN": "t0ken"}) as receiver:
        run("blueking", BK_ADDRESS=receiver.gateway, BK_TOKEN="t0ken")
        assert (
            "job_duration_seconds 12.5\n" in receiver.group("batchA", instance="my.host.ip", worker="7").text
        )


def test_numpy_extend(promwrite_receiver: Receiver) -> None:
    run("numpy_extend", URL=promwrite_receiver.write_url)
    (samples,) = promwrite_receiver.samples.values()
    assert len(samples) == 10_000
    assert {later.timestamp_ms - sooner.timestamp_ms for sooner, later in pairwise(samples)} == {10}
    assert [sample.value for sample in samples] == pytest.approx(
        [math.sin(20 * n / 9999) for n in range(10_000)], abs=1e-12
    )


def test_batch_without_gateway(promwrite_receiver: Receiver) -> None:
    run("batch_without_gateway", URL=promwrite_receiver.write_url)
    assert promwrite_receiver.values("rows_loaded_total", job="batchA", stage="load", worker="7") == [1200.0]


def test_forward_page(promwrite_receiver: Receiver) -> None:
    registry = CollectorRegistry()
    Counter("c", "A counter.", ["of"], registry=registry).labels("x").inc(3)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        address = f"127.0.0.1:{server.server_port}"
        told = run("forward_page", PAGE_URL=f"http://{address}/metrics", URL=promwrite_receiver.write_url)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert told.startswith("1 samples: ")
    assert promwrite_receiver.samples.keys() == {labels("c_total", of="x", job="node", instance=address)}


def test_pushgateway_handler(pushgateway: Pushgateway) -> None:
    before = time.time()
    run("pushgateway_handler", GATEWAY=pushgateway.address)
    ((group, series),) = pushgateway.groups().items()
    assert group == stored_labels({"job": "batchA", "worker": "7"})
    ((name, value),) = series.items()
    assert ("__name__", "job_last_success_unixtime") in name
    assert bits(str(before)) <= value <= bits(str(time.time()))


def test_changed_import(pushgateway: Pushgateway) -> None:
    run("changed_import", GATEWAY=pushgateway.address)
    ((group, series),) = pushgateway.groups().items()
    assert group == stored_labels({"job": "batchA", "worker": "7"})
    found = {dict(s)["__name__"] + dict(s).get("le", ""): value for s, value in series.items()}
    assert found["file_size_bytes_sum"] == bits("88880")
    assert [found[f"file_size_bytes_bucket{le}"] for le in ("100", "1000", "10000", "+Inf")] == [
        bits(n) for n in "1234"
    ]


def test_pusher(pushgateway: Pushgateway) -> None:
    run("pusher", GATEWAY=pushgateway.address)
    ((group, series),) = pushgateway.groups().items()
    assert dict(group) == {"job": "batchA", "worker": "7", "instance": os.uname().nodename}
    assert list(series.values()) == [bits("1")]


def test_prometheus_remote_write(prometheus: Prometheus) -> None:
    before = time.time_ns() // 1_000_000
    run("prometheus_remote_write", URL=prometheus.write_url)
    held = prometheus.query_range_raw("stage_duration_seconds", before, before + 60_000)
    ((series, ((_, value),)),) = held.items()
    wanted = {"job": "etl", "stage": "load", "worker": "7", "instance": os.uname().nodename}
    assert dict(series) == {"__name__": "stage_duration_seconds", **wanted}
    assert value == bits("1.5")


@pytest.mark.servers
def test_prometheus_remote_write_with_credentials(prometheus_binary: Path) -> None:
    with Prometheus(prometheus_binary, basic_auth=True) as server:
        before = time.time_ns() // 1_000_000
        run("prometheus_remote_write", URL=server.write_url, USERNAME=USER, PASSWORD=PASSWORD)
        assert len(server.query_range_raw("stage_duration_seconds", before, before + 60_000)) == 1


def test_victoriametrics(victoria_metrics: VictoriaMetrics) -> None:
    before = time.time_ns() // 1_000_000
    run("victoriametrics", URL=victoria_metrics.write_url)
    ((series, samples),) = victoria_metrics.query_range_raw(
        "tank_level_ratio", before - 7_200_000, before + 60_000
    ).items()
    assert dict(series)["tank"] == "north"
    assert len(samples) == 61
    assert samples[-1][1] == bits("0.75")
    assert samples[0][1] == bits("0")


def test_every_example_is_tested() -> None:
    """By its source, so that it holds when tests are selected."""
    source = Path(__file__).read_text()
    tested = set(re.findall(r'\brun\(\s*"(\w+)"', source))
    assert {path.stem for path in EXAMPLES.glob("*.py")} == tested


def test_the_readme(promwrite_receiver: Receiver) -> None:
    readme = (EXAMPLES.parents[1] / "README.md").read_text()
    program = "\n".join(re.findall(r"```python\n(.*?)```", readme, re.DOTALL))
    program = program.replace("localhost:9091", promwrite_receiver.gateway)
    program = program.replace("http://localhost:9090/api/v1/write", promwrite_receiver.write_url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{program}\nassert report, report"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, ""), program + done.stderr
    assert promwrite_receiver.values("rows_loaded_total", job="etl", stage="load") == [1200.0]
    assert promwrite_receiver.values("temperature_celsius", room="a") == [21.5]
    assert {dict(key).get("partition") for key in promwrite_receiver.groups} == {None, "3"}
