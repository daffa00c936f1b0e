"""The receiver's model of Prometheus and the Pushgateway, and its proxy, beside the real servers."""

from __future__ import annotations

import http.client
import struct
import time
import urllib.parse
from collections.abc import Mapping

import pytest
from receiver import FaultReceiver, swallow_ack
from servers import Prometheus, Pushgateway, labels

PROMETHEUS = {"strictness": "prometheus"}
NOW = int(time.time() * 1000)
Samples = list[tuple[int, float]]


def varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def body(series: list[tuple[list[tuple[str, str]], Samples]]) -> bytes:
    """A remote-write 1.0 body, written by hand; the snappy block holds nothing but literals."""
    message = b""
    for pairs, samples in series:
        one = b"".join(field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in pairs)
        for timestamp, value in samples:
            one += field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(NOW + timestamp))
        message += field(1, one)
    pieces = [message[at : at + 60] for at in range(0, len(message), 60)]
    return varint(len(message)) + b"".join(bytes([len(p) - 1 << 2]) + p for p in pieces)


def send(url: str, method: str, data: bytes, headers: Mapping[str, str]) -> int:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, parts.path, data, dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def write(url: str, data: bytes) -> int:
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    return send(url, "POST", data, headers)


A = [("__name__", "a"), ("x", "1")]
B = [("__name__", "b")]
WRITES: list[tuple[str, bytes]] = [
    ("two series", body([(A, [(10, 1.0)]), (B, [(10, 1.0), (20, 2.0), (30, 3.0)])])),
    ("the newest sample again", body([(A, [(10, 1.0)])])),
    ("a coalesced series again", body([(B, [(10, 1.0), (20, 2.0), (30, 3.0)])])),
    ("other value at the same time", body([(A, [(10, 2.0)])])),
    ("good, out of order, good", body([(A, [(20, 2.0)]), (B, [(5, 0.0)]), (A, [(30, 3.0)])])),
    ("twice within a request", body([(A, [(40, 4.0), (40, 5.0), (50, 5.0)])])),
    ("backwards within a request", body([(A, [(70, 7.0), (60, 6.0), (80, 8.0)])])),
    ("an empty label value", body([([*B, ("y", "")], [(40, 4.0)])])),
    ("a label name twice", body([([("__name__", "c"), ("x", "1"), ("x", "2")], [(10, 1.0)])])),
    ("nothing", body([])),
    ("no snappy", b"\x05nope"),
]


def test_the_model_answers_and_stores_as_prometheus_does(prometheus: Prometheus) -> None:
    with FaultReceiver(rules=PROMETHEUS) as model:
        for what, data in WRITES:
            answers = write(model.url + "/api/v1/write", data), write(prometheus.write_url, data)
            if what == "a label name twice" and answers[1] == 204:
                # Newer than 2.x it skips such a series in silence; the model keeps to the harsher old one.
                assert "prometheus-2" not in prometheus.binary.parent.name
                assert answers[0] == 500
            else:
                assert answers[0] == answers[1], what
        for pairs in (A, B):
            selector = "{" + ",".join(f'{name}="{value}"' for name, value in pairs) + "}"
            real = prometheus.query_range_raw(selector, NOW - 1000, NOW + 1000)
            modelled = model.samples(dict(pairs))
            assert len(modelled) >= 4
            stored = [(ts, struct.unpack("<Q", struct.pack("<d", value))[0]) for ts, value in modelled]
            assert real == {labels(dict(pairs)): stored}


def test_a_lost_answer_through_the_proxy(prometheus: Prometheus) -> None:
    single, coalesced = body([(A, [(10, 1.0)])]), body([(B, [(10, 1.0), (20, 2.0)])])
    with FaultReceiver([swallow_ack(), {}, swallow_ack(), {}], upstream=prometheus.address) as proxy:
        url = proxy.url + "/api/v1/write"
        for data, status in ((single, 204), (coalesced, 400)):
            with pytest.raises((OSError, http.client.HTTPException)):
                write(url, data)
            assert write(url, data) == status


PUSHES = [
    ("PUT", "/metrics/job/j", "a 1\n"),
    (
        "POST",
        "/metrics/job/j/instance@base64/YSBi",
        '# TYPE t histogram\nt_bucket{le="+Inf"} 1\nt_sum 1\nt_count 1\n',
    ),
    ("POST", "/metrics/job/j", "b 1\n"),
    ("PUT", "/metrics/job/s%20p/x@base64/=", "c 1\n"),
    ("PUT", "/metrics/job@base64/YS9i", "c 1\n"),
    ("PUT", "/metrics/job@base64/=", "c 1\n"),
    ("PUT", "/metrics/job/j/x", "c 1\n"),
    ("PUT", "/metrics/job/j/__x/y", "c 1\n"),
    ("PUT", "/metrics/job/k", "c 1"),
    ("PUT", "/metrics/job/k", "c 1\r\n"),
    ("PUT", "/metrics/job/k", "# TYPE c gauge\n# TYPE c gauge\nc 1\n"),
    ("PUT", "/metrics/job/j", ""),
    ("DELETE", "/metrics/job/nobody", ""),
    ("DELETE", "/metrics/job/s%20p/x@base64/=", ""),
]


def test_the_model_answers_and_groups_as_the_pushgateway_does(pushgateway: Pushgateway) -> None:
    with FaultReceiver(rules=PROMETHEUS) as model:
        for method, path, text in PUSHES:
            answers = [send(url + path, method, text.encode(), {}) for url in (model.url, pushgateway.url)]
            assert answers[0] == answers[1], (method, path, text)
        for group in model.store()["groups"]:
            if group["families"]:
                real = pushgateway.groups()[labels(group["key"])]
                assert {dict(series)["__name__"].split("_")[0] for series in real} == set(group["families"])
