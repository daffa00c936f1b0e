"""A web application whose every request writes a sample and pushes a group; loaded before the workers are forked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import promwrite
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

writer = promwrite.Writer(os.environ["WRITE_URL"], instance="")
writer.append("loaded", 1)


def application(environ: dict[str, str], start_response: Callable[..., object]) -> Iterable[bytes]:
    number = environ["PATH_INFO"].strip("/")
    writer.append("requests", 1, {"number": number})
    registry = CollectorRegistry()
    Gauge("done", "Done.", registry=registry).set(1)
    push_to_gateway(os.environ["GATEWAY"], "web", registry, {"number": number}, handler=promwrite.handler)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
