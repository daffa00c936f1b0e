"""A changed import in place of an argument: the registry is rendered by promwrite as well, which is where a push spends
most of the time that it holds a job.

GATEWAY=127.0.0.1:9091 python changed_import.py
"""

import os

from prometheus_client import CollectorRegistry, Histogram
from promwrite import push_to_gateway

registry = CollectorRegistry()
sizes = Histogram("file_size_bytes", "Sizes of the files.", registry=registry, buckets=(100, 1000, 10_000))
for size in (80, 800, 8000, 80_000):
    sizes.observe(size)

key = {"worker": os.environ.get("WORKER", "0")}
push_to_gateway(os.environ["GATEWAY"], job="batchA", registry=registry, grouping_key=key)
