"""Bytes that are no UTF-8 are refused by the name of the argument, and shown escaped."""

from contract import AT, EXPOSITION, INVALID, Agent, write_url, writer
from receiver import FaultReceiver

WITHOUT = dict.fromkeys(("rust", "python"), "its text cannot hold such bytes")
BAD = b"a\xff\xfeb"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    with agent.differs("labels cross from Go packed, where one text is refused as a whole"):
        for refused in (
            agent.refused("series", "s", "w", BAD),
            agent.refused("series", "s", "w", "m", {"a": BAD}),
            agent.refused("series", "s", "w", "m", {BAD: "1"}),
            agent.refused("sample", "w", "m", 1.0, AT, {"a": BAD}),
        ):
            assert (refused.code, refused.retryable) == (INVALID, False), refused
    assert agent.refused("writer", "x", BAD).code == INVALID
    assert agent.refused("writer", "x", write_url(receiver), {"user_agent": BAD}).code == INVALID
    assert agent.refused("push_text", "w", b'm{a="\xff"} 1\n', "").code == EXPOSITION
    assert agent.report("stats", "w").ledger == {}
