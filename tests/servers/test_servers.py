"""The servers themselves: each starts, takes what is written by hand, gives it back exactly and refuses strangers."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
from servers import (
    NAN,
    PASSWORD,
    SERVERS,
    USER,
    Prometheus,
    Pushgateway,
    Server,
    VictoriaMetrics,
    binaries,
    bits,
    labels,
    wait_until,
)

REMOTE_WRITE_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "User-Agent": "by-hand/1",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
RemoteWriteServer = Prometheus | VictoriaMetrics


def varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def series(labelset: dict[str, str], samples: list[tuple[int, int]]) -> bytes:
    """One series of a WriteRequest of remote write 1.0; a sample is time and bits of the value."""
    encoded = b"".join(
        field(1, field(1, name.encode()) + field(2, value.encode()))
        for name, value in sorted(labelset.items())
    )
    for timestamp, value in samples:
        encoded += field(2, b"\x09" + struct.pack("<Q", value) + b"\x10" + varint(timestamp))
    return field(1, encoded)


def snappy(raw: bytes) -> bytes:
    """The block format, with nothing but literals."""
    blocks = [raw[at : at + 60] for at in range(0, len(raw), 60)]
    return varint(len(raw)) + b"".join(bytes([len(block) - 1 << 2]) + block for block in blocks)


def write(server: Server, body: bytes, credentials: tuple[str, str] | None = (USER, PASSWORD)) -> int:
    return server.request(
        "POST", "/api/v1/write", snappy(body), REMOTE_WRITE_HEADERS, credentials=credentials
    ).status


def test_the_encoder_by_hand_makes_the_known_bytes() -> None:
    body = series({"__name__": "my_metric", "job": "a"}, [(1700000000123, bits("123"))])
    known = "0a330a150a085f5f6e616d655f5f12096d795f6d65747269630a080a036a6f621201611210090000000000c05e4010fbd095ffbc31"
    assert body.hex() == known
    assert snappy(body).hex() == "35d0" + known


def test_every_listed_server_is_of_a_kind_that_is_tested() -> None:
    kinds = [binaries("prometheus"), binaries("pushgateway"), binaries("victoria-metrics")]
    assert [len(kind) for kind in kinds] == [2, 2, 2]
    listed = (Path(__file__).parent / "releases").read_text().splitlines()
    assert sum(len(kind) for kind in kinds) == sum(not line.startswith("#") for line in listed)


def test_a_sample_comes_back(remote_write_server: RemoteWriteServer) -> None:
    now = time.time_ns() // 1_000_000
    assert (
        write(remote_write_server, series({"__name__": "my_metric", "job": "a"}, [(now, bits("123"))])) == 204
    )
    stored = remote_write_server.query_range_raw('my_metric{job="a"}', now, now)
    assert stored == {labels({"__name__": "my_metric", "job": "a"}): [(now, bits("123"))]}
    assert remote_write_server.query_range_raw("my_metric", now - 5000, now - 1) == {}
    assert remote_write_server.query_range_raw("my_metric", now + 1, now + 5000) == {}


def test_unusual_values_come_back_as_the_module_says(remote_write_server: RemoteWriteServer) -> None:
    now = time.time_ns() // 1_000_000
    exact = ["0", "0.1", "-2.5e-7", "1e300", "9007199254740994", "123456789.123", "+Inf", "-Inf"]
    rounded = ["0.3333333333333333", "3.141592653589793", "1.7976931348623157e308"]
    special = {"-0.0": bits("-0.0"), "NaN": NAN, "payload": 0x7FF80000DEADBEEF, "stale": 0x7FF0000000000002}
    values = {text: bits(text) for text in exact + rounded} | special
    # A label value that looks like the answer itself must not disturb its reading.
    sent = {text: {"__name__": "m", "text": text, "odd": '"values":[NaN'} for text in values}
    times = [now - 1, now]
    assert (
        write(
            remote_write_server, b"".join(series(sent[t], [(at, values[t]) for at in times]) for t in values)
        )
        == 204
    )

    stored = remote_write_server.query_range_raw("m", now - 1, now)

    if isinstance(remote_write_server, Prometheus):
        expected = {**values, "payload": NAN}
        del expected["stale"]
    else:
        expected = {**values, "-0.0": 0, "stale": NAN}
        del expected["NaN"], expected["payload"]
        for text in rounded:
            (_, first), (_, second) = stored[labels(sent[text])]
            assert first == second
            assert struct.unpack("<d", struct.pack("<Q", first))[0] == pytest.approx(
                float(text), rel=1e-11, abs=0
            )
            expected[text] = first
    assert stored == {labels(sent[text]): [(at, value) for at in times] for text, value in expected.items()}


def test_what_was_written_outlives_a_restart(remote_write_server: RemoteWriteServer) -> None:
    now = time.time_ns() // 1_000_000
    assert write(remote_write_server, series({"__name__": "kept"}, [(now, bits("1"))])) == 204
    url = remote_write_server.url
    remote_write_server.stop()
    with pytest.raises(ConnectionRefusedError):
        remote_write_server.request("GET", remote_write_server.ready_path)
    remote_write_server.start()
    assert remote_write_server.url == url
    assert remote_write_server.query_range_raw("kept", now, now) == {
        labels({"__name__": "kept"}): [(now, bits("1"))]
    }


def test_out_of_order_is_refused_unless_there_is_a_window(prometheus_binary: Path) -> None:
    now = time.time_ns() // 1_000_000
    name = {"__name__": "m"}
    for window, status, times in [(None, 400, [now]), ("10m", 204, [now - 60_000, now])]:
        with Prometheus(prometheus_binary, out_of_order_time_window=window) as server:
            assert write(server, series(name, [(now, bits("2"))])) == 204
            assert write(server, series(name, [(now - 60_000, bits("1"))])) == status
            stored = server.query_range_raw("m", now - 60_000, now)
            assert [at for at, _ in stored[labels(name)]] == times


STRANGERS = [("nobody", PASSWORD), (USER, "wrong"), None]


@pytest.mark.servers
@pytest.mark.parametrize(
    "binary", binaries("prometheus") + binaries("victoria-metrics"), ids=lambda path: path.parent.name
)
def test_remote_write_refuses_wrong_credentials(binary: Path) -> None:
    kind = Prometheus if binary in binaries("prometheus") else VictoriaMetrics
    now = time.time_ns() // 1_000_000
    body = series({"__name__": "m"}, [(now, bits("1"))])
    with kind(binary, basic_auth=True) as server:
        assert [write(server, body, stranger) for stranger in STRANGERS] == [401, 401, 401]
        assert server.query_range_raw("m", now, now) == {}
        assert write(server, body) == 204
        assert server.query_range_raw("m", now, now) == {labels({"__name__": "m"}): [(now, bits("1"))]}


PAGE = b"""\
# TYPE g gauge
g{of="minus"} -0
g{of="none"} NaN
g{of="all"} +Inf
g{of="third"} 0.3333333333333333
# TYPE h histogram
h_bucket{le="0.5"} 1
h_bucket{le="+Inf"} 2
h_sum 3.5
h_count 2
# TYPE s summary
s{quantile="0.5"} 1e-300
s_sum 2
s_count 5
"""
PAGE_SERIES = {
    ("g", "of", "minus"): "-0",
    ("g", "of", "none"): "NaN",
    ("g", "of", "all"): "+Inf",
    ("g", "of", "third"): "0.3333333333333333",
    ("h_bucket", "le", "0.5"): "1",
    ("h_bucket", "le", "+Inf"): "2",
    ("h_sum", "", ""): "3.5",
    ("h_count", "", ""): "2",
    ("s", "quantile", "0.5"): "1e-300",
    ("s_sum", "", ""): "2",
    ("s_count", "", ""): "5",
}


def test_a_push_comes_back(pushgateway: Pushgateway) -> None:
    assert pushgateway.request("PUT", "/metrics/job/a/instance/i", PAGE).status == 200
    assert pushgateway.request("PUT", "/metrics/job/b", b"other 1\n").status == 200
    first, second = {"job": "a", "instance": "i"}, {"job": "b"}
    assert pushgateway.groups() == {
        labels(first): {
            labels({"__name__": name, label: value, **first}): bits(x)
            for (name, label, value), x in PAGE_SERIES.items()
        },
        labels(second): {labels({"__name__": "other", **second}): bits("1")},
    }
    assert 'g{instance="i",job="a",of="third"} 0.3333333333333333\n' in pushgateway.metrics_text()

    # Answered before it is done: that is the server's way.
    assert pushgateway.request("DELETE", "/metrics/job/a/instance/i").status == 202
    wait_until(lambda: list(pushgateway.groups()) == [labels(second)], "the deleted group is gone")


def test_pushgateway_refuses_wrong_credentials(pushgateway_binary: Path) -> None:
    with Pushgateway(pushgateway_binary, basic_auth=True) as server:
        for stranger in STRANGERS:
            assert server.request("PUT", "/metrics/job/a", PAGE, credentials=stranger).status == 401
        assert server.groups() == {}
        assert server.request("PUT", "/metrics/job/a", b"other 1\n").status == 200
        assert list(server.groups()) == [labels({"job": "a"})]


@pytest.mark.servers
def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make servers"), Prometheus(tmp_path / "prometheus"):
        pass
    nonsense = Prometheus(binaries("prometheus")[0], out_of_order_time_window="never")
    with (
        pytest.raises(RuntimeError, match=r"(?s)ended with code.*log:.*not a valid duration.*never"),
        nonsense,
    ):
        pass
    assert not nonsense.folder.exists()


@pytest.mark.servers
@pytest.mark.parametrize("kind", [Prometheus, Pushgateway, VictoriaMetrics])
def test_a_taken_port_is_another_port(kind: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    name = {Prometheus: "prometheus", Pushgateway: "pushgateway", VictoriaMetrics: "victoria-metrics"}[kind]
    for binary in binaries(name):
        with kind(binary) as first:
            second = kind(binary)
            tried: list[int] = []

            def arguments(
                made: Server = second, first: Server = first, tried: list[int] = tried
            ) -> list[str]:
                if not tried:
                    made.port = first.port
                tried.append(made.port)
                return type(made).arguments(made)

            monkeypatch.setattr(second, "arguments", arguments)
            with second:
                assert tried == [first.port, second.port]
                assert second.port != first.port


def test_the_servers_are_where_they_are_looked_for() -> None:
    assert {path.parent.parent for path in binaries("prometheus")} == {SERVERS}
