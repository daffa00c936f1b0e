"""A series whose labels no request could hold is refused at once, because it would block what comes after it."""

from contract import AT, LONG, TOO_LARGE, Agent, writer
from receiver import FaultReceiver


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver, queue_config__max_bytes_per_send="1000")
    labels = {"a": "x" * 1000}
    refused = agent.refused("series", "s", "w", "m", labels)
    assert refused == agent.refused("sample", "w", "m", 1.0, AT, labels)
    assert (refused.code, refused.retryable) == (TOO_LARGE, False)
    agent.do("sample", "w", "m", 1.0, AT)
    assert agent.report("flush", "w", LONG).ledger == {"accepted": 1, "delivered": 1}
