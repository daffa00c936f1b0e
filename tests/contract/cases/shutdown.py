"""A shutdown delivers what every sender of the process has, and closes them all."""

from contract import AT, CLOSED, LONG, PAGE, TEXT, Agent, pusher, reports, writer
from receiver import FaultReceiver

WITHOUT = {"python": "its exit hook does this at the end of the interpreter, when no job runs any more"}
REQUESTS_DIFFER = "two connections"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    pusher(agent, receiver)
    agent.do("series", "s", "w", "m")
    agent.do("append", "s", 1.0, AT)
    agent.do("put", "p", PAGE, TEXT)
    with agent.differs("Go's Shutdown tells of losses alone"):
        found = reports(agent.do("shutdown", LONG))
        if agent.language != "go":
            assert {kind: report["delivered"] for kind, report in found.items()} == {
                "samples": 1,
                "pushes": 1,
            }
    assert receiver.samples({"__name__": "m"}) == [(AT, 1.0)]
    assert receiver.group(job="batch", shard="a/b") is not None
    assert agent.refused("append", "s", 2.0, AT + 1).code == CLOSED
    assert agent.refused("sample", "w", "m", 2.0, AT + 1).code == CLOSED
    assert agent.report("stats", "w").ledger == {"accepted": 1, "delivered": 1}
