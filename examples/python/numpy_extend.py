"""Many samples of a series at once, from arrays: one crossing into Rust, whatever their number.

URL=http://127.0.0.1:9090/api/v1/write python numpy_extend.py
"""

import os
import sys
import time

import numpy as np
import promwrite

count = 10_000
end_ms = time.time_ns() // 1_000_000
timestamps = np.arange(end_ms - count * 10, end_ms, 10, dtype=np.int64)
values = np.sin(np.linspace(0, 20, count))

labels = {"job": "sensor", "worker": os.environ.get("WORKER", "0")}
with promwrite.Writer(os.environ["URL"], labels=labels) as writer:
    wave = writer.series("wave_volts", {"channel": "1"}, type="gauge", help="Measured voltage.")
    # datetime64 is taken as well: timestamps.astype("datetime64[ms]")
    wave.extend(values, timestamps_ms=timestamps)
    report = writer.flush(timeout=30)

print(report)
sys.exit(0 if report else 1)
