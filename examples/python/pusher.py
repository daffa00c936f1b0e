"""A gateway without prometheus_client's functions: one object per group, which pushes, adds and deletes.

GATEWAY=127.0.0.1:9091 python pusher.py
"""

import os

import promwrite
from prometheus_client import CollectorRegistry, Gauge

registry = CollectorRegistry()
progress = Gauge("job_progress_ratio", "Progress.", registry=registry)

with promwrite.Pusher(
    os.environ["GATEWAY"], job="batchA", grouping_key={"worker": os.environ.get("WORKER", "0")}
) as pusher:
    for step in range(5):
        progress.set((step + 1) / 5)
        # Of states that follow faster than the gateway answers, the newest is sent.
        pusher.push(registry)
