"""A server's certificate is checked: by a CA that is given it is trusted, and without one nothing is sent."""

from contract import AT, LONG, OPTIONS, Agent, spelled, write_url
from receiver import FaultReceiver


def run(agent: Agent, receiver: FaultReceiver) -> None:
    with FaultReceiver(tls="good") as secure:
        assert secure.tls_files is not None
        with agent.differs("port and folder of this run"):
            agent.do("writer", "w", write_url(secure), spelled({"tls_config__ca_file": secure.tls_files.ca}))
            agent.do("writer", "x", write_url(secure), OPTIONS)
        agent.do("sample", "x", "m", 1.0, AT)
        report = agent.report("flush", "x", 500)
        assert report["pending"] == 1 and secure.requests() == []
        agent.do("sample", "w", "m", 1.0, AT)
        assert agent.report("flush", "w", LONG).ledger == {"accepted": 1, "delivered": 1}
        assert len(secure.requests()) == 1
