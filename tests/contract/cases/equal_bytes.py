"""Equal input gives equal bytes, a whole request of them; how it is handed over makes no difference."""

from contract import AT, LONG, Agent, samples, writer
from receiver import FaultReceiver

SERIES, SAMPLES = 200, 10


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver, labels__job="batch", labels__cluster="east")
    for at in range(2):
        for number in range(SERIES):
            labels = {f"label_{n}": f"{n}-{number}" for n in reversed(range(10))}
            if at:
                agent.do("append_many", number, [[float(n * number), AT + n] for n in range(1, SAMPLES)])
            else:
                agent.do("series", number, "w", f"metric_{number % 7}", labels)
                agent.do("append", number, float(number), AT)
    assert agent.report("flush", "w", LONG)["delivered"] == SERIES * SAMPLES
    (request,) = receiver.requests()
    assert len(samples(request)) == SERIES
