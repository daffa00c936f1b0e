"""While the gateway is busy the newest state of a group takes the place of those that wait."""

from contract import LONG, TEXT, Agent, pusher
from receiver import FaultReceiver, hold

SCRIPT = [hold()]
PAGE = "# HELP m Value.\n# TYPE m gauge\nm {}.5\n"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    pusher(agent, receiver)
    agent.do("put", "p", PAGE.format(1), TEXT)
    assert receiver.wait(1, "held")
    for value in range(2, 6):
        agent.do("put", "p", PAGE.format(value), TEXT)
    receiver.release()
    report = agent.report("flush", "p", LONG)
    assert report.ledger == {"accepted": 5, "delivered": 2, "superseded": 3}
    assert [request.body for request in receiver.requests()] == [PAGE.format(n).encode() for n in (1, 5)]
