"""A 400 costs no more than the sample that earned it."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver

RULES = {"poison": [{"label_value": "bad"}]}


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    for number in range(50):
        agent.do("sample", "w", "m", float(number), AT, {"n": "bad" if number == 31 else str(number)})
    report = agent.report("flush", "w", LONG)
    assert report.ledger == {"accepted": 50, "delivered": 49, "rejected.bad_request": 1}
    assert any("400" in failure for failure in report.failures), report.failures
    assert len(receiver.store()["series"]) == 49
