"""What does not fit into one request goes into several, cut at the same places, each series in its order."""

from contract import AT, LONG, Agent, samples, writer
from receiver import FaultReceiver


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver, queue_config__max_samples_per_send="100")
    for number in range(5):
        agent.do("series", number, "w", "m", {"n": str(number)})
    for number in range(5):
        agent.do("append_many", number, [[float(n), AT + n] for n in range(70)])
    assert agent.report("flush", "w", LONG)["delivered"] == 350
    requests = receiver.requests()
    assert [sum(map(len, samples(request).values())) for request in requests] == [100, 100, 100, 50]
    for number in range(5):
        stored = receiver.samples({"__name__": "m", "n": str(number)})
        assert stored == [(AT + n, float(n)) for n in range(70)]
