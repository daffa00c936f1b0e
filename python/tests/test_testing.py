"""The development receiver, spoken to by hand so that no sender of ours is needed to judge it."""

from __future__ import annotations

import base64
import gzip
import http.client
import math
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping

import pytest
from promwrite.testing import Metadata, Receiver, Sample, labels

WRITE_HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
V2_HEADERS = {**WRITE_HEADERS, "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
# {__name__="my_metric",job="a"} 123 @1700000000123 as remote write 1.0 and, with type, help and unit, as 2.0: made with
# google.protobuf and snappy.
V1 = bytes.fromhex(
    "35d00a330a150a085f5f6e616d655f5f12096d795f6d65747269630a080a036a6f621201611210090000000000c05e4010fbd095ffbc31"
)
V2 = bytes.fromhex(
    "5cf05b220022085f5f6e616d655f5f22096d795f6d657472696322036a6f62220161220968656c70207465787422077365636f6e64732a27"
    "0a04010203041217090000000000c05e4010fbd095ffbc3118f08195ffbc312a06080118052006"
)
# "a 1\n" ten times in snappy's framed format: stream identifier, then one chunk of uncompressed data with its checksum
FRAMED_TEXT = b"a 1\n"


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def framed(data: bytes) -> bytes:
    checksum = crc32c(data)
    masked = ((checksum >> 15 | checksum << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF
    chunk = struct.pack("<I", masked) + data
    return b"\xff\x06\x00\x00sNaPpY" + b"\x01" + len(chunk).to_bytes(3, "little") + chunk


def sample_body(value: float, timestamp_ms: int = 1_700_000_000_123) -> bytes:
    """The known body with another value."""
    at = V1.index(struct.pack("<d", 123.0))
    assert timestamp_ms == 1_700_000_000_123
    return V1[:at] + struct.pack("<d", value) + V1[at + 8 :]


def send(
    receiver: Receiver, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_samples_of_remote_write_1(receiver: Receiver) -> None:
    for value in (123.0, math.nan, -math.inf, -0.0):
        assert send(receiver, "POST", "/api/v1/write", sample_body(value), WRITE_HEADERS) == (204, "")
    receiver.wait_for(samples=4, requests=4)
    ((series, samples),) = receiver.samples.items()
    assert series == labels("my_metric", job="a")
    assert {sample.timestamp_ms for sample in samples} == {1_700_000_000_123}
    bits = [struct.pack("<d", sample.value) for sample in samples]
    assert bits == [struct.pack("<d", value) for value in (123.0, math.nan, -math.inf, -0.0)]
    assert math.copysign(1, receiver.values("my_metric", job="a")[3]) == -1
    with pytest.raises(KeyError, match="0 series match"):
        receiver.values("my_metric", job="b")


def test_samples_of_remote_write_2(receiver: Receiver) -> None:
    assert send(receiver, "POST", "/any/path", V2, V2_HEADERS)[0] == 204
    assert receiver.samples == {labels("my_metric", job="a"): [Sample(1_700_000_000_123, 123.0)]}
    assert receiver.metadata == {"my_metric": Metadata("counter", "help text", "seconds")}


def test_what_is_no_write_request_is_refused(receiver: Receiver) -> None:
    for body, headers in [(b"nonsense", WRITE_HEADERS), (V1[2:], WRITE_HEADERS), (b"", WRITE_HEADERS)]:
        assert send(receiver, "POST", "/api/v1/write", body, headers)[0] == 400
    assert send(receiver, "GET", "/api/v1/write")[0] in (405, 411)
    assert receiver.samples == {}


def test_groups_as_a_gateway_keeps_them(receiver: Receiver) -> None:
    path = "/metrics/job/a/instance/i"
    first = "# HELP x about x\n# TYPE x gauge\nx 1\n"
    first += '# TYPE h histogram\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\nbare 4\n'
    assert send(receiver, "PUT", path, first.encode()) == (200, "")
    assert receiver.group("a", instance="i").text == first
    assert set(receiver.group("a", instance="i").families) == {"x", "h", "bare"}
    assert send(receiver, "POST", path, b"x 2\n")[0] == 200
    assert receiver.group("a", instance="i").families["x"] == "x 2\n"
    assert "h_count 2" in receiver.group("a", instance="i").text
    assert send(receiver, "PUT", path, b"only 1\n")[0] == 200
    assert receiver.group("a", instance="i").text == "only 1\n"
    assert send(receiver, "DELETE", path)[0] == 202
    assert receiver.groups == {}
    receiver.wait_for(pushes=4)
    assert [push.method for push in receiver.pushes] == ["PUT", "POST", "PUT", "DELETE"]


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/metrics/job/a%20b", {"job": "a b"}),
        ("/metrics/job/a+b", {"job": "a+b"}),
        ("/prefix/metrics/job/a/x@base64/L3Zhcg", {"job": "a", "x": "/var"}),
        ("/metrics/job/a/x@base64/L3Zhcg==", {"job": "a", "x": "/var"}),
        ("/metrics/job/a/x@base64/=", {"job": "a", "x": ""}),
        ("/metrics/job@base64/w7w", {"job": "ü"}),
    ],
)
def test_grouping_keys(receiver: Receiver, path: str, key: dict[str, str]) -> None:
    assert send(receiver, "PUT", path, b"a 1\n") == (200, "")
    assert [group.key for group in receiver.groups.values()] == [key]


@pytest.mark.parametrize(
    ("path", "body", "encoding", "told"),
    [
        ("/metrics/job/", b"a 1\n", "", "odd number"),
        ("/metrics/job@base64/=", b"a 1\n", "", "job name is required"),
        ("/metrics/job/a/x", b"a 1\n", "", "odd number"),
        ("/metrics/job/a/b-c/x", b"a 1\n", "", "label name"),
        ("/metrics/job/a/x@base64/%21", b"a 1\n", "", "base64"),
        ("/metrics/job/a", b"a 1", "", "line feed"),
        ("/metrics/job/a", b"\xff\n", "", "cannot be read"),
        ("/metrics/job/a", b"a 1\n", "gzip", "cannot be read"),
        ("/metrics/job/a", b"a 1\n", "snappy", "cannot be read"),
    ],
)
def test_bad_pushes_are_refused(receiver: Receiver, path: str, body: bytes, encoding: str, told: str) -> None:
    status, text = send(receiver, "PUT", path, body, {"Content-Encoding": encoding})
    assert status == 400
    assert told in text
    assert receiver.groups == {}
    assert [request.status for request in receiver.requests] == [400]


def test_compressed_pushes(receiver: Receiver) -> None:
    for encoding, body in [("gzip", gzip.compress(FRAMED_TEXT)), ("snappy", framed(FRAMED_TEXT))]:
        assert send(receiver, "PUT", f"/metrics/job/{encoding}", body, {"Content-Encoding": encoding}) == (
            200,
            "",
        )
        assert receiver.group(encoding).text == "a 1\n"


BASIC = {"Authorization": "Basic " + base64.b64encode("123:tökén".encode()).decode()}


@pytest.mark.parametrize(
    ("demand", "right", "wrong"),
    [
        ({"basic_auth": ("123", "tökén")}, BASIC, {"Authorization": BASIC["Authorization"][:-2] + "=="}),
        ({"bearer_token": "t"}, {"authorization": "Bearer t"}, {"Authorization": "Bearer tt"}),
        ({"headers": {"X-BK-TOKEN": "t0ken-7"}}, {"x-bk-token": "t0ken-7"}, {"X-BK-TOKEN": "T0ken-7"}),
    ],
)
def test_credentials(demand: dict[str, object], right: dict[str, str], wrong: dict[str, str]) -> None:
    with Receiver(**demand) as receiver:  # type: ignore[arg-type]
        for headers in ({}, wrong):
            assert send(receiver, "PUT", "/metrics/job/a", b"a 1\n", headers)[0] == 401
            assert send(receiver, "POST", "/api/v1/write", V1, {**WRITE_HEADERS, **headers})[0] == 401
        assert (receiver.groups, receiver.samples) == ({}, {})
        assert send(receiver, "PUT", "/metrics/job/a", b"a 1\n", right)[0] == 200
        assert send(receiver, "POST", "/api/v1/write", V1, {**WRITE_HEADERS, **right})[0] == 204
        # what a failing test prints must not hold the secret
        assert next(iter(right.values())) not in repr(receiver.requests)


def test_a_write_path_is_the_only_one() -> None:
    with Receiver(write_path="/api/v1/prom/write") as receiver:
        assert receiver.write_url == f"http://127.0.0.1:{receiver.port}/api/v1/prom/write"
        assert send(receiver, "POST", "/api/v1/write", V1, WRITE_HEADERS)[0] == 404
        assert send(receiver, "POST", "/api/v1/prom/write", V1, WRITE_HEADERS)[0] == 204


def test_failing_hanging_and_recovering(receiver: Receiver) -> None:
    receiver.fail(503, retry_after=7)
    assert send(receiver, "PUT", "/metrics/job/a", b"a 1\n") == (503, "told to fail")
    assert receiver.groups == {}
    receiver.recover()
    receiver.hang()
    statuses: list[int] = []
    thread = threading.Thread(
        target=lambda: statuses.append(send(receiver, "PUT", "/metrics/job/a", b"a 1\n")[0])
    )
    thread.start()
    receiver.wait_for(hanging=1)
    with pytest.raises(TimeoutError, match="0 of 1 pushes"):
        receiver.wait_for(pushes=1, timeout=0.01)
    receiver.recover()
    receiver.wait_for(pushes=1)
    thread.join()
    assert statuses == [200]


def test_closing_ends_what_hangs_and_keeps_the_port() -> None:
    receiver = Receiver()
    with receiver:
        receiver.hang()
        errors: list[BaseException] = []

        def caller() -> None:
            try:
                send(receiver, "PUT", "/metrics/job/a", b"a 1\n")
            except (OSError, http.client.HTTPException) as error:
                errors.append(error)

        thread = threading.Thread(target=caller)
        thread.start()
        receiver.wait_for(hanging=1)
    thread.join()
    assert len(errors) == 1
    assert receiver.groups == {}
    port = receiver.port
    receiver.recover()
    with pytest.raises(ConnectionRefusedError):
        send(receiver, "PUT", "/metrics/job/a", b"a 1\n")
    with receiver:
        assert receiver.port == port
        assert send(receiver, "PUT", "/metrics/job/a", b"a 1\n")[0] == 200
        receiver.clear()
        assert (receiver.requests, receiver.pushes, receiver.groups) == ([], [], {})


def test_importing_promwrite_imports_no_receiver_and_no_server() -> None:
    code = "import sys, promwrite; print(sorted({'promwrite.testing', 'http.server', 'pytest'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_the_fixture_is_there_without_import(promwrite_receiver: Receiver) -> None:
    assert send(promwrite_receiver, "PUT", "/metrics/job/a", b"a 1\n")[0] == 200
    promwrite_receiver.wait_for(pushes=1)


def run_receive(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "promwrite", "receive", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_prints_what_arrives() -> None:
    with run_receive("--basic-auth", "123:pass:word", "--header", "X-Scope-OrgID: t") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            port = int(child.stdout.readline().split("gateway: 127.0.0.1:")[1].split()[0])
            client = Receiver(port=port)
            client._port = port
            right = {
                "Authorization": "Basic " + base64.b64encode(b"123:pass:word").decode(),
                "X-Scope-OrgID": "t",
            }
            page = b'# TYPE a gauge\na{b="\x1b[31m"} 1\na{b="c"} 2\n'
            assert send(client, "PUT", "/metrics/job/a", page)[0] == 401
            assert send(client, "PUT", "/metrics/job/a/x/%1B", page, right)[0] == 200
            assert (
                send(client, "POST", "/api/v1/write", sample_body(math.inf), {**WRITE_HEADERS, **right})[0]
                == 204
            )
            lines = [child.stdout.readline().split(" ", 1)[1] for _ in range(2)]
            assert lines == [
                f'PUT {{job="a",x="\\x1b"}} 1 families, 2 series, {len(page)} bytes\n',
                'my_metric{job="a"} +Inf @2023-11-14T22:13:20.123Z\n',
            ]
            child.send_signal(signal.SIGINT)
            assert child.stdout.read() == "3 requests, 1 samples, 1 pushes\n"
            assert child.stderr.read() == ""
            assert child.wait(10) == 0
        finally:
            child.kill()


def test_the_command_names_what_is_wrong() -> None:
    with Receiver() as other, run_receive("--port", str(other.port)) as child:
        _, told = child.communicate(timeout=20)
        assert child.returncode == 1
        assert f"port {other.port}" in told
    for arguments in (["--basic-auth", "nobody"], ["--header", "nothing"], ["--colour"]):
        with run_receive(*arguments) as child:
            _, told = child.communicate(timeout=20)
            assert child.returncode == 2
            assert arguments[0] in told
