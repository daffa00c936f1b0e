"""What is appended while nobody listens is delivered once somebody does."""

from contract import AT, LONG, Agent, within, writer
from receiver import FaultReceiver

REQUESTS_DIFFER = "they say how often it was tried"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    receiver.down()
    for number in range(3):
        agent.do("append", "s", float(number), AT + number)
        with within(50):
            assert agent.report("flush", "w", 50)["pending"] == number + 1
    receiver.up()
    report = agent.report("flush", "w", LONG)
    assert report.complete and report["delivered"] == 3
    assert receiver.samples({"__name__": "m"}) == [(AT + number, float(number)) for number in range(3)]
