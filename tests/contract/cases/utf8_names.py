"""With metric_name_validation_scheme = utf8 names may be any text; the empty one is refused still."""

from contract import AT, INVALID, LONG, Agent, samples, writer
from receiver import FaultReceiver


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver, metric_name_validation_scheme="utf8")
    agent.do("series", "s", "w", "größe.in m", {"a b": "1", "Ä": "2"})
    agent.do("append", "s", 1.0, AT)
    assert agent.refused("series", "t", "w", "m", {"": "1"}).code == INVALID
    assert agent.refused("series", "t", "w", "").code == INVALID
    assert agent.report("flush", "w", LONG)["delivered"] == 1
    assert list(samples(receiver.requests()[0])) == [(("__name__", "größe.in m"), ("a b", "1"), ("Ä", "2"))]
