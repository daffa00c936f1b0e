"""A time before 2001 or far ahead is refused, and both its readings are told: seconds and milliseconds are mixed up."""

from contract import AT, INVALID_TIMESTAMP, LONG, Agent, writer
from receiver import FaultReceiver

TIMES = [0, -1, AT // 1000, AT * 1000, 978_307_199_999]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    for at in TIMES:
        # all or nothing
        refused = agent.refused("append_many", "s", [[1.0, AT], [1.0, at]])
        assert (refused.code, refused.retryable) == (INVALID_TIMESTAMP, False)
        assert refused.message.startswith(f"timestamp: {at} is refused: "), refused
        with agent.differs("a time of one sample is in seconds in Python, and named as it was given"):
            for refused in (
                agent.refused("append", "s", 1.0, at),
                agent.refused("sample", "w", "m", 1.0, at),
            ):
                assert refused.code == INVALID_TIMESTAMP
                given = int(at / 1000) if agent.language == "python" else at
                assert refused.message.startswith(f"timestamp: {given} is refused: "), refused
    assert agent.report("flush", "w", LONG).ledger == {}
