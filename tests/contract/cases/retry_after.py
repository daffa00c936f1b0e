"""A 429 is tried again no sooner than its Retry-After says, the same bytes."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver, status

SCRIPT = [status(429, retry_after=1)]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("sample", "w", "m", 1.0, AT)
    assert agent.report("flush", "w", LONG).ledger == {"accepted": 1, "delivered": 1}
    first, second = receiver.requests()
    assert second.arrived_us - first.arrived_us >= 1_000_000
    assert second.body == first.body
