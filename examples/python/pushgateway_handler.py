"""The drop-in: a job that pushes to a Pushgateway with prometheus_client gets one argument and waits no more.

GATEWAY=127.0.0.1:9091 python pushgateway_handler.py
"""

import os

import promwrite
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

registry = CollectorRegistry()
finished = Gauge("job_last_success_unixtime", "When the job finished.", registry=registry)
finished.set_to_current_time()

key = {"worker": os.environ.get("WORKER", "0")}
push_to_gateway(os.environ["GATEWAY"], "batchA", registry, grouping_key=key, handler=promwrite.handler)
