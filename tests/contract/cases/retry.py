"""What may pass is tried again: 5xx, a reset, an answer that is lost. The same bytes, and nothing is counted twice."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver, cut, status, swallow_ack

SCRIPT = [status(503), cut("mid_body"), status(500), swallow_ack()]
RULES = {"strictness": "prometheus"}


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    for number in range(5):
        agent.do("sample", "w", "m", float(number), AT, {"n": str(number)})
    assert agent.report("flush", "w", LONG).ledger == {"accepted": 5, "delivered": 5}
    assert [len(series["samples"]) for series in receiver.store()["series"]] == [1] * 5
    requests = receiver.requests()
    assert len(requests) == 5
    assert len({request.body for request in requests if request.complete}) == 1
