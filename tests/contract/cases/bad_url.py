"""A URL that cannot be meant is refused when the writer or pusher is made."""

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
GATEWAYS = ["", "ftp://gateway", "http://gateway:9091?a=b", "gateway:port", "http://"]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    for url in URLS:
        refused = agent.refused("writer", "w", url)
        assert (refused.code, refused.message.split(":")[0]) == (INVALID, "url"), refused
    for gateway in GATEWAYS:
        refused = agent.refused("pusher", "p", gateway, "batch", 0)
        assert (refused.code, refused.message.split(":")[0]) == (INVALID, "gateway"), refused
    for job, group in (("", {}), ("batch", {"a b": "1"}), ("batch", {"job": "other"}), ("batch", {"": "1"})):
        refused = agent.refused("pusher", "p", "gateway:9091", job, len(group), group)
        assert refused.code == INVALID
    assert receiver.counts()["connections"] == 0
