"""A 400 to what may have been stored before, its answer lost, is told apart from other 400s and not halved."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver, swallow_ack

SCRIPT = [swallow_ack()]
# older samples of a series are refused when they come again
RULES = {"strictness": "prometheus"}


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    agent.do("append_many", "s", [[float(n), AT + n] for n in range(5)])
    report = agent.report("flush", "w", LONG)
    assert report.ledger == {"accepted": 5, "rejected.after_ambiguous": 5}
    assert receiver.samples({"__name__": "m"}) == [(AT + n, float(n)) for n in range(5)]
    assert len(receiver.requests()) == 2
