"""A page becomes series and metadata, all of it or nothing; a series' own label wins over one that is added."""

from contract import AT, EXPOSITION, LONG, Agent, writer
from receiver import FaultReceiver

PAGE = f"""\
# HELP rows_total Rows "loaded", so far.
# TYPE rows_total counter
rows_total{{stage="load"}} 12 {AT}
rows_total{{stage="s\\"ort",job="own"}} +Inf {AT}
# TYPE seconds histogram
seconds_bucket{{le="1"}} 1 {AT}
seconds_bucket{{le="+Inf"}} 2 {AT}
seconds_sum 3.5 {AT}
seconds_count 2 {AT}
"""
OPENMETRICS = f"""\
# TYPE heat_celsius gauge
# UNIT heat_celsius celsius
# HELP heat_celsius Wärme.
heat_celsius -0.0 {AT // 1000}
# EOF
"""


def run(agent: Agent, receiver: FaultReceiver) -> None:
    writer(agent, receiver)
    assert agent.do("push_text", "w", PAGE, "text/plain; version=0.0.4", {"job": "batch"}) == ["6"]
    assert agent.do("push_text", "w", OPENMETRICS, "application/openmetrics-text; version=1.0.0") == ["1"]
    assert agent.do("push_text", "w", "", "") == ["0"]
    broken = agent.refused("push_text", "w", 'good 1\nbad{a="1} 2\n', "")
    assert (broken.code, broken.retryable) == (EXPOSITION, False)
    assert broken.message.startswith("exposition: line 2, column "), broken
    report = agent.report("flush", "w", LONG)
    assert report.ledger == {"accepted": 7, "delivered": 7}
    assert receiver.samples({"__name__": "rows_total", "job": "batch", "stage": "load"}) == [(AT, 12.0)]
    assert receiver.samples({"__name__": "rows_total", "job": "own", "stage": 's"ort'})
    assert receiver.samples({"__name__": "seconds_bucket", "job": "batch", "le": "+Inf"}) == [(AT, 2.0)]
    ((at, value),) = receiver.samples({"__name__": "heat_celsius"})
    assert (at, repr(value)) == (AT, "-0.0")
    told = [meta for request in receiver.requests() for meta in request.decoded["metadata"]]
    assert {(meta["family"], meta["type"], meta["help"], meta["unit"]) for meta in told} == {
        ("rows_total", "counter", 'Rows "loaded", so far.', ""),
        ("seconds", "histogram", "", ""),
        ("heat_celsius", "gauge", "Wärme.", "celsius"),
    }
