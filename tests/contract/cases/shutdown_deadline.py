"""A shutdown ends when it said it would and gives up the rest, which it counts."""

from contract import AT, Agent, within, writer
from receiver import FaultReceiver, hold

DEFAULT = hold()
WITHOUT = {"python": "its exit hook does this, by exit_timeout and exit_idle_timeout"}
REQUESTS_DIFFER = "whether the request was under way by then is a matter of speed"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("sample", "w", "m", 1.0, AT)
    with agent.differs("Go's Shutdown tells of losses alone"), within(100):
        report = agent.report("shutdown", 100)
    assert report["dropped.shutdown"] == 1
    assert agent.report("stats", "w").ledger == {"accepted": 1, "dropped.shutdown": 1}
