"""A label that is given twice is refused, also with equal values."""

from contract import AT, INVALID, Agent, writer
from receiver import FaultReceiver

WITHOUT = {"python": "labels are a mapping, which has each name once"}


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    for labels in ([("a", "1"), ("b", "2"), ("a", "3")], [("a", "1"), ("a", "1")]):
        refused = agent.refused("series", "s", "w", "m", labels)
        assert refused == agent.refused("sample", "w", "m", 1.0, AT, labels)
        assert (refused.code, refused.retryable) == (INVALID, False)
    assert agent.report("stats", "w").ledger == {}
