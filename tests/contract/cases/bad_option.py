"""An option that does not exist, or a value that it does not take, is refused by its name."""

from contract import INVALID, UNKNOWN_OPTION, Agent, write_url
from receiver import FaultReceiver

UNKNOWN = ["remote_timout", "queue_config.capasity", "nonsense", "", "REMOTE_TIMEOUT"]
VALUES = {
    "remote_timeout": ["", "fast", "-1s", "1000h", "nan"],
    "queue_config.capacity": ["0", "-1", "1.5", "many", "99999999999999999999"],
    "queue_config.capacity_bytes": ["1", "1XB"],
    "queue_config.overflow": ["", "wait"],
    "split_on_reject": ["yes", "1", ""],
    "proxy_url": ["", "ftp://proxy"],
    "tls_config.ca_file": ["", "/nonexistent/ca.pem"],
    "labels.a b": ["1"],
    "headers.Host": ["elsewhere"],
    "headers.a b": ["1"],
}


def run(agent: Agent, receiver: FaultReceiver) -> None:
    url = write_url(receiver)
    for key in UNKNOWN:
        refused = agent.refused("writer", "w", url, {key: "1"})
        assert (refused.code, refused.retryable) == (UNKNOWN_OPTION, False)
        assert key in refused.message
        assert refused == agent.refused("pusher", "p", receiver.address, "batch", 0, {key: "1"})
    for key, values in VALUES.items():
        for value in values:
            refused = agent.refused("writer", "w", url, {key: value})
            assert (refused.code, refused.retryable) == (INVALID, False), refused
