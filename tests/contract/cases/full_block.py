"""With block a full queue makes its caller wait, no longer than block_timeout, and then refuses."""

import time

from contract import AT, LONG, QUEUE_FULL, Agent, within, writer
from receiver import FaultReceiver, hold

SCRIPT = [hold()]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(
        agent,
        receiver,
        queue_config__capacity="2",
        queue_config__overflow="block",
        queue_config__block_timeout="200ms",
    )
    agent.do("series", "s", "w", "m")
    agent.do("append", "s", 0.0, AT)
    agent.do("flush", "w", 0)
    assert receiver.wait(1, "held")
    for number in (1, 2):
        agent.do("append", "s", float(number), AT + number)
    began = time.monotonic()
    with within(200):
        full = agent.refused("append", "s", 3.0, AT + 3)
    assert time.monotonic() - began >= 0.2
    assert (full.code, full.retryable) == (QUEUE_FULL, True)
    receiver.release()
    agent.do("flush", "w", LONG)
    agent.do("append", "s", 3.0, AT + 3)
    assert agent.report("flush", "w", LONG).ledger == {"accepted": 1, "delivered": 1}
