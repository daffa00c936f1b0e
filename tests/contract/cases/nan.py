"""A NaN keeps its payload: Prometheus tells a stale marker by it."""

import struct

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver

BITS = [0x7FF8000000000001, 0x7FF8000000000002, 0xFFF8000000000000, 0x7FF0000000000002]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    values: list[float] = [struct.unpack(">d", bits.to_bytes(8, "big"))[0] for bits in BITS]
    agent.do("append_many", "s", [[value, AT + n] for n, value in enumerate(values)])
    for n, value in enumerate(values):
        agent.do("append", "s", value, AT + 10 + n)
    assert agent.report("flush", "w", LONG)["delivered"] == 2 * len(BITS)
    (series,) = receiver.requests()[0].series
    assert [sample.bits for sample in series.samples] == BITS * 2
