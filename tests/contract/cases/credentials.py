"""After a 401 what is pending is held, the password's file is read again, and all of it is delivered."""

import base64
import tempfile
from pathlib import Path

from contract import AT, LONG, SECRET, Agent, writer
from receiver import FaultReceiver

RULES = {"auth": {"basic": {"user": "1300000000", "password": SECRET}}}


def run(agent: Agent, receiver: FaultReceiver) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "password"
        file.write_text(f"old-{SECRET}\n")
        with agent.differs("the file is in a folder of this run"):
            writer(agent, receiver, basic_auth__username="1300000000", basic_auth__password_file=str(file))
        agent.do("sample", "w", "m", 1.0, AT)
        assert agent.report("flush", "w", 0)["pending"] == 1
        assert receiver.wait(2)
        file.write_text(f"{SECRET}\n")
        report = agent.report("flush", "w", LONG)
        assert (report["delivered"], report.complete) == (1, True)
    *held, last = receiver.requests()
    assert {request.stored for request in held} == {False}
    assert (
        last.header("authorization") == "Basic " + base64.b64encode(f"1300000000:{SECRET}".encode()).decode()
    )


# how often it is tried until the file is new
REQUESTS_DIFFER = "a matter of speed"
