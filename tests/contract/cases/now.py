"""A sample without a time has that of the call."""

import time

from contract import LONG, NOW, Agent, writer
from receiver import FaultReceiver

REQUESTS_DIFFER = "the time is in them"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    # the library may read a clock that ticks every 4 ms
    earliest = time.time() * 1000 - 10
    agent.do("append", "s", 1.0, NOW)
    agent.do("sample", "w", "n", 2.0, NOW, {"a": "b"})
    agent.do("push_text", "w", "o 3\n", "")
    latest = time.time() * 1000
    assert agent.report("flush", "w", LONG)["delivered"] == 3
    for labels, expected in (
        ({"__name__": "m"}, 1.0),
        ({"__name__": "n", "a": "b"}, 2.0),
        ({"__name__": "o"}, 3.0),
    ):
        ((at, value),) = receiver.samples(labels)
        assert earliest <= at <= latest and value == expected
