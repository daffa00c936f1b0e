"""Remote write: what is appended arrives, by label set, value bits and timestamp."""

from __future__ import annotations

import array
import gzip
import inspect
import math
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import prometheus_client
import promwrite
import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily, Metric, SummaryMetricFamily
from promwrite import _promwrite

if TYPE_CHECKING:
    from types import FrameType

    from python.tests.conftest import Server

# a whole second a minute ago
NOW = int(time.time()) - 60


@pytest.fixture
def writer(server: Server) -> Iterator[promwrite.Writer]:
    with promwrite.Writer(f"{server.url}/api/v1/write", labels={"job": "etl"}, instance="h") as writer:
        yield writer


def own(labels: dict[str, str]) -> dict[str, str]:
    """Labels without those that the writer adds."""
    assert (labels.pop("job"), labels.pop("instance")) == ("etl", "h")
    return labels


def test_a_series_its_values_and_what_is_told_of_it(server: Server, writer: promwrite.Writer) -> None:
    rows = writer.series(
        "rows_total", {"stage": "load", "part": 3}, type="counter", help="Rows.", unit="rows"
    )
    values = [0.0, -0.0, 1.5, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, True, 7, np.float32(0.5)]
    for i, value in enumerate(values):
        rows.append(value, NOW + i)
    rows.append(math.nan, NOW + 30.001)
    assert writer.flush()
    samples = server.samples()
    assert all(
        own(labels) == {"__name__": "rows_total", "stage": "load", "part": "3"} for labels, _, _ in samples
    )
    assert [ms for _, ms, _ in samples] == [(NOW + i) * 1000 for i in range(len(values))] + [
        NOW * 1000 + 30_001
    ]
    bits = [struct.pack("d", value) for _, _, value in samples]
    assert bits == [struct.pack("d", value) for value in [*values, math.nan]]
    assert server.metadata()["rows_total"] == ("counter", "Rows.", "rows")
    assert repr(rows) == '<promwrite.Series rows_total{instance="h",job="etl",part="3",stage="load"}>'


def test_now_is_when_it_is_appended(server: Server, writer: promwrite.Writer) -> None:
    writer.append("up", 1, {"a": "b"})
    writer.series("down").append(0)
    assert writer.flush()
    assert len(server.samples()) == 2
    for _, ms, _ in server.samples():
        assert abs(ms / 1000 - time.time()) < 10


def test_times_in_their_forms(server: Server, writer: promwrite.Writer) -> None:
    aware = datetime.fromtimestamp(NOW, timezone.utc).astimezone(timezone(timedelta(hours=5, minutes=30)))
    naive = datetime.fromtimestamp(NOW)
    for i, at in enumerate([NOW, NOW + 0.25, aware, naive, np.float64(NOW), np.int64(NOW)]):
        writer.append("t", 1, {"i": str(i)}, at)
        writer.series("s", {"i": str(i)}).append(1, timestamp=at)
    assert writer.flush()
    got = {(labels["__name__"], labels["i"]): ms for labels, ms, _ in server.samples()}
    for i in range(6):
        assert got["t", str(i)] == got["s", str(i)] == NOW * 1000 + (250 if i == 1 else 0)


@pytest.mark.parametrize(
    ("timestamp", "error", "parts"),
    [
        (
            1_700_000_000_000,
            promwrite.TimestampError,
            ["1700000000000", "as milliseconds it is 2023-11-14T22:13:20Z"],
        ),
        (1_700_000, promwrite.TimestampError, ["as seconds it is 1970-01-20"]),
        (0, promwrite.TimestampError, ["1970-01-01"]),
        (datetime(2000, 1, 1, tzinfo=timezone.utc), promwrite.TimestampError, ["2000-01-01"]),
        (10**400, promwrite.InvalidError, ["timestamp"]),
        (math.nan, promwrite.InvalidError, ["timestamp", "finite"]),
        ("2024-01-01", TypeError, ["timestamp: must be seconds since 1970 or a datetime, not str"]),
    ],
)
def test_times_that_are_refused(
    writer: promwrite.Writer, timestamp: Any, error: type[Exception], parts: list[str]
) -> None:
    appends: list[Callable[[], None]] = [
        lambda: writer.append("a", 1, None, timestamp),
        lambda: writer.series("a").append(1, timestamp),
    ]
    for append in appends:
        with pytest.raises(error) as raised:
            append()
        assert all(part in str(raised.value) for part in parts), raised.value
    assert writer.stats()["accepted"] == 0


@pytest.mark.parametrize("value", ["1", None, [1], b"1"])
def test_values_that_are_no_numbers(writer: promwrite.Writer, value: Any) -> None:
    appends: list[Callable[[], None]] = [
        lambda: writer.append("a", value),
        lambda: writer.series("a").append(value),
    ]
    for append in appends:
        with pytest.raises(TypeError, match="value: must be a real number, not "):
            append()
    assert writer.stats()["accepted"] == 0


MS = [NOW * 1000 + i for i in range(4)]


@pytest.mark.parametrize(
    ("values", "timestamps"),
    [
        ([1, 2.5, True, 4], MS),
        ((1, 2.5, 1, 4), tuple(MS)),
        (array.array("d", [1, 2.5, 1, 4]), array.array("q", MS)),
        (memoryview(array.array("d", [1, 2.5, 1, 4])), memoryview(array.array("l", MS))),
        (np.array([1, 2.5, 1, 4]), np.array(MS)),
        (np.array([1, 9, 2.5, 9, 1, 9, 4])[::2], np.array(MS * 2)[:4]),
        (np.array([1, 2.5, 1, 4], dtype="f4"), np.array(MS).astype("datetime64[ms]")),
        (np.array([1, 2.5, 1, 4], dtype=">f8"), np.array(MS, dtype=">i8")),
        (array.array("f", [1, 2.5, 1, 4]), np.array(MS).astype("datetime64[ms]").astype("datetime64[ns]")),
        ((x for x in [1, 2.5, 1, 4]), iter(MS)),
    ],
)
def test_columns(server: Server, writer: promwrite.Writer, values: Any, timestamps: Any) -> None:
    writer.series("column").extend(values, timestamps_ms=timestamps)
    assert writer.flush()
    assert [(ms, value) for _, ms, value in server.samples()] == list(zip(MS, [1, 2.5, 1, 4], strict=True))


@pytest.mark.parametrize(
    ("values", "timestamps", "error", "part"),
    [
        ([1], MS, promwrite.InvalidError, "timestamps_ms"),
        ([1, "2", 3, 4], MS, TypeError, "values: must be numbers, not str"),
        (np.array(["1"] * 4), MS, TypeError, "values: must be numbers"),
        ([1] * 4, [float(ms) for ms in MS], TypeError, "float"),
        ([1] * 4, np.array(MS, dtype="f8"), TypeError, "timestamps_ms: must be whole milliseconds"),
        ([1] * 4, array.array("d", MS), TypeError, "timestamps_ms: must be whole milliseconds"),
        (np.ones((4, 2)), MS, TypeError, "values: must have one dimension"),
        ([1] * 4, [*MS[:3], NOW], promwrite.TimestampError, "as seconds it is 20"),
        ([1], np.array(["NaT"], dtype="datetime64[ns]"), promwrite.TimestampError, "timestamp"),
    ],
)
def test_columns_that_are_refused_whole(
    writer: promwrite.Writer, values: Any, timestamps: Any, error: type[Exception], part: str
) -> None:
    with pytest.raises(error, match=part):
        writer.series("column").extend(values, timestamps)
    assert writer.stats()["accepted"] == 0


def instruments() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("rows", "Rows\nloaded.", ["a"], registry=registry).labels('x"y\\z\n').inc(3)
    Gauge("level", "Level.", registry=registry, unit="m").set(-2.5)
    Histogram("latency", "Latency.", registry=registry, buckets=[0.1, 1, 1000000]).observe(0.5)
    Summary("size", "Size.", registry=registry).observe(4)
    Info("build", "Build.", registry=registry).info({"version": "1"})
    Enum("state", "State.", states=["up", "down"], registry=registry)
    return registry


class Given:
    """A collector whose numbers in labels are written in other ways."""

    def collect(self) -> Iterable[Metric]:
        yield HistogramMetricFamily("h", "h", buckets=[("1", 1), ("2.50", 2), ("+Inf", 3)], sum_value=4)
        summary = SummaryMetricFamily("s", "h")
        summary.add_sample("s", {"quantile": "0.50", "le": "1"}, 7)
        yield summary
        stamped = Metric("stamped", "h", "gauge")
        stamped.add_sample("stamped", {}, 1, NOW + 0.5)
        stamped.add_sample("stamped_created", {"real": "yes"}, 2)
        yield stamped


def test_a_registry_is_what_a_scrape_of_it_would_be(server: Server, writer: promwrite.Writer) -> None:
    registry = instruments()
    registry.register(Given())
    pushed = writer.push(registry)
    assert writer.flush()
    samples = server.samples()
    told = server.metadata()
    server.requests.clear()
    assert writer.push_text(generate_latest(registry)) == pushed == len(samples)
    assert writer.flush()

    def series(found: list[tuple[dict[str, str], int, float]]) -> dict[frozenset[tuple[str, str]], float]:
        # one with a time of its own was superseded when it came again
        return {
            frozenset(labels.items()): value for labels, _, value in found if labels["__name__"] != "stamped"
        }

    assert series(samples) == series(server.samples())
    names = {labels["__name__"] for labels, _, _ in samples}
    assert "rows_created" not in names
    assert {"rows_total", "build_info", "latency_bucket", "stamped_created"} <= names
    bounds = [labels["le"] for labels, _, _ in samples if labels["__name__"] == "h_bucket"]
    assert sorted(bounds) == ["+Inf", "1.0", "2.5"]
    assert told["rows_total"] == ("counter", "Rows\nloaded.", "")
    assert told["level_m"] == ("gauge", "Level.", "m")
    assert told["build_info"][0] == "info"
    stamps = {ms for labels, ms, _ in samples if labels["__name__"] != "stamped"}
    assert len(stamps) == 1
    assert [ms for labels, ms, _ in samples if labels["__name__"] == "stamped"] == [NOW * 1000 + 500]


def test_a_registry_that_raises_leaves_nothing_behind(writer: promwrite.Writer) -> None:
    class Broken:
        def collect(self) -> Iterable[Metric]:
            yield from instruments().collect()
            raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        writer.push(Broken())
    assert writer.stats()["accepted"] == 0


def test_a_page_of_openmetrics_with_labels(server: Server, writer: promwrite.Writer) -> None:
    page = f'# TYPE a counter\na_total{{x="1"}} 2 {NOW}.5\na_created{{x="1"}} 1\n# EOF\n'
    kind = "application/openmetrics-text; version=1.0.0"
    assert writer.push_text(page, content_type=kind, labels={"x": "lost", "node": 7}) == 1
    assert writer.flush()
    ((labels, ms, value),) = server.samples()
    assert own(labels) == {"__name__": "a_total", "x": "1", "node": "7"}
    assert (ms, value) == (NOW * 1000 + 500, 2)


def test_a_page_with_an_error_is_refused_whole(writer: promwrite.Writer) -> None:
    page = "".join(f"a{i} {i}\n" for i in range(899)) + "broken{ 1\n"
    with pytest.raises(promwrite.ExpositionError) as raised:
        writer.push_text(page)
    assert raised.value.line == 900
    assert raised.value.column > 1
    assert "line 900, column" in str(raised.value)
    with pytest.raises(promwrite.ExpositionError, match="line 2"):
        writer.push_text(b'a 1\nb{x="\xff"} 1\n')
    with pytest.raises(promwrite.InvalidError, match="content_type"):
        writer.push_text("a 1\n", content_type="application/json")
    with pytest.raises(TypeError, match="text: must be bytes or str, not int"):
        writer.push_text(5)  # type: ignore[arg-type]
    assert writer.stats()["accepted"] == 0


@pytest.mark.parametrize("compression", [None, "gzip", "snappy"])
def test_a_job_without_a_gateway(server: Server, writer: promwrite.Writer, compression: str | None) -> None:
    registry = instruments()
    push = promwrite.push_to_gateway if compression == "snappy" else prometheus_client.push_to_gateway
    push("unused", "batch A", registry, {"worker": "3"}, handler=writer.handler, compression=compression)  # type: ignore[arg-type]
    assert writer.flush()
    assert len(server.samples()) > 10
    for labels, _, _ in server.samples():
        assert (labels["job"], labels["worker"], labels["instance"]) == ("batch A", "3", "h")
    with pytest.raises(promwrite.InvalidError, match="remote write cannot delete"):
        prometheus_client.delete_from_gateway("unused", "batch A", handler=writer.handler)


def test_the_grouping_key_wins_over_a_metrics_own_label_as_at_a_gateway(
    server: Server, writer: promwrite.Writer
) -> None:
    page = b'rows{job="own",stage="load"} 1\n'
    writer.handler(url="http://u/metrics/job/given", method="PUT", timeout=1, headers=[], data=page)()
    writer.push_text(page, labels={"job": "given"})
    assert writer.flush()
    assert {labels["job"] for labels, _, _ in server.samples()} == {"given", "own"}


def test_the_writers_handler_does_nothing_before_its_result_is_called(writer: promwrite.Writer) -> None:
    call = {"url": "http://u/metrics/job/a", "method": "PUT", "timeout": 1, "data": gzip.compress(b"a 1\n")}
    send = writer.handler(**call, headers=[(b"content-encoding", b"gzip")])
    assert writer.stats()["accepted"] == 0
    send()
    assert writer.stats()["accepted"] == 1
    changes: list[dict[str, Any]] = [
        {"url": "http://u/other"},
        {"headers": [("Content-Encoding", "br")]},
        {"data": b"{"},
    ]
    for change in changes:
        with pytest.raises(promwrite.InvalidError):
            writer.handler(**{**call, "headers": [], **change})()


@pytest.mark.parametrize(
    ("name", "labels", "error", "part"),
    [
        ("a b", {}, promwrite.InvalidError, 'metric name: "a b"'),
        ("a", {"x-y": "1"}, promwrite.InvalidError, 'label name: "x-y"'),
        ("a", {"x": None}, TypeError, "label value: must be a str or a number, not NoneType"),
        ("a", {1: "x"}, TypeError, "label name: must be a str, not int"),
        ("a", [("x", "1")], TypeError, "labels: must be a mapping of label name to value, not list"),
        ("a", {"x": "y" * 2_000_000}, promwrite.TooLargeError, "labels of one series"),
    ],
)
def test_names_and_labels_that_are_refused(
    writer: promwrite.Writer, name: str, labels: Any, error: type[Exception], part: str
) -> None:
    for make in (lambda: writer.series(name, labels), lambda: writer.append(name, 1, labels)):
        with pytest.raises(error, match=part):
            make()
    with pytest.raises(promwrite.InvalidError, match='type: "bogus"'):
        writer.series("a", type="bogus")


def test_a_series_own_label_wins_and_utf8_is_an_option(server: Server) -> None:
    with promwrite.Writer(server.url, labels={"job": "a"}, metric_name_validation_scheme="utf8") as writer:
        writer.append("my.metric", 1, {"job": "own", "ü": "ö", "empty": ""})
    ((labels, _, _),) = server.samples()
    assert labels == {"__name__": "my.metric", "job": "own", "ü": "ö", "instance": socket.gethostname()}
    with promwrite.Writer(server.url, instance="") as bare:
        bare.append("a", 1)
    assert server.samples()[-1][0] == {"__name__": "a"}


def test_a_report_covers_the_time_since_the_one_before(server: Server, writer: promwrite.Writer) -> None:
    series = writer.series("a")
    series.append(1, NOW)
    series.append(2, NOW)
    first = writer.flush()
    assert (first.accepted, first.delivered, first.superseded, first.kind) == (2, 1, 1, "samples")
    assert first.url == f"{server.url}/api/v1/write"
    assert first
    assert repr(first).startswith(
        f"<Report of samples to {server.url}/api/v1/write: 2 accepted, 1 delivered, 1 superseded"
    )
    second = writer.flush()
    assert (second.accepted, second.delivered) == (0, 0)
    server.status, server.body = 400, b"out of order"
    series.append(3, NOW + 1)
    third = writer.flush()
    assert not third
    assert third.rejected == {"bad_request": 1}
    assert "out of order" in third.failures[-1]
    stats = writer.stats()
    assert stats["rejected"] == {"bad_request": 1, "after_ambiguous": 0, "too_large": 0, "panic": 0}
    assert (stats["accepted"], stats["delivered"], stats["pending"]) == (3, 1, 0)
    assert stats["requests"]["failed"] >= 1


def test_samples_and_pushes_are_never_added_up(server: Server) -> None:
    # in a process of its own, because it is about every sender of a process
    program = f"""
import promwrite
writer = promwrite.Writer({server.url!r})
writer.append("a", 1)
assert promwrite.flush().samples.accepted == 1
writer.append("a", 2, timestamp={NOW})
writer.append("b", 2)
promwrite.push_to_gateway({server.authority!r}, "a", type("Empty", (), {{"collect": lambda self: []}})())
reports = promwrite.flush(timeout=None)
assert reports and "samples=<Report" in repr(reports)
print(reports.samples.accepted, reports.samples.delivered + reports.samples.superseded)
print(reports.pushes.accepted, reports.pushes.delivered, *sorted(entry["kind"] for entry in promwrite.stats()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.stdout, done.stderr) == ("2 2\n1 1 pushes samples\n", "")


def test_close_ends_it(server: Server) -> None:
    writer = promwrite.Writer(server.url)
    series = writer.series("a")
    series.append(1)
    assert writer.close().delivered == 1
    assert writer.close().accepted == 0
    for use in (lambda: series.append(1), lambda: writer.append("a", 1), lambda: writer.series("b")):
        with pytest.raises(promwrite.ClosedError, match="closed"):
            use()
    with promwrite.Writer(server.url) as other:
        other.append("a", 1)
    assert other.stats()["delivered"] == 1


def test_a_dropped_writer_waits_for_nothing_and_loses_nothing(server: Server) -> None:
    began = time.monotonic()
    writer = promwrite.Writer(server.url, batch_send_deadline="100ms")
    writer.append("kept", 1)
    del writer
    assert time.monotonic() - began < 2
    server.wait(1)
    assert server.samples()[0][0]["__name__"] == "kept"


def test_full_queues(server: Server) -> None:
    server.hang()

    def filled(**options: Any) -> tuple[promwrite.Writer, Callable[[], None]]:
        writer = promwrite.Writer(server.url, capacity=10, **options)
        series = writer.series("a")
        for i in range(10):
            series.append(i, NOW + i)
        return writer, lambda: series.append(1, NOW + 50)

    writer, more = filled()
    more()
    assert writer.close(0).dropped == {"queue_full": 1, "shutdown": 10}
    writer, more = filled(overflow="drop_newest")
    more()
    assert writer.close(0).dropped == {"queue_full": 1, "shutdown": 10}
    for options in ({"overflow": "error"}, {"overflow": "block", "block_timeout": 0.1}):
        writer, more = filled(**options)
        with pytest.raises(promwrite.QueueFullError, match="queue: full") as raised:
            more()
        assert raised.value.retryable
        assert isinstance(raised.value, BufferError)
        assert writer.close(0).dropped == {"shutdown": 10}


def test_an_interrupt_ends_a_flush_and_keeps_the_queue(server: Server) -> None:
    server.hang()
    writer = promwrite.Writer(server.url)
    writer.append("a", 1)

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for wait in (writer.flush, promwrite.flush):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                wait(None)
            assert time.monotonic() - began < 2.2
    finally:
        signal.signal(signal.SIGALRM, before)
    assert writer.stats()["pending"] == 1
    assert writer.close(0).dropped == {"shutdown": 1}


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, promwrite.InvalidError), (math.nan, promwrite.InvalidError), ("5", TypeError)]
)
def test_timeouts_that_are_refused(writer: promwrite.Writer, timeout: Any, error: type[Exception]) -> None:
    for wait in (writer.flush, writer.close, promwrite.flush, promwrite.Handler().flush):
        with pytest.raises(error, match="timeout"):
            wait(timeout)


def test_a_writer_travels_and_opens_its_own_connection(server: Server) -> None:
    writer = promwrite.Writer(
        server.url, labels={"job": "x"}, instance="", remote_timeout=timedelta(seconds=3)
    )
    copy = pickle.loads(pickle.dumps(writer))
    copy.append("a", 1)
    assert copy.flush()
    assert server.samples()[0][0] == {"__name__": "a", "job": "x"}
    assert writer.stats()["accepted"] == 0
    assert repr(copy) == repr(writer) == f"<promwrite.Writer {server.url}/>"


def test_the_api_is_documented_and_typed() -> None:
    for name in promwrite.__all__:
        thing = getattr(promwrite, name)
        if name == "__version__":
            continue
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for attribute, value in vars(thing).items():
                if not attribute.startswith("_") and callable(value):
                    assert inspect.getdoc(value), f"{name}.{attribute}"


def test_remote_write_bodies_are_read_back_in_both_versions() -> None:
    v2 = bytes.fromhex(
        "5cf05b220022085f5f6e616d655f5f22096d795f6d657472696322036a6f62220161220968656c70207465787422077365636f6e64732a270a"
        "04010203041217090000000000c05e4010fbd095ffbc3118f08195ffbc312a06080118052006"
    )
    kind = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    assert _promwrite.decode_write(v2, kind, "snappy") == {
        "timeseries": [
            {"labels": [("__name__", "my_metric"), ("job", "a")], "samples": [(1_700_000_000_123, 123.0)]}
        ],
        "metadata": [{"name": "my_metric", "type": "counter", "help": "help text", "unit": "seconds"}],
    }
    for body, content_type, encoding in [
        (b"\xff", "application/x-protobuf", "snappy"),
        (v2, "application/json", "snappy"),
        (v2, "application/x-protobuf;proto=other", "snappy"),
        (v2, kind, "gzip"),
    ]:
        with pytest.raises(promwrite.InvalidError):
            _promwrite.decode_write(body, content_type, encoding)
    for data in [b"", b"a" * 100_000]:
        assert _promwrite.snappy_unframe(_promwrite.snappy_frame(data)) == data
    with pytest.raises(promwrite.InvalidError, match="snappy frame format"):
        _promwrite.snappy_unframe(b"a 1\n")
