"""Everything that writes, against the real servers, new and old, and what they hold afterwards."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import promwrite
import pytest
from pages import Key, Page, as_openmetrics, bits, key, number, served
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
    push_to_gateway,
    pushadd_to_gateway,
)
from prometheus_client.parser import text_string_to_metric_families
from servers import (
    NAN,
    PASSWORD,
    USER,
    Prometheus,
    Pushgateway,
    Server,
    VictoriaMetrics,
    binaries,
    labels,
    wait_until,
)

RemoteWriteServer = Prometheus | VictoriaMetrics
Stored = dict[Key, list[tuple[int, int]]]

# Milliseconds that the clock of an append may be behind: it is the kernel's coarse one, which costs next to nothing.
CLOCK = 20

VALUES = {
    "zero": 0.0,
    "minus zero": -0.0,
    "one": 1.0,
    "tenth": 0.1,
    "third": 1 / 3,
    "pi": math.pi,
    "largest whole": 2.0**53,
    "max": sys.float_info.max,
    "min": -sys.float_info.max,
    "smallest normal": sys.float_info.min,
    "denormal": 5e-324,
    "larger denormal": -1.5e-310,
    "inf": math.inf,
    "-inf": -math.inf,
    "nan": math.nan,
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def kept(server: Server, value: int) -> int | None:
    """The bits that a server gives back for these bits, None where it keeps nothing: see the module `servers`."""
    if isinstance(server, VictoriaMetrics):
        if value == NAN:
            return None
        # its decimals end at 1e-308, the last digit included
        if abs(number(value)) < 1e-291:
            return 0
    return value


def assert_stored(server: RemoteWriteServer, selector: str, sent: Stored) -> None:
    """Compares bit by bit; where VictoriaMetrics keeps decimals, to eleven digits."""
    times = [at for samples in sent.values() for at, _ in samples]
    found = {
        key(series): samples
        for series, samples in server.query_range_raw(selector, min(times), max(times)).items()
    }
    expected = {
        series: [(at, k) for at, value in samples if (k := kept(server, value)) is not None]
        for series, samples in sent.items()
    }
    expected = {series: samples for series, samples in expected.items() if samples}
    assert found.keys() == expected.keys()
    if isinstance(server, Prometheus):
        assert found == expected
        return
    for series, samples in expected.items():
        assert [at for at, _ in found[series]] == [at for at, _ in samples]
        for (_, is_), (_, want) in zip(found[series], samples, strict=True):
            assert number(is_) == pytest.approx(number(want), rel=1e-11, abs=0)


@contextmanager
def writing(server: RemoteWriteServer, **options: Any) -> Iterator[promwrite.Writer]:
    """A writer whose samples must all have been delivered at the end."""
    writer = promwrite.Writer(server.write_url, instance="", **options)
    yield writer
    report = writer.close(timeout=30)
    assert report, report
    assert report.delivered + report.superseded == report.accepted
    assert (report.pending, report.rejected, report.dropped) == (0, {}, {})


def test_values_times_and_labels(remote_write_server: RemoteWriteServer) -> None:
    now = now_ms()
    times = [now - 2, now - 1, now]
    sent: Stored = {}
    with writing(remote_write_server, labels={"job": "values"}) as writer:
        for name, value in VALUES.items():
            one = writer.series("by_series", {"value": name}, type="gauge", help="Values.")
            many = writer.series("by_extend", {"value": name, "empty": ""})
            one.append(value)
            many.extend([value] * 3, timestamps_ms=times)
            writer.append(
                "by_name", value, {"value": name}, timestamp=datetime.fromtimestamp(now / 1000, timezone.utc)
            )
            sent[key({"__name__": "by_extend", "job": "values", "value": name})] = [
                (at, bits(value)) for at in times
            ]
            sent[key({"__name__": "by_name", "job": "values", "value": name})] = [(now, bits(value))]
        odd = {"a": 'quote " backslash \\ line\nfeed', "B": "ünï — 字 🎉", "long": "x" * 2000, "job": "own"}
        writer.append("odd_labels", 1, odd, timestamp=now / 1000)
        sent[key({"__name__": "odd_labels", **odd})] = [(now, bits(1.0))]
    assert_stored(remote_write_server, '{__name__=~"by_extend|by_name|odd_labels"}', sent)
    # those without a time got that of the call
    found = remote_write_server.query_range_raw("by_series", now - CLOCK, now_ms())
    with_value = {dict(series)["value"]: samples for series, samples in found.items()}
    for name, value in VALUES.items():
        want = kept(remote_write_server, bits(value))
        assert len(with_value.get(name, [])) == (want is not None)


def registry() -> CollectorRegistry:
    """One metric of each kind."""
    made = CollectorRegistry()
    counter = Counter("rows", "Rows.", ["stage"], registry=made)
    counter.labels("load").inc(3)
    counter.labels('odd "\\\n').inc(0.1)
    Gauge("level", "Level.", registry=made).set(-1.5)
    histogram = Histogram("size_bytes", "Sizes.", registry=made, buckets=(1, 10, 2.5e6))
    summary = Summary("latency_seconds", "Latency.", registry=made)
    for value in (0.5, 5, 50, 5e7):
        histogram.observe(value)
        summary.observe(value)
    Info("build", "Build.", registry=made).info({"version": "1"})
    Enum("state", "State.", states=["up", "down"], registry=made).state("down")
    return made


def rendered(source: CollectorRegistry, *, created: bool, **more: str) -> dict[Key, int]:
    """What prometheus_client's own page of the registry says, without or with the times of creation."""
    page = generate_latest(source).decode()
    return {
        key({**sample.labels, **more, "__name__": sample.name}): bits(sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if created or not sample.name.endswith("_created")
    }


def test_a_registry_as_series(remote_write_server: RemoteWriteServer) -> None:
    source = registry()
    before = now_ms() - CLOCK
    with writing(remote_write_server, labels={"job": "by_push"}) as writer:
        writer.push(source)
        push_to_gateway(
            "unused", job="by_handler", registry=source, grouping_key={"shard": "a/b"}, handler=writer.handler
        )
    for more in ({"job": "by_push"}, {"job": "by_handler", "shard": "a/b"}):
        found = remote_write_server.query_range_raw(f'{{job="{more["job"]}"}}', before, now_ms())
        (at,) = {at for samples in found.values() for at, _ in samples}
        sent = {series: [(at, value)] for series, value in rendered(source, created=False, **more).items()}
        assert len(sent) == 14
        assert_stored(remote_write_server, f'{{job="{more["job"]}"}}', sent)


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    """The servers' own pages, and the same as OpenMetrics."""
    texts = served()
    assert sum(len(page.series()) for page in texts) > 2000
    return texts + [as_openmetrics(page) for page in texts]


def test_the_servers_own_pages(remote_write_server: RemoteWriteServer, pages: list[Page]) -> None:
    with writing(remote_write_server) as writer:
        for page in pages:
            taken = writer.push_text(page.text, content_type=page.content_type, labels={"page": page.source})
            assert taken == len(page.series())
        written = now_ms()
    for page in pages:
        selector = f'{{page="{page.source}"}}'
        found = remote_write_server.query_range_raw(selector, written - 60_000, written + 1)
        (at,) = {at for samples in found.values() for at, _ in samples}
        sent = {series | {("page", page.source)}: [(at, value)] for series, value in page.series().items()}
        assert_stored(remote_write_server, selector, sent)


def without_own_families(page: Page) -> Page:
    """The page without the families that the gateway has under another type: VictoriaMetrics declares none."""
    if not page.source.startswith("victoria-metrics"):
        return page
    lines = page.text.splitlines(keepends=True)
    return page._replace(
        text="".join(line for line in lines if not line.lstrip("#HELPTYIN ").startswith(("go_", "process_")))
    )


def test_the_servers_own_pages_at_a_gateway(pushgateway: Pushgateway, pages: list[Page]) -> None:
    texts = [without_own_families(page) for page in pages if page.content_type.startswith("text/plain")]
    assert len(texts) == 6
    with promwrite.Handler() as handler:
        for page, method in zip(texts, ["PUT", "POST"] * 3, strict=True):
            url = f"{pushgateway.url}/metrics/job/{page.source}"
            headers = [("Content-Type", page.content_type)]
            handler(url=url, method=method, timeout=30, headers=headers, data=page.text.encode())()
        report = handler.flush(timeout=30)
        assert report, report
        assert report.delivered == len(texts)
    groups = pushgateway.groups()
    for page in texts:
        # a gateway refuses nothing of these and adds the job to each series
        held = {key(series): value for series, value in groups[labels({"job": page.source})].items()}
        assert held == {series | {("job", page.source)}: value for series, value in page.series().items()}


def gateway_holds(server: Pushgateway, **group: str) -> dict[Key, int]:
    return {key(series): value for series, value in server.groups().get(labels(group), {}).items()}


def test_the_handler(pushgateway: Pushgateway) -> None:
    source = registry()
    with promwrite.Handler() as handler:
        push_to_gateway(pushgateway.address, "a", source, {"x": "/ y", "n": 9}, handler=handler)
        assert handler.flush(timeout=30)
        group = {"job": "a", "x": "/ y", "n": "9"}
        assert gateway_holds(pushgateway, **group) == rendered(source, created=True, **group)
        other = CollectorRegistry()
        Gauge("other", "Other.", registry=other).set(math.nan)
        pushadd_to_gateway(pushgateway.address, "a", other, {"x": "/ y", "n": 9}, handler=handler)
        assert handler.flush(timeout=30)
        both = {**rendered(source, created=True, **group), key({"__name__": "other", **group}): NAN}
        assert gateway_holds(pushgateway, **group) == both
        push_to_gateway(pushgateway.address, "a", other, {"x": "/ y", "n": 9}, handler=handler)
        assert handler.flush(timeout=30)
        assert gateway_holds(pushgateway, **group) == {key({"__name__": "other", **group}): NAN}
        (stats,) = handler.stats()
    assert (stats["accepted"], stats["delivered"]) == (3, 3)


def test_the_functions_and_the_pusher(pushgateway: Pushgateway) -> None:
    source = registry()
    # a report covers what came since the one before: here, nothing of other tests
    promwrite.flush(timeout=0)
    promwrite.push_to_gateway(pushgateway.address, "by_function", source, {"empty": ""})
    report = promwrite.flush(timeout=30)
    assert report, report
    # an empty label is none
    assert gateway_holds(pushgateway, job="by_function") == rendered(source, created=True, job="by_function")

    group = {"job": "by_pusher", "instance": "here"}
    with promwrite.Pusher(pushgateway.address, "by_pusher", {"instance": "here"}) as pusher:
        pusher.push(source)
        assert pusher.flush(timeout=30)
        assert gateway_holds(pushgateway, **group) == rendered(source, created=True, **group)
        other = CollectorRegistry()
        Gauge("other", "Other.", registry=other).set(5e-324)
        pusher.add(other)
        assert pusher.flush(timeout=30)
        assert gateway_holds(pushgateway, **group)[key({"__name__": "other", **group})] == 1
        assert len(gateway_holds(pushgateway, **group)) == len(rendered(source, created=True)) + 1
        pusher.delete()
        assert pusher.flush(timeout=30)
    # the server answers before it is done
    wait_until(lambda: labels(group) not in pushgateway.groups(), "the deleted group is gone")


@pytest.mark.servers
@pytest.mark.parametrize(
    "binary", binaries("prometheus") + binaries("victoria-metrics"), ids=lambda path: path.parent.name
)
def test_remote_write_with_wrong_credentials_is_held(binary: Path) -> None:
    kind = Prometheus if binary in binaries("prometheus") else VictoriaMetrics
    with kind(binary, basic_auth=True) as server:
        now = now_ms()
        for credentials in [(USER, "wrong"), ("nobody", PASSWORD), None]:
            writer = promwrite.Writer(server.write_url, basic_auth=credentials)
            writer.append("m", 1)
            report = writer.flush(timeout=2)
            assert not report
            assert (report.accepted, report.pending, report.delivered) == (1, 1, 0)
            assert any("401" in failure for failure in report.failures), report.failures
            assert PASSWORD not in repr(report)
            assert not writer.close(timeout=0)
        assert server.query_range_raw("m", now - 1000, now_ms()) == {}
        with writing(server, basic_auth=(USER, PASSWORD)) as writer:
            writer.append("m", 1, timestamp=now / 1000)
        assert_stored(server, "m", {key({"__name__": "m"}): [(now, bits(1.0))]})


def test_a_gateway_with_wrong_credentials_is_told(pushgateway_binary: Path) -> None:
    with Pushgateway(pushgateway_binary, basic_auth=True) as server:
        source = registry()
        for credentials in [(USER, "wrong"), ("nobody", PASSWORD), None]:
            handler = promwrite.Handler(basic_auth=credentials)
            push_to_gateway(server.address, "a", source, handler=handler)
            report = handler.flush(timeout=2)
            assert not report
            assert (report.accepted, report.pending, report.delivered) == (1, 1, 0)
            assert any("401" in failure for failure in report.failures), report.failures
            assert PASSWORD not in repr(report)
            handler.close(timeout=0)
        assert server.groups() == {}
        with promwrite.Handler(basic_auth=(USER, PASSWORD)) as handler:
            push_to_gateway(server.address, "a", source, handler=handler)
            assert handler.flush(timeout=30)
        assert gateway_holds(server, job="a") == rendered(source, created=True, job="a")
