"""Each series has the label instance, the host's name, unless it has its own or the option says otherwise."""

import socket

from contract import AT, LONG, OPTIONS, Agent, samples, write_url
from receiver import FaultReceiver


def run(agent: Agent, receiver: FaultReceiver) -> None:
    options = {key: value for key, value in OPTIONS.items() if key != "instance"}
    agent.do("writer", "w", write_url(receiver), options)
    agent.do("sample", "w", "m", 1.0, AT)
    agent.do("sample", "w", "n", 1.0, AT, {"instance": "own"})
    agent.do("writer", "x", write_url(receiver), {**options, "instance": "given"})
    agent.do("sample", "x", "o", 1.0, AT)
    for name in ("w", "x"):
        agent.do("flush", name, LONG)
    found = [labels for request in receiver.requests() for labels in samples(request)]
    assert found == [
        (("__name__", "m"), ("instance", socket.gethostname())),
        (("__name__", "n"), ("instance", "own")),
        (("__name__", "o"), ("instance", "given")),
    ]
