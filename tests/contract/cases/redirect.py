"""A redirect is not followed: neither data nor token goes to another host. What is pending is held."""

from contract import AT, LONG, SECRET, Agent, write_url, writer
from receiver import FaultReceiver, redirect


def run(agent: Agent, receiver: FaultReceiver) -> None:
    with FaultReceiver() as stranger:
        receiver.script([redirect(code, write_url(stranger)) for code in (307, 301)])
        writer(agent, receiver, headers__X_BK_TOKEN=SECRET)
        agent.do("sample", "w", "m", 1.0, AT)
        assert agent.report("flush", "w", LONG).ledger == {"accepted": 1, "delivered": 1}
        assert stranger.counts()["connections"] == 0
    assert receiver.wait(3)
    assert [request.answered for request in receiver.requests()] == [307, 301, 204]
    assert {request.header("x_bk_token") for request in receiver.requests()} == {SECRET}
