"""A program that returns from main without close delivers what it has, and keeps its exit code."""

from contract import AT, PAGE, TEXT, Agent, pusher, writer
from receiver import FaultReceiver

WITHOUT = {"go": "Go runs no exit hook: exit_after_shutdown has what a Go program does"}
REQUESTS_DIFFER = "two connections"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    pusher(agent, receiver)
    agent.do("series", "s", "w", "m")
    agent.do("append_many", "s", [[float(n), AT + n] for n in range(1000)])
    agent.do("put", "p", PAGE, TEXT)
    agent.exit("return", 7)
    assert receiver.samples({"__name__": "m"}) == [(AT + n, float(n)) for n in range(1000)]
    assert receiver.group(job="batch", shard="a/b") is not None
