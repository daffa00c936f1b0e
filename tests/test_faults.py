"""Faults of networks and receivers, through Python: the caller is never held, nothing is lost that can be kept, and
the numbers say what happened. `core/tests` has the same faults in more detail; this is what a program sees of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import promwrite
import pytest
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway
from receiver import (
    ENDLESS,
    Behaviour,
    FaultReceiver,
    cut,
    delay,
    drip_answer,
    hold,
    redirect,
    stall,
    status,
    swallow_ack,
)

# Ten times what is promised and more, because a shared machine may stop a process for as long as it likes.
BOUND = 2.0
# So that a test of retries takes no longer than it must.
QUICK = {
    "queue_config.min_backoff": "10ms",
    "queue_config.max_backoff": "50ms",
    "queue_config.hold_interval": "10ms",
    "queue_config.batch_send_deadline": "0s",
}
Writers = Callable[..., promwrite.Writer]


@pytest.fixture
def writers() -> Iterator[Writers]:
    """Makes writers that retry quickly, and gives up what they still hold at the end."""
    with ExitStack() as stack:

        def make(url: str, **options: Any) -> promwrite.Writer:
            options = {**QUICK, **options}
            writer = promwrite.Writer(url, instance="", options=options)
            stack.callback(writer.close, timeout=0)
            return writer

        yield make


def thread_count() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def write_url(receiver: FaultReceiver) -> str:
    return f"{receiver.url}/api/v1/write"


def assert_adds_up(report: promwrite.Report) -> None:
    """For the first report of a sender: a later one counts what happened since, but all that is pending."""
    settled = (
        report.delivered + sum(report.rejected.values()) + sum(report.dropped.values()) + report.superseded
    )
    assert report.accepted == settled + report.pending, report


def balance(sender: promwrite.Writer | promwrite.Handler) -> dict[str, Any]:
    """The numbers of a sender, which must add up at every instant."""
    stats = sender.stats()
    (one,) = stats if isinstance(stats, list) else [stats]
    settled = (
        one["delivered"] + sum(one["rejected"].values()) + sum(one["dropped"].values()) + one["superseded"]
    )
    assert one["accepted"] == settled + one["pending"], one
    return one


def assert_all_delivered(report: promwrite.Report, accepted: int = 1) -> None:
    assert (report.accepted, report.delivered, bool(report)) == (accepted, accepted, True), report
    assert_adds_up(report)


class Refusing:
    """A port where nobody listens."""

    def __enter__(self) -> FaultReceiver:
        self.receiver = FaultReceiver()
        self.receiver.down()
        return self.receiver

    def __exit__(self, *_: object) -> None:
        self.receiver.close()


DEAD: dict[str, Callable[[], Any]] = {
    "refused": Refusing,
    "blackholed": lambda: FaultReceiver(never_accept=True),
    "hung": lambda: FaultReceiver(default=stall()),
    "dripping": lambda: FaultReceiver(default=drip_answer(0.2)),
    "slow reader": lambda: FaultReceiver(
        default={"drip_read": {"bytes": 1, "every_ms": 200}}, receive_buffer=1024
    ),
    "stalled handshake": lambda: FaultReceiver(tls="handshake_stall"),
    "unavailable": lambda: FaultReceiver(default=status(503)),
}


@pytest.mark.parametrize("fault", DEAD)
def test_a_caller_is_never_held(fault: str, writers: Writers) -> None:
    registry = CollectorRegistry()
    for number in range(100):
        Gauge(f"g{number}", "A gauge with a name and some help.", registry=registry).set(number)
    held = {"append": 0.0, "extend": 0.0, "push": 0.0}
    with DEAD[fault]() as receiver:
        writer = writers(write_url(receiver), **{"tls_config.insecure_skip_verify": True})
        handler = promwrite.Handler(options={"tls_config.insecure_skip_verify": True})

        def timed_handler(**request: Any) -> Callable[[], None]:
            call = handler(**request)

            def run() -> None:
                began = time.perf_counter()
                call()
                held["push"] = max(held["push"], time.perf_counter() - began)

            return run

        series = [writer.series("m", {"n": str(n)}) for n in range(10)]
        gateway = receiver.url if receiver.url.startswith("https") else receiver.address
        began_all = time.monotonic()
        for turn in range(200):
            for one in series:
                began = time.perf_counter()
                one.append(turn)
                held["append"] = max(held["append"], time.perf_counter() - began)
            began = time.perf_counter()
            series[0].extend(
                [turn] * 100, timestamps_ms=[1_700_000_000_000 + turn * 100 + n for n in range(100)]
            )
            held["extend"] = max(held["extend"], time.perf_counter() - began)
            push_to_gateway(gateway, "job", registry, {"turn": turn % 5}, handler=timed_handler)
        took = time.monotonic() - began_all
        print(f"{fault}: longest call", {what: f"{seconds * 1e6:.0f} µs" for what, seconds in held.items()})
        print(f"{fault}: everything took {took:.2f} s")
        assert max(held.values()) < BOUND
        for timeout in (0.0, 0.1, 0.5):
            for sender in (writer, handler):
                began = time.monotonic()
                report = sender.flush(timeout=timeout)
                late = time.monotonic() - began - timeout
                assert late < BOUND, (timeout, late)
                assert balance(sender)["accepted"] > 0
                assert not report or fault == "dripping"
        for sender in (writer, handler):
            began = time.monotonic()
            sender.close(timeout=0.1)
            assert time.monotonic() - began - 0.1 < BOUND
            assert balance(sender)["pending"] == 0
        assert balance(writer)["accepted"] == 200 * 110
        assert balance(handler)["accepted"] == 200


@pytest.mark.parametrize("code", [200, 202, 204, 299])
def test_every_2xx_is_a_delivery(code: int, writers: Writers) -> None:
    with FaultReceiver(default=status(code)) as receiver:
        writer = writers(write_url(receiver))
        writer.append("m", 1)
        assert_all_delivered(writer.flush(timeout=10))
        assert len(receiver.requests()) == 1


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 529, 599])
def test_what_may_pass_is_tried_again(code: int, writers: Writers) -> None:
    with FaultReceiver([status(code), status(code)]) as receiver:
        writer = writers(write_url(receiver))
        writer.append("m", 1)
        assert_all_delivered(writer.flush(timeout=30))
        assert receiver.wait(3)
        bodies = {request.body for request in receiver.requests()}
        assert [request.answered for request in receiver.requests()] == [code, code, 204]
        assert len(bodies) == 1


@pytest.mark.parametrize("code", [400, 402, 405, 406, 409, 410, 411, 415, 418, 422])
def test_what_cannot_pass_is_rejected_once(code: int, writers: Writers) -> None:
    with FaultReceiver([status(code, body="no \x1b[31mway")]) as receiver:
        writer = writers(write_url(receiver))
        writer.append("m", 1)
        report = writer.flush(timeout=10)
        assert (report.rejected, report.pending, bool(report)) == ({"bad_request": 1}, 0, False)
        assert_adds_up(report)
        assert any(str(code) in failure and "way" in failure for failure in report.failures), report.failures
        assert "\x1b" not in repr(report)
        writer.append("m", 2)
        assert_all_delivered(writer.flush(timeout=10))
        assert len(receiver.requests()) == 2


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308, 401, 403, 404])
def test_what_speaks_of_the_set_up_is_held(code: int, writers: Writers) -> None:
    with FaultReceiver() as stranger, FaultReceiver() as receiver:
        answer = redirect(code, write_url(stranger)) if code < 400 else status(code)
        receiver.script([answer, answer])
        writer = writers(write_url(receiver), **{"headers.X-BK-TOKEN": "canary"})
        writer.append("m", 1)
        assert_all_delivered(writer.flush(timeout=30))
        assert receiver.wait(3)
        assert [request.answered for request in receiver.requests()] == [code, code, 204]
        # neither header nor body goes to another host
        assert stranger.counts()["connections"] == 0


def test_one_bad_sample_costs_one_sample(writers: Writers) -> None:
    with FaultReceiver(rules={"poison": [{"label_value": "bad"}]}) as receiver:
        writer = writers(write_url(receiver), **{"queue_config.batch_send_deadline": "1h"})
        for number in range(1999):
            writer.append("m", number, {"n": str(number)})
        writer.append("m", 0, {"n": "bad"})
        report = writer.flush(timeout=30)
        assert (report.delivered, report.rejected) == (1999, {"bad_request": 1}), report
        assert_adds_up(report)
        assert len(receiver.store()["series"]) == 1999
        assert len(receiver.requests()) <= 2 * 11 + 2


def test_without_splitting_one_bad_sample_costs_its_request(writers: Writers) -> None:
    with FaultReceiver(rules={"poison": [{"label_value": "bad"}]}) as receiver:
        writer = writers(
            write_url(receiver), split_on_reject=False, **{"queue_config.batch_send_deadline": "1h"}
        )
        for name in ("good", "bad", "other"):
            writer.append("m", 1, {"n": name})
        report = writer.flush(timeout=30)
        assert (report.delivered, report.rejected) == (0, {"bad_request": 3})
        assert len(receiver.requests()) == 1


def test_a_request_that_is_too_large_is_halved(writers: Writers) -> None:
    with FaultReceiver(rules={"body_limit": 2000}) as receiver:
        writer = writers(write_url(receiver), **{"queue_config.batch_send_deadline": "1h"})
        for number in range(1000):
            writer.append("m", number, {"n": os.urandom(20).hex()})
        assert_all_delivered(writer.flush(timeout=60), 1000)
        assert len(receiver.store()["series"]) == 1000
        assert {request.answered for request in receiver.requests()} == {413, 204}


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_kept_and_capped(code: int, writers: Writers) -> None:
    with FaultReceiver([status(code, retry_after=1)]) as receiver:
        writer = writers(write_url(receiver))
        writer.append("m", 1)
        assert_all_delivered(writer.flush(timeout=30))
        first, second = receiver.requests()
        assert second.arrived_us - first.arrived_us >= 1_000_000
    with FaultReceiver([status(code, retry_after=31_536_000)]) as receiver:
        writer = writers(write_url(receiver), **{"queue_config.max_retry_after": "20ms"})
        writer.append("m", 1)
        assert_all_delivered(writer.flush(timeout=30))


ONCE: dict[str, Behaviour] = {
    "reset after accept": cut("after_accept"),
    "reset at the first byte": cut("first_byte"),
    "reset within the head": cut("mid_headers"),
    "reset after the head": cut("after_headers"),
    "reset within the body": cut("mid_body"),
    "reset after the body": cut("after_body"),
    "reset within the answer": cut("mid_response"),
    "closed after the body": cut("after_body", "close"),
    "half closed after the body": cut("after_body", "half_close"),
    "answer cut off": cut("mid_response", "close", 12),
    "stall": stall(),
    "answer later than the deadline": delay(3),
    "answer that drips": drip_answer(0.1),
    "endless interim answers": {"interim": ENDLESS},
    "garbage": {"raw": list(b"SSH-2.0-OpenSSH_9.2\r\n")},
}


@pytest.mark.parametrize("fault", ONCE)
def test_a_broken_exchange_is_tried_again(fault: str, writers: Writers) -> None:
    with FaultReceiver([ONCE[fault]]) as receiver:
        writer = writers(write_url(receiver), remote_timeout="300ms")
        writer.append("m", 1, timestamp=1_700_000_000)
        assert_all_delivered(writer.flush(timeout=60))
        # what was stored before the answer was lost is stored again: the same sample
        assert set(receiver.samples({"__name__": "m"})) == {(1_700_000_000_000, 1.0)}


def test_an_answer_without_end_costs_no_memory(writers: Writers) -> None:
    for body in ({"repeat": "x", "bytes": None}, {"repeat": "\x1b[31m", "bytes": 1 << 30}):
        with FaultReceiver([{"status": 400, "body": body, "framing": "chunked"}]) as receiver:
            writer = writers(write_url(receiver), remote_timeout="5s")
            writer.append("m", 1)
            report = writer.flush(timeout=60)
            assert report.rejected == {"bad_request": 1}, report
            assert all(len(failure) < 2000 and "\x1b" not in failure for failure in report.failures)


def test_a_lost_answer_loses_and_doubles_nothing(writers: Writers) -> None:
    with FaultReceiver([swallow_ack()], rules={"strictness": "prometheus"}) as receiver:
        writer = writers(write_url(receiver), **{"queue_config.batch_send_deadline": "1h"})
        for number in range(100):
            writer.append("m", number, {"n": str(number)}, timestamp=1_700_000_000)
        assert_all_delivered(writer.flush(timeout=30), 100)
        assert [len(series["samples"]) for series in receiver.store()["series"]] == [1] * 100
        assert len({request.body for request in receiver.requests()}) == 1


def test_a_stale_connection_is_no_failure(writers: Writers) -> None:
    with FaultReceiver(rules={"stale_after": 1}) as receiver:
        writer = writers(
            write_url(receiver), **{"queue_config.min_backoff": "1h", "queue_config.max_backoff": "1h"}
        )
        for number in range(5):
            writer.append("m", number, timestamp=1_700_000_000 + number)
            report = writer.flush(timeout=10)
            assert_all_delivered(report)
            assert report.failures == []
        assert [value for _, value in receiver.samples({"__name__": "m"})] == [0, 1, 2, 3, 4]


def test_a_receiver_that_comes_and_goes_costs_nothing(writers: Writers) -> None:
    with FaultReceiver() as receiver:
        writer = writers(write_url(receiver))
        for number in range(10):
            receiver.down()
            writer.append("m", number, timestamp=1_700_000_000 + number)
            assert writer.flush(timeout=0.05).pending == 1
            receiver.up()
            assert writer.flush(timeout=30)
        assert [value for _, value in receiver.samples({"__name__": "m"})] == list(range(10))


def test_a_stopped_receiver_costs_nothing(writers: Writers) -> None:
    with FaultReceiver() as receiver:
        writer = writers(write_url(receiver), remote_timeout="100ms")
        writer.append("m", 0, timestamp=1_700_000_000)
        assert writer.flush(timeout=10)
        os.kill(receiver.pid, signal.SIGSTOP)
        try:
            for number in range(1, 4):
                writer.append("m", number, timestamp=1_700_000_000 + number)
                assert writer.flush(timeout=0.3).pending == number
            threads = thread_count()
        finally:
            os.kill(receiver.pid, signal.SIGCONT)
        assert writer.flush(timeout=30)
        assert thread_count() <= threads
        values = {value for _, value in receiver.samples({"__name__": "m"})}
        assert values == {0, 1, 2, 3}


def test_the_newest_push_of_a_group_wins() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("g", "A gauge.", registry=registry)
    with FaultReceiver([hold()]) as receiver, promwrite.Handler() as handler:
        for number in range(10):
            gauge.set(number)
            push_to_gateway(receiver.address, "job", registry, handler=handler)
            assert receiver.wait(1, "held")
        receiver.release()
        report = handler.flush(timeout=30)
        assert (report.accepted, report.delivered, report.superseded) == (10, 2, 8)
        assert_adds_up(report)
        group = receiver.group(job="job")
        assert group is not None
        assert group["g"].endswith("g 9.0\n")


def test_an_older_push_never_follows_a_newer_one() -> None:
    """The first is retried after the second was handed over: the second must be what remains."""
    registry = CollectorRegistry()
    gauge = Gauge("g", "A gauge.", registry=registry)
    options = {"queue_config.min_backoff": "10ms", "queue_config.max_backoff": "20ms"}
    with (
        FaultReceiver([status(503)] * 3 + [swallow_ack()]) as receiver,
        promwrite.Handler(options=options) as handler,
    ):
        for number in range(3):
            gauge.set(number)
            push_to_gateway(receiver.address, "job", registry, handler=handler)
            assert receiver.wait(number + 1, "requests")
        assert handler.flush(timeout=30)
        values = [request.decoded["text"].split()[-1] for request in receiver.requests()]
        assert values == sorted(values)
        group = receiver.group(job="job")
        assert group is not None
        assert group["g"].endswith("g 2.0\n")


@pytest.mark.parametrize(
    ("policy", "newest", "reason"),
    [("drop_oldest", True, "queue_full"), ("drop_newest", False, "queue_full")],
)
def test_a_full_queue_drops_and_says_so(policy: str, newest: bool, reason: str, writers: Writers) -> None:
    with FaultReceiver([hold()]) as receiver:
        options = {"queue_config.capacity": 100, "queue_config.overflow": policy}
        writer = writers(write_url(receiver), **options)
        writer.append("first", 1)
        assert receiver.wait(1, "held")
        for number in range(1000):
            writer.append("m", number, {"n": str(number)})
        receiver.release()
        report = writer.flush(timeout=30)
        assert not report
        assert set(report.dropped) == {reason}
        assert report.accepted == 1001
        assert_adds_up(report)
        kept = {int(s["labels"]["n"]) for s in receiver.store()["series"] if s["labels"]["__name__"] == "m"}
        assert len(kept) == report.delivered - 1 == 1000 - report.dropped[reason]
        assert kept == set(range(1000 - len(kept), 1000) if newest else range(len(kept)))


def test_a_full_queue_raises_where_asked(writers: Writers) -> None:
    with FaultReceiver([hold()]) as receiver:
        options = {"queue_config.capacity": 100, "queue_config.overflow": "error"}
        writer = writers(write_url(receiver), **options)
        # what is in flight does not wait, so it takes no room
        writer.append("m", 1, {"n": "in flight"})
        assert receiver.wait(1, "held")
        for n in range(100):
            writer.append("m", 1, {"n": str(n)})
        with pytest.raises(promwrite.QueueFullError, match="queue: full with 100 items") as raised:
            writer.append("m", 1, {"n": "one too many"})
        assert isinstance(raised.value, BufferError)
        assert raised.value.retryable
        receiver.release()
        assert_all_delivered(writer.flush(timeout=30), 101)
