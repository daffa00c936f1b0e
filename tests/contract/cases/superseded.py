"""Of two values of one series and millisecond the later one wins, and the other is counted."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    for value in (1.0, 2.0, 3.0):
        agent.do("append", "s", value, AT)
    report = agent.report("flush", "w", LONG)
    assert report.ledger == {"accepted": 3, "delivered": 1, "superseded": 2}
    assert receiver.samples({"__name__": "m"}) == [(AT, 3.0)]
    # older than what was sent: a receiver would refuse it
    agent.do("append", "s", 4.0, AT - 1)
    assert agent.report("flush", "w", LONG).ledger == {"accepted": 1, "superseded": 1}
