"""With block a full queue makes its caller wait until there is room, and loses nothing."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver, hold

SCRIPT = [hold()]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(
        agent,
        receiver,
        queue_config__capacity="2",
        queue_config__overflow="block",
        queue_config__block_timeout="1m",
        # what waits is sent as soon as the receiver is free, or nobody would make room
        queue_config__batch_send_deadline="0s",
    )
    agent.do("series", "s", "w", "m")
    agent.do("append", "s", 0.0, AT)
    assert receiver.wait(1, "held")
    for number in (1, 2):
        agent.do("append", "s", float(number), AT + number)
    blocked = agent.begin("append", "s", 3.0, AT + 3)
    receiver.release()
    assert blocked() == []
    report = agent.report("flush", "w", LONG)
    assert report.ledger == {"accepted": 4, "delivered": 4}
    assert receiver.samples({"__name__": "m"}) == [(AT + number, float(number)) for number in range(4)]


# the last two samples share a request or do not
REQUESTS_DIFFER = "a matter of speed"
