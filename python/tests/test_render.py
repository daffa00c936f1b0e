"""The page that Rust renders of a registry, against prometheus_client's own, byte by byte."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterable

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
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    StateSetMetricFamily,
    SummaryMetricFamily,
    UnknownMetricFamily,
)
from prometheus_client.samples import Exemplar, Timestamp
from promwrite import _promwrite


class Collected:
    """A registry of given families."""

    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


def same(registry: object) -> bytes:
    page = _promwrite.render(registry)
    assert page == generate_latest(registry)  # type: ignore[arg-type]
    return page


def test_every_instrument() -> None:
    registry = CollectorRegistry(target_info={"service": "a"})
    counter = Counter("requests", "Requests\nof a \\ job.", ["code", "path"], registry=registry)
    counter.labels("200", '/a"b\\c\nd').inc(3, {"trace_id": "abc"})
    counter.labels("500", "ünï").inc()
    Counter("bare", "", registry=registry).inc(1e15)
    Gauge("level", "Level.", registry=registry, unit="meters").set(-0.0)
    histogram = Histogram("latency", "Latency.", ["a"], registry=registry)
    histogram.labels("x").observe(0.3, {"trace_id": "abc"})
    Histogram("empty", "Never observed.", ["a"], registry=registry)
    Summary("size", "Size.", registry=registry).observe(4.5)
    Info("build", "Build.", registry=registry).info({"version": "1.2", "branch": "main"})
    Enum("state", "State.", states=["up", "down"], registry=registry).state("down")
    page = same(registry)
    for part in [b"requests_created", b"latency_created", b"target_info", b"# TYPE state gauge"]:
        assert part in page


def test_families_of_custom_collectors() -> None:
    gauges = GaugeMetricFamily("with_time", "h", labels=["b", "a"])
    gauges.add_metric(["1", "2"], 1, timestamp=1234567890.1239)
    gauges.add_metric(["1", "3"], 1, timestamp=Timestamp(12, 999_999_999))
    gauges.add_metric(["1", "4"], True, timestamp=-1.5)
    sizes = GaugeHistogramMetricFamily("sizes", "h", buckets=[("1.0", 2), ("+Inf", 3)], gsum_value=7)
    histogram = HistogramMetricFamily(
        "classic", "h", buckets=[("0.5", 1, Exemplar({"a": "b"}, 0.4))], sum_value=1
    )
    counter = CounterMetricFamily("started", "h", value=2, created=1.5)
    mixed = Metric("mixed", "Ends and starts.", "gauge")
    for suffix in ["_gsum", "_created", "", "_gcount", "_other"]:
        mixed.add_sample("mixed" + suffix, {"z": "1", "a": "2", "Z": "3", "_": "4"}, 5)
    states = StateSetMetricFamily("feature", "h", value={"a": True, "b": False})
    summary = SummaryMetricFamily("s", "h", count_value=1, sum_value=2)
    unknown = UnknownMetricFamily("u", "h", value=math.nan)
    same(Collected(gauges, sizes, histogram, counter, mixed, states, summary, unknown))
    assert _promwrite.render(Collected()) == b""


def test_names_that_older_servers_do_not_take() -> None:
    odd = Metric("a.b ü", "h", "counter")
    odd.add_sample("a.b ü_total", {"x.y": "1", "0digit": "2", "__reserved": "3", "ü": "4"}, 1)
    digits = Metric("0digit", "h", "gauge")
    digits.add_sample("0digit", {}, 1)
    same(Collected(odd, digits))


def test_numbers_as_prometheus_client_writes_them() -> None:
    generator = random.Random(1)
    numbers = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        999999.0,
        1e6,
        1234567.0,
        1234567.5,
        12345678.25,
        -1e7,
        1e15,
        1e16,
        9007199254740993,
    ]
    numbers += [
        1e17,
        123456789012345680.0,
        0.1,
        1e-4,
        0.00012345,
        1e-5,
        1.5e-7,
        5e-324,
        1.7976931348623157e308,
        1e100,
    ]
    numbers += [math.inf, -math.inf, math.nan, True, 10, 1000000, 100000.1, 1e22, 1e21, 12345e10]
    numbers += [struct.unpack("d", generator.randbytes(8))[0] for _ in range(20_000)]
    numbers += [generator.uniform(-1e9, 1e9) for _ in range(5_000)]
    numbers += [float(generator.randrange(10 ** generator.randrange(1, 19))) for _ in range(5_000)]
    family = Metric("n", "h", "gauge")
    for number in numbers:
        family.add_sample("n", {}, number)
    same(Collected(family))


def test_random_registries() -> None:
    generator = random.Random(2)
    alphabet = 'ab_Z09:."\\\n \t中é😀{}=,#'

    def text(longest: int) -> str:
        return "".join(generator.choices(alphabet, k=generator.randrange(longest)))

    def named(longest: int) -> str:
        # a name cannot hold a line feed
        return text(longest).replace("\n", "")

    kinds = ["counter", "gauge", "summary", "histogram", "gaugehistogram", "unknown", "info", "stateset"]
    for _ in range(500):
        families = []
        for _ in range(generator.randrange(4)):
            name = named(8) or "m"
            family = Metric("placeholder", text(20), generator.choice(kinds))
            family.name = name
            for _ in range(generator.randrange(6)):
                suffix = generator.choice(
                    ["", "_total", "_created", "_bucket", "_gsum", "_gcount", "_sum", "_info", named(4)]
                )
                labels = {named(6): text(12) for _ in range(generator.randrange(5))}
                stamp = generator.choice(
                    [None, None, generator.uniform(-1e10, 1e10), generator.randrange(10**10)]
                )
                family.add_sample(
                    name + suffix, labels, generator.choice([1, generator.gauss(0, 1e7), 0.5]), stamp
                )
            families.append(family)
        same(Collected(*families))


def test_what_a_collector_raises_is_raised() -> None:
    class Broken:
        def collect(self) -> Iterable[Metric]:
            yield GaugeMetricFamily("a", "h", value=1)
            raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        _promwrite.render(Broken())


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"name": 1}, "name: must be a str, not int"),
        ({"documentation": None}, "documentation: must be a str, not NoneType"),
        ({"samples": [("a", {"b": 1}, 1, None)]}, "label value: must be a str, not int"),
        ({"samples": [("a", [], 1, None)]}, "sample labels: must be a dict, not list"),
    ],
)
def test_what_is_no_metric_is_refused_by_name(change: dict[str, object], part: str) -> None:
    family = GaugeMetricFamily("a", "h")
    vars(family).update(change)
    with pytest.raises(TypeError, match=part):
        _promwrite.render(Collected(family))
