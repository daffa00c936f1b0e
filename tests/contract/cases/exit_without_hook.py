"""What runs no exit hook delivers nothing that waits: such a program must close. In Go every end is one of these."""

from contract import AT, LONG, Agent, writer
from receiver import FaultReceiver


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("sample", "w", "closed", 1.0, AT)
    assert agent.report("flush", "w", LONG)["delivered"] == 1
    agent.do("sample", "w", "lost", 1.0, AT)
    with agent.differs("Go has no other end"):
        agent.exit("return" if agent.language == "go" else "_exit", 5)
    assert [series["labels"]["__name__"] for series in receiver.store()["series"]] == ["closed"]
