"""With error a gateway's full queue refuses a push; a newer state of what waits may still take its place."""

from contract import LONG, PAGE, QUEUE_FULL, TEXT, Agent, pusher, reports
from receiver import FaultReceiver, hold

SCRIPT = [hold()]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    for name in ("p", "q", "r"):
        pusher(agent, receiver, name, name, queue_config__capacity="2", queue_config__overflow="error")
    agent.do("put", "p", PAGE, TEXT)
    assert receiver.wait(1, "held")
    agent.do("put", "q", PAGE, TEXT)
    full = agent.refused("put", "r", PAGE, TEXT)
    assert (full.code, full.retryable) == (QUEUE_FULL, True)
    agent.do("put", "q", PAGE, TEXT)
    receiver.release()
    found = reports(agent.do("flush", "*", LONG))
    assert found["pushes"].ledger == {"accepted": 3, "delivered": 2, "superseded": 1}
    paths = [request.path for request in receiver.requests()]
    assert paths == ["/metrics/job/batch/shard/p", "/metrics/job/batch/shard/q"]
