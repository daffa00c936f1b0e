"""After a 413 a request goes out in halves, the older one first, and all of it is delivered."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver

RULES = {"body_limit": 300}


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    for number in range(100):
        agent.do("sample", "w", "m", float(number), AT, {"n": str(number)})
    assert agent.report("flush", "w", LONG).ledger == {"accepted": 100, "delivered": 100}
    assert len(receiver.store()["series"]) == 100
    assert not receiver.requests()[0].stored
