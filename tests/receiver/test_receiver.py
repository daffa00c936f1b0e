"""The Python client of the fault receiver, against the binary."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import threading
import urllib.error
import urllib.request

import pytest
from receiver import (
    FaultReceiver,
    ReceiverError,
    cut,
    delay,
    drip_answer,
    hold,
    ok,
    redirect,
    stall,
    status,
    swallow_ack,
)


def send(
    receiver: FaultReceiver, method: str = "PUT", path: str = "/metrics/job/j", body: str = "a 1\n"
) -> int:
    connection = http.client.HTTPConnection(receiver.host, receiver.port, timeout=5)
    try:
        connection.request(method, path, body.encode(), {"X-Who": "me"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_script_requests_and_store() -> None:
    with FaultReceiver(
        [status(503, retry_after=1), redirect(307, "http://x/"), delay(0.001), drip_answer(0.0001)]
    ) as r:
        assert [send(r) for _ in range(5)] == [503, 307, 200, 200, 200]
        assert r.wait(5)
        assert not r.wait(6, timeout=0.001)
        first, *_, last = r.requests()
        assert (first.method, first.path, first.body, first.answered) == (
            "PUT",
            "/metrics/job/j",
            b"a 1\n",
            503,
        )
        assert (first.header("x-who"), first.decoded["group"], first.stored) == ("me", {"job": "j"}, False)
        assert last.arrived_us > first.arrived_us
        assert [q.seq for q in r.requests(since=3)] == [3, 4]
        assert r.group(job="j") == {"a": "a 1\n"}
        assert r.group(job="k") is None
        assert r.counts()["requests"] == 5
        r.clear()
        assert r.requests() == []
        r.script([ok()], status(500))
        r.add(status(404))
        assert [send(r) for _ in range(3)] == [200, 404, 500]


@pytest.mark.parametrize(
    "behaviour",
    [cut("after_accept"), cut("mid_headers"), swallow_ack("close"), cut("mid_response", "close", 5)],
)
def test_cuts(behaviour: dict[str, object]) -> None:
    with FaultReceiver([behaviour]) as r:
        with pytest.raises((OSError, http.client.HTTPException)):
            send(r)
        assert send(r) == 200


def test_write_samples_keep_their_bits() -> None:
    # a NaN @5, written by hand, as one literal of a snappy block.
    message = bytes.fromhex("0a1c0a0d0a085f5f6e616d655f5f120161120b09010000000000f87f1005")
    block = bytes([len(message), (len(message) - 1) << 2]) + message
    with FaultReceiver() as r:
        request = urllib.request.Request(r.url + "/api/v1/write", block, method="POST")
        request.add_header("Content-Type", "application/x-protobuf")
        request.add_header("Content-Encoding", "snappy")
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 204
        (series,) = r.requests()[0].series
        assert series.labels == {"__name__": "a"}
        assert [(s.ts_ms, s.bits) for s in series.samples] == [(5, 0x7FF8000000000001)]
        assert [ts for ts, _ in r.samples({"__name__": "a"})] == [5]


def test_hold_and_release() -> None:
    with FaultReceiver([hold()]) as r:
        statuses: list[int] = []
        thread = threading.Thread(target=lambda: statuses.append(send(r)))
        thread.start()
        assert r.wait(1, "held")
        assert statuses == []
        r.release()
        thread.join(5)
        assert statuses == [200]


def test_rules() -> None:
    with FaultReceiver(rules={"auth": {"header": {"name": "X-Who", "value": "me"}}}) as r:
        assert send(r) == 200
        r.rules({"auth": {"basic": {"user": "u", "password": "p"}}})
        assert send(r) == 401
        r.rules({"body_limit": 3})
        assert send(r) == 413


def test_down_and_up() -> None:
    with FaultReceiver() as r:
        r.down()
        with pytest.raises(ConnectionRefusedError):
            send(r)
        r.up()
        assert send(r) == 200


def test_proxy() -> None:
    with FaultReceiver() as upstream, FaultReceiver([swallow_ack()], upstream=upstream.address) as proxy:
        with pytest.raises((OSError, http.client.HTTPException)):
            send(proxy)
        assert upstream.group(job="j") == {"a": "a 1\n"}
        assert send(proxy, "DELETE") == 202
        assert upstream.group(job="j") is None


def test_tls() -> None:
    with FaultReceiver(tls="good") as good, FaultReceiver(tls="expired") as expired:
        assert good.tls_files is not None and expired.tls_files is not None
        with urllib.request.urlopen(
            good.url, timeout=5, context=ssl.create_default_context(cafile=good.tls_files.ca)
        ) as a:
            assert a.status == 200
        with pytest.raises(urllib.error.URLError, match="expired"):
            urllib.request.urlopen(
                expired.url, timeout=5, context=ssl.create_default_context(cafile=expired.tls_files.ca)
            )


def test_a_stopped_or_stalled_receiver_ends() -> None:
    with FaultReceiver(default=stall()) as r:
        connection = http.client.HTTPConnection(r.host, r.port, timeout=5)
        connection.request("GET", "/")
        assert r.wait(1, "requests")
        os.kill(r.pid, signal.SIGSTOP)
        os.kill(r.pid, signal.SIGCONT)
    assert r._child.returncode == 0
    with pytest.raises((OSError, http.client.HTTPException)):
        connection.getresponse()
    connection.close()


def test_mistakes_are_named() -> None:
    with pytest.raises(ReceiverError, match="statsu"):
        FaultReceiver([{"statsu": 1}])
    with FaultReceiver() as r, pytest.raises(ReceiverError, match="strictnes"):
        r.rules({"strictnes": "prometheus"})
