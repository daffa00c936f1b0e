"""A push that the gateway cannot take now is tried again; one that it refuses is counted as rejected."""

from contract import LONG, PAGE, TEXT, Agent, pusher
from receiver import FaultReceiver, cut, status

SCRIPT = [status(503), cut("after_body"), status(401), status(200), status(400, body="no metrics")]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    pusher(agent, receiver)
    agent.do("put", "p", PAGE, TEXT)
    assert agent.report("flush", "p", LONG).ledger == {"accepted": 1, "delivered": 1}
    assert [request.body for request in receiver.requests()] == [PAGE.encode()] * 4
    agent.do("put", "p", PAGE, TEXT)
    report = agent.report("flush", "p", LONG)
    assert report.ledger == {"accepted": 1, "rejected.bad_request": 1}
    assert any("400" in failure and "no metrics" in failure for failure in report.failures), report.failures
    assert len(receiver.requests()) == 5
