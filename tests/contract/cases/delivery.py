"""What is appended arrives: labels sorted, every bit of the values, text in any script."""

import math

from contract import AT, LONG, Agent, samples, writer
from receiver import FaultReceiver

VALUES = [0.0, -0.0, 1.5, -1e308, 5e-324, math.inf, -math.inf]
TEXT = 'tab\t, "quotes", \\, line\nend, %41, Wärme, 温度, 🌡'


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver, labels__job="batch")
    agent.do("series", "s", "w", "m_total", {"zone": "b", "Area": "a", "empty": "", "text": TEXT})
    for number, value in enumerate(VALUES):
        agent.do("append", "s", value, AT + number)
    agent.do("append_many", "s", [[float(n), AT + 100 + n] for n in range(10)])
    agent.do("sample", "w", "other", 2.5, AT, {"job": "own", "b": "1"})
    report = agent.report("flush", "w", LONG)
    assert report.complete and report["accepted"] == report["delivered"] == len(VALUES) + 11
    stats = agent.report("stats", "w")
    assert (stats["requests.succeeded"], stats["requests.failed"]) == (1, 0)
    (request,) = receiver.requests()
    found = samples(request)
    assert list(found) == [
        (("Area", "a"), ("__name__", "m_total"), ("job", "batch"), ("text", TEXT), ("zone", "b")),
        (("__name__", "other"), ("b", "1"), ("job", "own")),
    ]
    first, second = found.values()
    assert [(at, repr(value)) for at, value in first] == [
        *((AT + n, repr(value)) for n, value in enumerate(VALUES)),
        *((AT + 100 + n, repr(float(n))) for n in range(10)),
    ]
    assert second == [(AT, 2.5)]
    assert (request.header("content-type"), request.header("content-encoding")) == (
        "application/x-protobuf",
        "snappy",
    )
