"""With error a full queue refuses in words, keeps what it has, and takes again once there is room."""

from contract import AT, LONG, QUEUE_FULL, Agent, writer
from receiver import FaultReceiver, hold

SCRIPT = [hold()]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver, queue_config__capacity="4", queue_config__overflow="error")
    agent.do("series", "s", "w", "m")
    agent.do("append", "s", 0.0, AT)
    agent.do("flush", "w", 0)
    assert receiver.wait(1, "held")
    for number in range(1, 5):
        agent.do("append", "s", float(number), AT + number)
    full = agent.refused("append", "s", 5.0, AT + 5)
    assert (full.code, full.retryable) == (QUEUE_FULL, True)
    assert full.message.startswith("queue: full with 4 items and "), full
    full = agent.refused("sample", "w", "m", 5.0, AT + 5)
    assert full.code == QUEUE_FULL
    receiver.release()
    agent.do("flush", "w", LONG)
    agent.do("append", "s", 5.0, AT + 5)
    assert agent.report("flush", "w", LONG).ledger == {"accepted": 1, "delivered": 1}
    assert receiver.samples({"__name__": "m"}) == [(AT + number, float(number)) for number in range(6)]
