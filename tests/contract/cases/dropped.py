"""A writer that is dropped without close loses nothing, and a series of it goes on."""

from contract import AT, LONG, Agent, reports, writer
from receiver import FaultReceiver


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    agent.do("append", "s", 0.0, AT)
    agent.do("sample", "w", "n", 1.0, AT)
    agent.drop("w")
    agent.do("append", "s", 1.0, AT + 1)
    found = reports(agent.do("flush", "*", LONG))
    assert {kind: report.ledger for kind, report in found.items()} == {
        "samples": {"accepted": 3, "delivered": 3}
    }
    assert receiver.samples({"__name__": "m"}) == [(AT, 0.0), (AT + 1, 1.0)]
    assert receiver.samples({"__name__": "n"}) == [(AT, 1.0)]
