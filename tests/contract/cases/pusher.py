"""A page goes to its group as it is: PUT, POST and DELETE, in their order."""

from contract import LONG, TEXT, Agent, pusher
from receiver import FaultReceiver

# as every client would render them: Python has 1.0 where Go has 1
PAGE = "# HELP done Done, Wärme.\n# TYPE done gauge\ndone 1.5\n"
MORE = "# HELP rows Rows.\n# TYPE rows gauge\nrows 3.5\n"


def run(agent: Agent, receiver: FaultReceiver) -> None:
    pusher(agent, receiver)
    for verb, page in (("put", PAGE), ("post", MORE)):
        agent.do(verb, "p", page, TEXT)
        assert agent.report("flush", "p", LONG).ledger == {"accepted": 1, "delivered": 1}
    group = receiver.group(job="batch", shard="a/b")
    assert group is not None and group.keys() >= {"done", "rows"}
    agent.do("delete", "p")
    assert agent.report("flush", "p", LONG).ledger == {"accepted": 1, "delivered": 1}
    assert receiver.group(job="batch", shard="a/b") is None
    assert [(request.method, request.path, request.body.decode()) for request in receiver.requests()] == [
        ("PUT", "/metrics/job/batch/shard@base64/YS9i", PAGE),
        ("POST", "/metrics/job/batch/shard@base64/YS9i", MORE),
        ("DELETE", "/metrics/job/batch/shard@base64/YS9i", ""),
    ]
