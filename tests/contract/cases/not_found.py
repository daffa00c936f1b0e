"""A 404 speaks of the set-up: what is pending is held until the receiver is there."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver, status

SCRIPT = [status(404), status(403)]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("sample", "w", "m", 1.0, AT)
    assert agent.report("flush", "w", LONG).ledger == {"accepted": 1, "delivered": 1}
    assert receiver.wait(3)
    assert [request.answered for request in receiver.requests()] == [404, 403, 204]
