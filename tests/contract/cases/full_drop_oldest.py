"""A full queue drops the oldest sample that is not under way, by default."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver, hold

SCRIPT = [hold()]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver, queue_config__capacity="4")
    agent.do("series", "s", "w", "m")
    agent.do("append", "s", 0.0, AT)
    assert agent.report("flush", "w", 0)["pending"] == 1
    assert receiver.wait(1, "held")
    for number in range(1, 8):
        agent.do("append", "s", float(number), AT + number)
    receiver.release()
    report = agent.report("flush", "w", LONG)
    assert (report["accepted"], report["pending"], report.complete) == (7, 0, False)
    stored = [value for _, value in receiver.samples({"__name__": "m"})]
    assert stored[0] == 0 and stored[-1] == 7
    assert stored == sorted(stored) and report["dropped.queue_full"] == 8 - len(stored) > 0
