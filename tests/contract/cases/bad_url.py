"""A URL that cannot be meant is refused when the writer is made."""

from contract import INVALID, Agent
from receiver import FaultReceiver

URLS = [
    "",
    "receiver:9090",
    "ftp://receiver/",
    "http://",
    "http:///write",
    "http://a b/",
    "http://receiver:99999/",
]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    for url in URLS:
        refused = agent.refused("writer", "w", url)
        assert (refused.code, refused.message.split(":")[0]) == (INVALID, "url"), refused
    assert receiver.counts()["connections"] == 0
