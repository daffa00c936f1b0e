"""A close ends when it said it would and gives up the rest, which it counts."""

from contract import AT, Agent, within, writer
from receiver import FaultReceiver, hold

DEFAULT = hold()


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    agent.do("append_many", "s", [[float(n), AT + n] for n in range(10)])
    agent.do("flush", "w", 0)
    assert receiver.wait(1, "held")
    with within(100):
        report = agent.report("close", "w", 100)
    assert report.ledger == {"dropped.shutdown": 10}
    assert report.complete is False
