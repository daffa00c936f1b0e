"""A label or name that breaks a rule is refused at once, in words; nothing of it is accepted."""

from contract import AT, INVALID, Agent, writer
from receiver import FaultReceiver

LABELS = [{"a b": "1"}, {"0a": "1"}, {"": "1"}, {"näme": "1"}, {"a:b": "1"}]
NAMES = ["", "a b", "0m", "m-n", "größe", "m\n"]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    for labels in LABELS:
        for refused in (
            agent.refused("series", "s", "w", "m", labels),
            agent.refused("sample", "w", "m", 1.0, AT, labels),
            agent.refused("push_text", "w", "m 1\n", "", labels),
        ):
            assert (refused.code, refused.retryable) == (INVALID, False)
            assert " is refused: " in refused.message
    for name in NAMES:
        refused = agent.refused("series", "s", "w", name)
        assert refused == agent.refused("sample", "w", name, 1.0, AT)
        assert refused.code == INVALID
    with agent.differs("in Go the name is one label of many, so that a second one is a label given twice"):
        refused = agent.refused("series", "s", "w", "m", {"__name__": "other"})
        assert refused.code == INVALID and refused.message.startswith('label name: "__name__" is refused: ')
    assert agent.report("stats", "w").ledger == {}
