"""A flush of all senders waits for every one of them, by one deadline."""

from contract import AT, LONG, PAGE, TEXT, Agent, pusher, reports, within, writer
from receiver import FaultReceiver, hold

SCRIPT = [hold(), hold()]
# which of two senders comes first is nobody's promise
REQUESTS_DIFFER = "two connections"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    pusher(agent, receiver)
    agent.do("sample", "w", "m", 1.0, AT)
    agent.do("put", "p", PAGE, TEXT)
    with within(100):
        found = reports(agent.do("flush", "*", 100))
    assert {kind: report["pending"] for kind, report in found.items()} == {"samples": 1, "pushes": 1}
    assert receiver.wait(2, "held")
    receiver.release()
    found = reports(agent.do("flush", "*", LONG))
    assert {kind: report["delivered"] for kind, report in found.items()} == {"samples": 1, "pushes": 1}
