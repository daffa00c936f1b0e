"""A forked child starts empty, sends what it is given over a connection of its own, and delivers it at its exit; the
parent's data is the parent's alone."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver

WITHOUT = {"go": "a Go program cannot fork without exec"}
REQUESTS_DIFFER = "parent and child have a connection each"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    # a connection and a thread that must not cross the fork
    agent.do("append", "s", 0.0, AT)
    assert agent.report("flush", "w", LONG)["delivered"] == 1
    agent.do("append", "s", 1.0, AT + 1)
    child = agent.fork()
    assert agent.report("stats", "w").ledger == {}
    agent.do("append", "s", 2.0, AT + 2)
    agent.do("sample", "w", "child", 1.0, AT)
    assert agent.report("stats", "w").ledger == {"accepted": 2, "pending": 2}
    child.exit("exit", 9)
    assert receiver.samples({"__name__": "child"}) == [(AT, 1.0)]
    assert receiver.samples({"__name__": "m"}) == [(AT, 0.0), (AT + 2, 2.0)]
    assert agent.report("flush", "w", LONG)["delivered"] == 1
    assert (AT + 1, 1.0) in receiver.samples({"__name__": "m"})
    assert len({request.connection for request in receiver.requests()}) == 2
