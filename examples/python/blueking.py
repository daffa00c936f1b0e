"""BlueKing's bk-collector as a gateway: the token is a header, and grouping_key is a dict.

BK_ADDRESS=10.0.0.1:4318 BK_TOKEN=… python blueking.py
"""

import os

import promwrite
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

handler = promwrite.Handler(headers={"X-BK-TOKEN": os.environ["BK_TOKEN"]})

registry = CollectorRegistry()
duration = Gauge("job_duration_seconds", "Duration of the job.", registry=registry)
duration.set(12.5)

# The collector takes PUT and POST; it has no DELETE.
push_to_gateway(
    os.environ["BK_ADDRESS"],
    job="batchA",
    registry=registry,
    grouping_key={"instance": "my.host.ip", "worker": os.environ.get("WORKER", "0")},
    handler=handler,
)
