"""What is wrong is refused with an error that names field, value and rule, and costs nothing that was accepted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from typing import NamedTuple

import promwrite
import pytest
from prometheus_client import CollectorRegistry, Gauge, Metric
from promwrite.testing import Receiver, labels


class Given(NamedTuple):
    """What a case may use; all of it is in use and must stay so."""

    writer: promwrite.Writer
    pusher: promwrite.Pusher
    series: promwrite.Series
    receiver: Receiver


@pytest.fixture
def given(promwrite_receiver: Receiver) -> Iterator[Given]:
    """A writer and a pusher that have accepted something, which must arrive in spite of what follows."""
    with (
        promwrite.Writer(promwrite_receiver.write_url, instance="") as writer,
        promwrite.Pusher(promwrite_receiver.gateway, job="good", instance="") as pusher,
    ):
        series = writer.series("good", {})
        series.append(1, timestamp=1_700_000_000)
        pusher.push(registry())
        yield Given(writer, pusher, series, promwrite_receiver)
        series.append(2, timestamp=1_700_000_001)
        assert writer.flush(timeout=10)
        assert pusher.flush(timeout=10)
        assert promwrite_receiver.samples.keys() == {labels("good")}
        assert promwrite_receiver.values("good") == [1.0, 2.0]
        assert promwrite_receiver.groups.keys() == {labels(job="good")}


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Gauge("g", "A gauge.", registry=made).set(1)
    return made


class Broken:
    """A collector that fails half-way."""

    def collect(self) -> Iterable[Metric]:
        yield from registry().collect()
        raise ZeroDivisionError("of the collector")


def page(lines: int, wrong: str) -> str:
    return "".join(f"m{number} {number}\n" for number in range(lines - 1)) + wrong + "\nlast 1\n"


SECONDS = 1_700_000_000
MILLISECONDS = SECONDS * 1000

CASES: dict[str, tuple[Callable[[Given], object], type[Exception], list[str]]] = {
    "url without host": (
        lambda g: promwrite.Writer("http:///write"),
        promwrite.InvalidError,
        ["url", "http:///write", "host"],
    ),
    "url without scheme": (
        lambda g: promwrite.Writer("prometheus:9090/write"),
        promwrite.InvalidError,
        ["url", "prometheus:9090", "http"],
    ),
    "unknown scheme": (
        lambda g: promwrite.Writer("ftp://host/write"),
        promwrite.InvalidError,
        ["url", "ftp://host", "http"],
    ),
    "empty url": (lambda g: promwrite.Writer(""), promwrite.InvalidError, ["url", '""']),
    "query in a gateway": (
        lambda g: promwrite.Pusher("http://gw:9091?token=x", "a").push(registry()),
        promwrite.InvalidError,
        ["gateway", "query"],
    ),
    "query in the gateway of a function": (
        lambda g: promwrite.push_to_gateway("http://gw:9091?token=x", "a", registry()),
        promwrite.InvalidError,
        ["gateway", "query"],
    ),
    "bad label name": (
        lambda g: g.writer.series("m", {"a-b": "x"}),
        promwrite.InvalidError,
        ["label", "a-b", "[a-zA-Z_]"],
    ),
    "bad metric name": (
        lambda g: g.writer.append("a b", 1),
        promwrite.InvalidError,
        ["metric name", "a b", "[a-zA-Z_:]"],
    ),
    "empty metric name": (lambda g: g.writer.append("", 1), promwrite.InvalidError, ["metric name", '""']),
    "the name as a label": (
        lambda g: g.writer.append("m", 1, {"__name__": "x"}),
        promwrite.InvalidError,
        ["__name__"],
    ),
    "duplicate label in a page": (
        lambda g: g.writer.push_text('m{a="1",a="2"} 1\n'),
        promwrite.ExpositionError,
        ["line 1", "a", "twice"],
    ),
    "duplicate label in an option": (
        lambda g: promwrite.Writer(g.receiver.write_url, labels={"a-b": "1"}),
        promwrite.InvalidError,
        ["label", "a-b"],
    ),
    "NUL in a header": (
        lambda g: promwrite.Writer(g.receiver.write_url, headers={"X-A": "a\0b"}),
        promwrite.InvalidError,
        ["X-A", "header"],
    ),
    "line feed in a header": (
        lambda g: promwrite.Handler(headers={"X-A": "a\r\nX-B: 1"}),
        promwrite.InvalidError,
        ["X-A", "header"],
    ),
    "line feed in a header's name": (
        lambda g: promwrite.Handler(headers={"X-A\n": "a"}),
        promwrite.InvalidError,
        ["header", "X-A"],
    ),
    "a header that is ours": (
        lambda g: promwrite.Writer(g.receiver.write_url, headers={"Content-Encoding": "zstd"}),
        promwrite.InvalidError,
        ["Content-Encoding"],
    ),
    "a set as grouping key": (
        lambda g: promwrite.push_to_gateway("gw:9091", "a", registry(), grouping_key={"instance", "ip"}),  # type: ignore[arg-type]
        promwrite.InvalidError,
        ["grouping_key", "set"],
    ),
    "a bad grouping label": (
        lambda g: promwrite.Pusher("gw:9091", "a", {"a-b": "1"}),
        promwrite.InvalidError,
        ["grouping_key", "a-b"],
    ),
    "an empty job": (lambda g: promwrite.Pusher("gw:9091", ""), promwrite.InvalidError, ["job", "required"]),
    "a registry that raises": (lambda g: g.writer.push(Broken()), ZeroDivisionError, ["of the collector"]),
    "a registry that raises at a gateway": (
        lambda g: g.pusher.push(Broken()),
        ZeroDivisionError,
        ["of the collector"],
    ),
    "milliseconds where seconds are meant": (
        lambda g: g.series.append(1, timestamp=MILLISECONDS),
        promwrite.TimestampError,
        ["timestamp", "seconds", "milliseconds", "2023-11-14"],
    ),
    "seconds where milliseconds are meant": (
        lambda g: g.series.extend([1.0], timestamps_ms=[SECONDS]),
        promwrite.TimestampError,
        ["timestamp", str(SECONDS), "2023-11-14", "1970-01-20"],
    ),
    "one of many in seconds": (
        lambda g: g.series.extend([1.0, 2.0], timestamps_ms=[MILLISECONDS + 5000, SECONDS]),
        promwrite.TimestampError,
        ["timestamp", str(SECONDS)],
    ),
    "the day after tomorrow": (
        lambda g: g.series.append(1, timestamp=time.time() + 2 * 86_400),
        promwrite.TimestampError,
        ["timestamp", "ten minutes"],
    ),
    "the year 1999": (
        lambda g: g.writer.append("m", 1, timestamp=datetime(1999, 1, 1, tzinfo=timezone.utc)),
        promwrite.TimestampError,
        ["timestamp", "2001"],
    ),
    "a timestamp that is no number": (
        lambda g: g.series.append(1, timestamp="now"),
        TypeError,
        ["timestamp", "str"],
    ),
    "a timestamp that is NaN": (
        lambda g: g.series.append(1, timestamp=float("nan")),
        ValueError,
        ["timestamp", "nan"],
    ),
    "a value that is a string": (lambda g: g.series.append("1"), TypeError, ["real number", "str"]),  # type: ignore[arg-type]
    "more values than times": (
        lambda g: g.series.extend([1.0, 2.0], timestamps_ms=[MILLISECONDS]),
        ValueError,
        ["2", "1"],
    ),
    "an error in line 900": (
        lambda g: g.writer.push_text(page(900, "m{a=} 1")),
        promwrite.ExpositionError,
        ["line 900", "column"],
    ),
    "an error in line 900 of OpenMetrics": (
        lambda g: g.writer.push_text(
            page(900, "m  1") + "# EOF\n", content_type="application/openmetrics-text"
        ),
        promwrite.ExpositionError,
        ["line 900", "column"],
    ),
    "a number that is none": (
        lambda g: g.writer.push_text("m 1_000\n"),
        promwrite.ExpositionError,
        ["line 1", "1_000"],
    ),
    "64 MiB in one push": (
        lambda g: g.pusher.push_text(b"m 1\n" * (16 << 20)),
        promwrite.TooLargeError,
        ["bytes", str(64 << 20)],
    ),
    "a label larger than a request": (
        lambda g: g.writer.append("m", 1, {"a": "x" * (64 << 20)}),
        promwrite.TooLargeError,
        ["bytes", "allowed"],
    ),
    "bytes that are not UTF-8": (
        lambda g: g.writer.push_text(b'm{a="\xff"} 1\n'),
        promwrite.ExpositionError,
        ["line 1", "UTF-8"],
    ),
    "surrogates": (lambda g: g.writer.append("m", 1, {"a": "\ud800"}), ValueError, ["surrogates"]),
    "an unknown content type": (
        lambda g: g.writer.push_text("m 1\n", content_type="application/json"),
        promwrite.InvalidError,
        ["content_type", "application/json"],
    ),
    "an unknown option": (
        lambda g: promwrite.Writer(g.receiver.write_url, options={"remote_timout": 1}),
        promwrite.OptionError,
        ["remote_timout", "remote_timeout"],
    ),
    "an unknown keyword": (
        lambda g: promwrite.Handler(remote_timout=1),
        promwrite.OptionError,
        ["remote_timout", "remote_timeout"],
    ),
    "a value out of range": (
        lambda g: promwrite.Writer(g.receiver.write_url, options={"queue_config.capacity": 0}),
        promwrite.InvalidError,
        ["queue_config.capacity", '"0"', "1 to"],
    ),
    "a duration that is none": (
        lambda g: promwrite.Writer(g.receiver.write_url, remote_timeout="soon"),
        promwrite.InvalidError,
        ["remote_timeout", "soon", "duration"],
    ),
    "a certificate file that is missing": (
        lambda g: promwrite.Writer("https://host/write", options={"tls_config.ca_file": "/nowhere/ca.pem"}),
        promwrite.InvalidError,
        ["tls_config.ca_file", "/nowhere/ca.pem"],
    ),
    "two ways to authenticate": (
        lambda g: promwrite.Writer(g.receiver.write_url, basic_auth=("a", "b"), bearer_token="c"),
        promwrite.InvalidError,
        ["basic_auth", "authorization"],
    ),
    "deleting without a gateway": (
        lambda g: g.writer.handler(
            url="http://x/metrics/job/a", method="DELETE", timeout=1, headers=[], data=b""
        )(),
        promwrite.Error,
        ["DELETE"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_and_costs_nothing(case: str, given: Given) -> None:
    act, error, told = CASES[case]
    with pytest.raises(error) as raised:
        act(given)
    message = str(raised.value)
    for part in told:
        assert re.search(re.escape(part), message, re.IGNORECASE), message
    assert len(message) < 1000


def test_every_error_of_ours_is_one_class(given: Given) -> None:
    ours = [error for _, error, _ in CASES.values() if error.__module__.startswith("promwrite")]
    assert len(ours) > 20
    assert all(issubclass(error, promwrite.Error) for error in ours)


def test_closed_is_closed(given: Given) -> None:
    with promwrite.Writer(given.receiver.write_url) as writer:
        series = writer.series("m", {})
    for act in (lambda: writer.append("m", 1), lambda: series.append(1), lambda: writer.push_text("m 1\n")):
        with pytest.raises(promwrite.ClosedError, match="closed") as raised:
            act()
        assert not raised.value.retryable
    assert writer.close(timeout=1).accepted == 0
