"""Pages of metrics as real servers serve them, and what prometheus_client's own readers see in them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from servers import NAN, Prometheus, Pushgateway, Server, VictoriaMetrics, binaries

ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
Key = frozenset[tuple[str, str]]


class Page(NamedTuple):
    """A page and the Content-Type it came with."""

    source: str
    content_type: str
    text: str

    def families(self) -> list[Metric]:
        """What prometheus_client reads in it."""
        return list((read_openmetrics if "openmetrics" in self.content_type else read_text)(self.text))

    def series(self) -> dict[Key, int]:
        """Every series → bits of its value, read by prometheus_client."""
        return {key({"__name__": name, **pairs}): bits(value) for name, pairs, value in self.samples()}

    def samples(self) -> Iterable[tuple[str, dict[str, str], float]]:
        written = {line.partition("{")[0].partition(" ")[0] for line in self.text.splitlines()}
        for family in self.families():
            for sample in family.samples:
                # prometheus_client adds the _total that a counter of the text format may lack
                name = sample.name if sample.name in written else sample.name.removesuffix("_total")
                assert name in written, name
                yield name, sample.labels, float(sample.value)


def bits(value: float) -> int:
    """The bits of a double; every NaN is one."""
    return NAN if value != value else int(struct.unpack("<Q", struct.pack("<d", value))[0])


def number(value: int) -> float:
    """The double of these bits."""
    return float(struct.unpack("<d", struct.pack("<Q", value))[0])


def key(pairs: dict[str, str] | Key) -> Key:
    """A label set to compare: bounds of buckets and quantiles as numbers, because "1" and "1.0" are the same bound."""
    return frozenset(
        (name, repr(float(value)) if name in ("le", "quantile") else value)
        for name, value in dict(pairs).items()
        if value
    )


def served() -> list[Page]:
    """The `/metrics` page of each real server, in the format it prefers of those we ask for."""
    kinds: dict[str, type[Server]] = {
        "prometheus": Prometheus,
        "pushgateway": Pushgateway,
        "victoria-metrics": VictoriaMetrics,
    }
    pages = []
    for kind, server in kinds.items():
        for binary in binaries(kind):
            with server(binary) as running:
                answer = running.request("GET", "/metrics", headers={"Accept": ACCEPT})
                assert answer.status == 200
                pages.append(Page(binary.parent.name, answer.headers["Content-Type"], answer.body.decode()))
    return pages


def as_openmetrics(page: Page) -> Page:
    """The same metrics as OpenMetrics, written by prometheus_client: none of the servers serves its own page so."""
    families: dict[str, Metric] = {}
    for family in page.families():
        merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        if merged.type == family.type:
            # the text format lets the series of a family stand apart
            merged.samples += family.samples
            continue
        # Go serves a gauge x beside a counter x_total, which are one family in OpenMetrics
        apart = Metric(f"{family.name}_total", family.documentation, "unknown")
        apart.samples = family.samples
        families[apart.name] = apart

    class Registry:
        def collect(self) -> Iterable[Metric]:
            return families.values()

    text: str = openmetrics.generate_latest(Registry()).decode()  # type: ignore[no-untyped-call]
    return Page(f"{page.source} as OpenMetrics", openmetrics.CONTENT_TYPE_LATEST, text)
