"""Remote write in ten lines: nothing waits for the network, and what is pending is sent when the program ends.

URL=http://127.0.0.1:9090/api/v1/write python writer_quickstart.py
"""

import os

import promwrite

# worker: two processes of one host must not write the same series.
writer = promwrite.Writer(
    os.environ["URL"], labels={"job": "quickstart", "worker": os.environ.get("WORKER", "0")}
)
rows = writer.series("rows_loaded_total", {"stage": "load"}, type="counter", help="Rows loaded.")

loaded = 0
for batch in (700, 300, 200):
    loaded += batch
    rows.append(loaded)  # the total so far, as a scrape would see it, not the increment

writer.append("temperature_celsius", 21.5, {"room": "a"})
