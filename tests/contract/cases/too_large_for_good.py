"""A sample that even alone is too large for the receiver is rejected as such; the others are delivered."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver

RULES = {"body_limit": 100}


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("sample", "w", "m", 1.0, AT, {"n": "small"})
    # digits that snappy cannot make much smaller
    agent.do("sample", "w", "m", 2.0, AT, {"n": "".join(chr(33 + n * n * 7 % 89) for n in range(400))})
    report = agent.report("flush", "w", LONG)
    assert report.ledger == {"accepted": 2, "delivered": 1, "rejected.too_large": 1}
    assert report.failures
