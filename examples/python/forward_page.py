"""A page of metrics in text or OpenMetrics, as any exporter serves it, becomes remote write.

PAGE_URL=http://127.0.0.1:9100/metrics URL=http://127.0.0.1:9090/api/v1/write python forward_page.py
"""

import os
import sys
import urllib.request

import promwrite

request = urllib.request.Request(
    os.environ["PAGE_URL"],
    headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"},
)
with urllib.request.urlopen(request, timeout=10) as answer:
    page, content_type = answer.read(), answer.headers["Content-Type"]

with promwrite.Writer(os.environ["URL"], instance="") as writer:
    taken = writer.push_text(
        page, content_type=content_type, labels={"job": "node", "instance": request.host}
    )
    report = writer.flush(timeout=30)

print(f"{taken} samples: {report}")
sys.exit(0 if report else 1)
