"""An old job that pushes to a gateway, when there is no gateway any more: its pushes become remote write.
Job and grouping key become labels.

URL=http://127.0.0.1:9090/api/v1/write python batch_without_gateway.py
"""

import os

import promwrite
from prometheus_client import CollectorRegistry, Counter, push_to_gateway

writer = promwrite.Writer(os.environ["URL"])

registry = CollectorRegistry()
rows = Counter("rows_loaded", "Rows loaded.", ["stage"], registry=registry)
rows.labels("load").inc(1200)

key = {"worker": os.environ.get("WORKER", "0")}
push_to_gateway("unused", job="batchA", registry=registry, grouping_key=key, handler=writer.handler)
