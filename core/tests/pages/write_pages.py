"""Writes prometheus_client.txt and .om with prometheus_client 0.26.0 and a clock that ticks in seconds."""

import itertools
from pathlib import Path

import prometheus_client.metrics as m
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import generate_latest as text
from prometheus_client.openmetrics.exposition import generate_latest as om

clock = itertools.count(1763697000)
m.time.time = lambda: next(clock) + 0.125
r = CollectorRegistry()
c = Counter("rows_loaded", "Rows loaded, by stage.", ["stage"], registry=r)
c.labels("load").inc(1200, exemplar={"trace_id": "KOO5S4vxi0o"})
c.labels('wr"it\\e\n').inc(3)
g = Gauge("temperature", "Temperature.", ["room"], unit="celsius", registry=r)
g.labels("küche").set(21.5)
g.labels("").set(float("nan"))
g.labels("c").set(float("-inf"))
g.labels("d").set(-0.0)
h = Histogram(
    "batch_seconds",
    "Time of a batch\nin two lines, with a \\ in it.",
    ["job"],
    buckets=(0.005, 1, 2.5, 10, 1e6),
    registry=r,
)
for v in (0.001, 0.7, 3, 99):
    h.labels("a").observe(v, exemplar={"trace_id": f"t{v}"})
h.labels("b").observe(2)
s = Summary("request_bytes", "Size.", ["method"], registry=r)
s.labels("get").observe(512)
s.labels("put").observe(1e12)
i = Info("build", "Build.", registry=r)
i.info({"version": "1.2", "branch": "main"})
e = Enum("task_state", "State.", states=["running", "stopped"], registry=r)
e.state("stopped")


class Own:
    def collect(self):
        u = Metric("free_form", "No type.", "unknown")
        u.add_sample("free_form", {"a": "1"}, 5, timestamp=1763697000.25)
        yield u
        gh = GaugeHistogramMetricFamily("queue_size", "Queue.", labels=["q"])
        gh.add_metric(["x"], [("1.0", 2), ("5", 3), ("+Inf", 4)], 17.5)
        yield gh
        cm = CounterMetricFamily("own", "Own counter.", labels=["l"], created=1763696999.999)
        cm.add_metric(["v"], 17, created=1763696999.999, timestamp=1763697001)
        yield cm
        sm = SummaryMetricFamily("empty", "Without quantiles.", count_value=0, sum_value=0)
        yield sm


r.register(Own())
Path("prometheus_client.txt").write_bytes(text(r))
Path("prometheus_client.om").write_bytes(om(r))
