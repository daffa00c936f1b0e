"""With drop_newest a full queue drops what is handed over."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver, hold

SCRIPT = [hold()]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver, queue_config__capacity="4", queue_config__overflow="drop_newest")
    agent.do("series", "s", "w", "m")
    agent.do("append", "s", 0.0, AT)
    agent.do("flush", "w", 0)
    assert receiver.wait(1, "held")
    for number in range(1, 8):
        agent.do("append", "s", float(number), AT + number)
    receiver.release()
    report = agent.report("flush", "w", LONG)
    stored = [value for _, value in receiver.samples({"__name__": "m"})]
    assert stored == [float(number) for number in range(len(stored))]
    assert report["dropped.queue_full"] == 8 - len(stored) > 0
