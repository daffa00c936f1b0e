"""While the gateway is busy the newest state of a group takes the place of those that wait."""

from contract import LONG, Agent, pusher
from receiver import FaultReceiver, hold

SCRIPT = [hold()]
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    pusher(agent, receiver)
    agent.do("put", "p", "m 1.0\n", TEXT)
    assert receiver.wait(1, "held")
    for value in range(2, 6):
        agent.do("put", "p", f"m {value}.0\n", TEXT)
    receiver.release()
    report = agent.report("flush", "p", LONG)
    assert report.ledger == {"accepted": 5, "delivered": 2, "superseded": 3}
    assert [request.body for request in receiver.requests()] == [b"m 1.0\n", b"m 5.0\n"]
