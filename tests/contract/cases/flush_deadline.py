"""A flush ends when it said it would, though the receiver is silent; nothing is lost, and a later one delivers it."""

from contract import AT, LONG, Agent, within, writer
from receiver import FaultReceiver, hold

SCRIPT = [hold()]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    agent.do("append_many", "s", [[float(n), AT + n] for n in range(10)])
    for timeout in (0, 50, 200):
        with within(timeout):
            report = agent.report("flush", "w", timeout)
        assert (report["pending"], report.complete) == (10, False)
    assert receiver.wait(1, "held")
    # what is appended meanwhile waits behind it
    agent.do("append", "s", 10.0, AT + 10)
    assert agent.report("flush", "w", 0)["pending"] == 11
    receiver.release()
    report = agent.report("flush", "w", LONG)
    assert report.complete and report["delivered"] == 11
    assert receiver.samples({"__name__": "m"}) == [(AT + n, float(n)) for n in range(11)]
