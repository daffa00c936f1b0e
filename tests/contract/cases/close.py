"""A close delivers; what is closed refuses, in one and the same error, and its numbers stay."""

from contract import AT, CLOSED, LONG, PAGE, TEXT, Agent, pusher, writer
from receiver import FaultReceiver


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    agent.do("series", "s", "w", "m")
    agent.do("append", "s", 1.0, AT)
    report = agent.report("close", "w", LONG)
    assert report.complete and report["delivered"] == 1
    pusher(agent, receiver)
    agent.do("put", "p", PAGE, TEXT)
    report = agent.report("close", "p", LONG)
    assert report.complete and report["delivered"] == 1
    for refused in (
        agent.refused("append", "s", 2.0, AT + 1),
        agent.refused("append_many", "s", [[2.0, AT + 1]]),
        agent.refused("sample", "w", "m", 2.0, AT + 1),
        agent.refused("series", "t", "w", "n"),
        agent.refused("push_text", "w", "m 1\n", ""),
    ):
        assert (refused.code, refused.retryable, refused.message) == (CLOSED, False, "writer is closed")
    with agent.differs("a pusher of the Go package is a handler with the paths of client_golang"):
        for refused in (
            agent.refused("put", "p", PAGE, TEXT),
            agent.refused("post", "p", PAGE, TEXT),
            agent.refused("delete", "p"),
        ):
            assert (refused.code, refused.retryable) == (CLOSED, False)
            assert refused.message == ("handler is closed" if agent.language == "go" else "pusher is closed")
    for name in ("w", "p"):
        assert agent.report("stats", name).ledger == {"accepted": 1, "delivered": 1}
        with agent.differs("in C a second close is an error, as is every use of what is closed"):
            if agent.language == "c":
                assert agent.refused("close", name, 0).code == CLOSED
            else:
                assert agent.report("close", name, 0).ledger == {}
    assert len(receiver.requests()) == 2
