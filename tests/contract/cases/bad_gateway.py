"""A gateway or group that cannot be meant is refused when the pusher is made."""

from contract import INVALID, Agent
from receiver import FaultReceiver

WITHOUT = {"go": "its pusher has client_golang's API, and client_golang's errors"}
GATEWAYS = ["", "ftp://gateway", "http://gateway:9091?a=b", "gateway:port", "http://"]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    for gateway in GATEWAYS:
        refused = agent.refused("pusher", "p", gateway, "batch", 0)
        assert (refused.code, refused.message.split(":")[0]) == (INVALID, "gateway"), refused
    for job, group in (("", {}), ("batch", {"a b": "1"}), ("batch", {"job": "other"}), ("batch", {"": "1"})):
        refused = agent.refused("pusher", "p", "gateway:9091", job, len(group), group)
        assert refused.code == INVALID
    assert receiver.counts()["connections"] == 0
