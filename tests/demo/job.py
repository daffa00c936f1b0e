"""The job of the demo: reads the source files of a folder, keeps prometheus_client metrics about them and pushes after
each part. How it hands its metrics over is the only thing that differs between the runs.

    python job.py --client CLIENT (--gateway HOST:PORT | --write-url URL) [--parts N] FOLDER

Its last lines are JSON: what it measured, and at the very end, when everything at exit has run, its ledger.
"""

from __future__ import annotations

import argparse
import atexit
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition

# Senders that nobody holds are let go of when they are done, and their numbers with them.
HELD: list[object] = []
CLIENTS = ("prometheus_client", "handler", "function", "writer", "writer_handler")


def ledger() -> None:
    """Runs after everything else, because handlers at exit run in the reverse order of their registration."""
    import promwrite

    print(json.dumps({"ledger": promwrite.stats()}), flush=True)


class Metrics:
    """What the job tells about the files it read."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.files = Counter("files_read", "Files read.", ["suffix"], registry=self.registry)
        self.bytes = Counter("bytes_read", "Bytes read.", ["suffix"], registry=self.registry)
        self.lines = Gauge("file_lines", "Lines of a file.", ["file"], registry=self.registry)
        self.words = Gauge("file_words", "Words of a file.", ["file"], registry=self.registry)
        self.sizes = Histogram(
            "file_size_bytes", "Sizes of files.", registry=self.registry, buckets=(1e3, 3e3, 1e4, 3e4, 1e5)
        )

    def read(self, folder: Path, file: Path) -> int:
        """Reads a file; its number of lines."""
        content = file.read_bytes()
        name = str(file.relative_to(folder))
        self.files.labels(file.suffix).inc()
        self.bytes.labels(file.suffix).inc(len(content))
        self.lines.labels(name).set(content.count(b"\n"))
        self.words.labels(name).set(len(content.split()))
        self.sizes.observe(len(content))
        return content.count(b"\n")


class Clock:
    """How long the job was held, push by push: rendering, and handing over."""

    def __init__(self) -> None:
        self.rendering: list[float] = []
        self.handing_over: list[float] = []
        self.appending: list[float] = []
        self.failures: list[str] = []

    def around(self, handler: Callable[..., Callable[[], None]]) -> Callable[..., Callable[[], None]]:
        """The handler, with the time between the start of a push and its call, and the time of its call, taken."""

        def timed(**request: Any) -> Callable[[], None]:
            called = time.perf_counter()
            self.rendering.append(called - self.began)

            def run() -> None:
                try:
                    handler(**request)()
                finally:
                    self.handing_over.append(time.perf_counter() - called)

            return run

        return timed

    def push(self, push: Callable[[], object]) -> None:
        """Runs a push. A failure ends neither this job nor the many like it out there."""
        self.began = time.perf_counter()
        try:
            push()
        except OSError as error:
            self.failures.append(f"{type(error).__name__}: {error}")

    def whole(self, push: Callable[[], object]) -> None:
        """Runs a push that renders and hands over in one call."""
        self.push(push)
        self.rendering.append(time.perf_counter() - self.began)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", choices=CLIENTS, required=True)
    parser.add_argument("--gateway")
    parser.add_argument("--write-url")
    parser.add_argument(
        "--timeout", type=float, default=2.0, help="timeout of prometheus_client's own handler"
    )
    parser.add_argument("--parts", type=int, default=5)
    parser.add_argument("folder", type=Path)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    clock = Clock()
    metrics = Metrics()
    files = sorted(
        path for path in given.folder.rglob("*.rs") if "target" not in path.relative_to(given.folder).parts
    )
    target: dict[str, Any] = {"job": "demo", "registry": metrics.registry}
    push: Callable[[], object]
    append: Callable[[str, int], object] | None = None
    if given.client == "prometheus_client":

        def push() -> None:
            timed = clock.around(exposition.default_handler)
            clock.push(
                lambda: exposition.push_to_gateway(
                    given.gateway, **target, timeout=given.timeout, handler=timed
                )
            )

    else:
        atexit.register(ledger)
        import promwrite

        # options of promwrite, secrets among them, as JSON
        options = json.load(sys.stdin)
        if given.client == "handler":
            handler = promwrite.Handler(options=options)
            HELD.append(handler)
            timed = clock.around(handler)

            def push() -> None:
                clock.push(lambda: exposition.push_to_gateway(given.gateway, **target, handler=timed))

        elif given.client == "function":

            def push() -> None:
                clock.whole(lambda: promwrite.push_to_gateway(given.gateway, **target))

        else:
            writer = promwrite.Writer(given.write_url, labels={"job": "demo"}, options=options)
            HELD.append(writer)
            timed = clock.around(writer.handler)

            def append(name: str, lines: int) -> None:
                began = time.perf_counter()
                writer.append("file_read_lines", lines, {"file": name})
                clock.appending.append(time.perf_counter() - began)

            def push() -> None:
                if given.client == "writer":
                    clock.whole(lambda: writer.push(metrics.registry))
                else:
                    clock.push(lambda: exposition.push_to_gateway("unused", **target, handler=timed))

    began = time.perf_counter()
    for part in range(given.parts):
        for file in files[part :: given.parts]:
            lines = metrics.read(given.folder, file)
            if append is not None:
                append(str(file.relative_to(given.folder)), lines)
        push()
    measured = {
        "files": len(files),
        "pushes": given.parts,
        "page_bytes": len(exposition.generate_latest(metrics.registry)),
        "job": time.perf_counter() - began,
        "rendering": clock.rendering,
        "handing_over": clock.handing_over,
        "appending": clock.appending,
        "failures": clock.failures,
    }
    print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main()
