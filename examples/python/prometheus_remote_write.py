"""Prometheus itself, started with --web.enable-remote-write-receiver; user and password only if it asks for them.

URL=http://127.0.0.1:9090/api/v1/write [USERNAME=… PASSWORD=…] python prometheus_remote_write.py
"""

import os
import sys

import promwrite

options = {}
if "PASSWORD" in os.environ:
    # By name: the value is read again after a 401, and the writer can be pickled.
    options = {"basic_auth.username_env": "USERNAME", "basic_auth.password_env": "PASSWORD"}

labels = {"job": "etl", "worker": os.environ.get("WORKER", "0")}
with promwrite.Writer(os.environ["URL"], labels=labels, options=options) as writer:
    duration = writer.series(
        "stage_duration_seconds", {"stage": "load"}, type="gauge", help="Duration of a stage."
    )
    duration.append(1.5)
    report = writer.flush(timeout=10)

print(report)
# A report is true when nothing is pending, rejected or dropped.
sys.exit(0 if report else 1)
