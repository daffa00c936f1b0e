"""A fork while a request is under way: neither side waits for the other's answer, and nothing is sent twice."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver, hold

SCRIPT = [hold()]
WITHOUT = {"go": "a Go program cannot fork without exec"}
REQUESTS_DIFFER = "parent and child have a connection each"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("sample", "w", "parent", 1.0, AT)
    agent.do("flush", "w", 0)
    assert receiver.wait(1, "held")
    child = agent.fork()
    agent.do("sample", "w", "child", 1.0, AT)
    assert agent.report("close", "w", LONG).ledger == {"accepted": 1, "delivered": 1}
    child.exit("_exit", 0)
    receiver.release()
    report = agent.report("flush", "w", LONG)
    assert report.complete and report["delivered"] == 1
    assert [series["labels"]["__name__"] for series in receiver.store()["series"]] == ["child", "parent"]
    assert len(receiver.requests()) == 2
