"""A receiver that never answers holds the end of a program up no longer than exit_idle_timeout says."""

from contract import AT, Agent, within, writer
from receiver import FaultReceiver, stall

DEFAULT = stall()
WITHOUT = {"go": "Go runs no exit hook"}
REQUESTS_DIFFER = "how often it was tried until then is a matter of speed"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver, exit_idle_timeout="100ms")
    agent.do("sample", "w", "m", 1.0, AT)
    with within(100):
        agent.exit("return", 3)
