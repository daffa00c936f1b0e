"""VictoriaMetrics, single node or vmauth in front of a cluster: it takes samples of any age and in any order.

URL=http://127.0.0.1:8428/api/v1/write [USERNAME=… PASSWORD=…] python victoriametrics.py
"""

import os
import sys
import time

import promwrite

credentials = (os.environ["USERNAME"], os.environ["PASSWORD"]) if "PASSWORD" in os.environ else None
labels = {"job": "backfill", "worker": os.environ.get("WORKER", "0")}
now_ms = time.time_ns() // 1_000_000

with promwrite.Writer(
    os.environ["URL"], labels=labels, basic_auth=credentials, options={"out_of_order": True}
) as writer:
    level = writer.series("tank_level_ratio", {"tank": "north"}, type="gauge", help="Filling level.")
    # The newest value at once, the history of the last hour behind it.
    level.append(0.75)
    level.extend(
        [minute / 60 for minute in range(60)], timestamps_ms=[now_ms - (60 - m) * 60_000 for m in range(60)]
    )
    report = writer.flush(timeout=10)

print(report)
sys.exit(0 if report else 1)
