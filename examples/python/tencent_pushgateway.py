"""Tencent Cloud Managed Prometheus through its built-in Pushgateway: prometheus_client with another handler.

TMP_ADDRESS=10.0.0.1:9090 TMP_APPID=1250000000 TMP_TOKEN=… python tencent_pushgateway.py
"""

import os
import socket

import promwrite
from prometheus_client import CollectorRegistry, Counter, push_to_gateway

ADDRESS = os.environ["TMP_ADDRESS"]
handler = promwrite.Handler(basic_auth=(os.environ["TMP_APPID"], os.environ["TMP_TOKEN"]))


def own_ip(gateway: str) -> str:
    """The address of the interface that leads to the gateway. Connecting a datagram socket sends nothing."""
    host, _, port = gateway.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))
        return str(probe.getsockname()[0])


registry = CollectorRegistry()
rows = Counter("rows_loaded", "Rows loaded.", ["stage"], registry=registry)
rows.labels("load").inc(1200)

# Returns in microseconds; the push is sent in the background, and at the latest when the program ends.
grouping_key = {"instance": own_ip(ADDRESS), "worker": os.environ.get("WORKER", "0")}
push_to_gateway(ADDRESS, job="batchA", registry=registry, grouping_key=grouping_key, handler=handler)
