"""Tencent Cloud Managed Prometheus by remote write. Address, APPID and token stand on the instance's page.

TMP_ADDRESS=10.0.0.1:9090 TMP_APPID=1250000000 TMP_TOKEN=… python tencent_remote_write.py
"""

import os

import promwrite

writer = promwrite.Writer(
    f"http://{os.environ['TMP_ADDRESS']}/api/v1/prom/write",
    basic_auth=(os.environ["TMP_APPID"], os.environ["TMP_TOKEN"]),
    # Two writers of the same series are not supported there, hence the worker beside the instance.
    labels={"job": "etl", "worker": os.environ.get("WORKER", "0")},
)
rows = writer.series("rows_loaded_total", {"stage": "load"}, type="counter", help="Rows loaded.")
rows.append(1200)
