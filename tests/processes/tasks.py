"""A Celery application whose every task writes a sample and pushes a group, with a folder as its broker."""

from __future__ import annotations

import os

import promwrite
from celery import Celery  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

folder = os.environ["BROKER_FOLDER"]
app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder},
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
)
writer = promwrite.Writer(os.environ["WRITE_URL"], instance="")


@app.task  # type: ignore[untyped-decorator]
def work(number: int) -> None:
    writer.append("tasks", 1, {"number": str(number)})
    registry = CollectorRegistry()
    Gauge("done", "Done.", registry=registry).set(1)
    push_to_gateway(
        os.environ["GATEWAY"], "celery", registry, {"number": str(number)}, handler=promwrite.handler
    )
