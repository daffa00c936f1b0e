"""What a push, a registry and an append cost the job, against prometheus_client, as ratios measured in one run.

The receivers run in processes of their own: one answers, one reads the request and never answers, one is gone. Medians
of calls made in turns, because the machine's own noise then falls on both sides.
"""

from __future__ import annotations

import gc
import logging
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import prometheus_client
import promwrite
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "receiver"))
from receiver import FaultReceiver, stall

Work = Callable[[], object]


def clocked(work: Work) -> float:
    start = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start) / 1000


def in_turns(rounds: int, *works: Work) -> list[list[float]]:
    """Microseconds of each work, made in turns."""
    times: list[list[float]] = [[] for _ in works]
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for work, to in zip(works, times, strict=True):
            to.append(clocked(work))
    gc.enable()
    return times


def high(times: list[float]) -> float:
    """The 99.9th percentile."""
    return sorted(times)[int(len(times) * 0.999)]


def registry_of(series: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    rows = Gauge("bench_rows", "Rows that a stage holds.", ["stage", "worker"], registry=registry)
    for i in range(series):
        rows.labels(f"stage-{i % 10}", f"worker-{i}").set(i * 1.5)
    return registry


def gone() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "{}:{}".format(*probe.getsockname())


def pushes(live: str) -> None:
    print(
        "\npush_to_gateway with handler=promwrite.handler, against prometheus_client's own handler (live receiver)"
    )
    for series in (1, 100, 5000):
        registry = registry_of(series)

        def push(handler: object, registry: CollectorRegistry = registry) -> None:
            prometheus_client.push_to_gateway(live, job="bench", registry=registry, handler=handler)

        rounds = 40 if series == 5000 else 300
        ours, theirs = in_turns(
            rounds,
            lambda push=push: push(promwrite.handler),
            lambda push=push: push(prometheus_client.exposition.default_handler),
        )
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"  {series:5} series: {a:8.1f} us, theirs {b:8.1f} us, ratio {a / b:.2f}")
        promwrite.flush()


def shares(receivers: dict[str, str]) -> None:
    print("\nthe handler's own share of a push, a body of 10 KB (to reach: 20 us, p99.9 100 us)")
    body = b"x" * 10_000
    headers = [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")]
    for name, address in receivers.items():
        handler = promwrite.Handler(remote_timeout=2)
        url = f"http://{address}/metrics/job/bench"

        def push(handler: promwrite.Handler = handler, url: str = url) -> None:
            handler(url=url, method="PUT", timeout=30, headers=headers, data=body)()

        push()
        (times,) = in_turns(5000, push)
        print(f"  {name:8} receiver: median {statistics.median(times):6.1f} us, p99.9 {high(times):6.1f} us")
        handler.close(0)


def renderings(live: str) -> None:
    print("\na registry taken over, against generate_latest alone (to reach: 0.5)")
    with promwrite.Writer(f"http://{live}/api/v1/write", labels={"job": "bench"}) as writer:
        for series in (100, 5000):
            registry = registry_of(series)
            rounds = 60 if series == 5000 else 500
            gateway, written, alone = in_turns(
                rounds,
                lambda registry=registry: promwrite.push_to_gateway(live, "bench", registry),
                lambda registry=registry: writer.push(registry),
                lambda registry=registry: generate_latest(registry),
            )
            middle = statistics.median(alone)
            for name, times in (("push_to_gateway", gateway), ("Writer.push", written)):
                median = statistics.median(times)
                print(
                    f"  {series:5} series, {name:15}: {median:8.1f} us, generate_latest {middle:8.1f} us, "
                    f"ratio {median / middle:.2f}"
                )
            promwrite.flush()


def appends(live: str) -> None:
    print("\nSeries.append against prometheus_client's Counter.inc (to reach: 100 ns, ratio 1)")
    counter = Counter("bench_inc", "Increments.", registry=CollectorRegistry())
    calls = 20_000
    with promwrite.Writer(f"http://{live}/api/v1/write", labels={"job": "bench"}) as writer:
        append = writer.series("bench_total", {"stage": "load"}).append
        inc = counter.inc

        def ours() -> None:
            for _ in range(calls):
                append(1.5)

        def theirs() -> None:
            for _ in range(calls):
                inc()

        def nothing() -> None:
            for _ in range(calls):
                pass

        a, b, loop = (statistics.median(times) for times in in_turns(60, ours, theirs, nothing))
        a, b = ((t - loop) * 1000 / calls for t in (a, b))
        print(f"  append {a:.0f} ns, inc {b:.0f} ns, ratio {a / b:.2f}")


def imports() -> None:
    def start(*code: str) -> Work:
        return lambda: subprocess.run([sys.executable, "-c", *code], check=True)

    with_us, bare = in_turns(21, start("import promwrite"), start("pass"))
    cost = (statistics.median(with_us) - statistics.median(bare)) / 1000
    print(f"\nimport promwrite: {cost:.1f} ms more than bare Python (to reach: 5)")
    wheels = sorted((Path(__file__).parents[2] / "target" / "wheels").glob("*.whl"))
    for wheel in wheels:
        print(f"wheel: {wheel.stat().st_size / 1e6:.2f} MB (to reach: 3): {wheel.name}")


def main() -> None:
    python, client = platform.python_version(), prometheus_client.__name__
    from importlib.metadata import version

    print(f"Python {python}, {client} {version(client)}, promwrite {promwrite.__version__}")
    # receivers that are gone are part of the plan
    logging.disable()
    with FaultReceiver() as live, FaultReceiver(default=stall()) as hung:
        pushes(live.address)
        shares({"live": live.address, "hung": hung.address, "gone": gone()})
        renderings(live.address)
        appends(live.address)
        imports()


if __name__ == "__main__":
    main()
