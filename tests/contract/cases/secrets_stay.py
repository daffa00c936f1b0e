"""A token goes to the receiver and nowhere else: no error, report or failure shows it."""

from contract import AT, INVALID, LONG, PAGE, SECRET, TEXT, Agent, pusher, write_url, writer
from receiver import FaultReceiver, status

SCRIPT = [status(400, body="no way")]


def run(agent: Agent, receiver: FaultReceiver) -> None:
    # Agent looks for the secret in every answer
    url = write_url(receiver).replace("http://", f"http://user:{SECRET}@")
    refused = agent.refused("writer", "x", url + "\n")
    assert refused.code == INVALID
    refused = agent.refused("writer", "x", write_url(receiver), {"headers.X-Token": f"{SECRET}\n"})
    assert refused.code == INVALID and "***" in refused.message
    writer(agent, receiver, authorization__credentials=SECRET)
    agent.do("sample", "w", "m", 1.0, AT)
    report = agent.report("flush", "w", LONG)
    assert report["rejected.bad_request"] == 1 and report.failures
    assert receiver.requests()[0].header("authorization") == f"Bearer {SECRET}"
    pusher(agent, receiver, basic_auth__username="user", basic_auth__password=SECRET)
    agent.do("put", "p", PAGE, TEXT)
    assert agent.report("flush", "p", LONG)["delivered"] == 1
