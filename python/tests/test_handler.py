"""The non-blocking handler, the push functions and the Pusher."""

from __future__ import annotations

import gzip
import inspect
import pickle
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prometheus_client
import promwrite
import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from promwrite import _promwrite

if TYPE_CHECKING:
    from python.tests.conftest import Server

TEXT = "text/plain; version=0.0.4; charset=utf-8"


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("rows", "Rows.", ["stage"], registry=registry).labels("load").set(12)
    return registry


def test_prometheus_client_with_the_ready_handler(server: Server, registry: CollectorRegistry) -> None:
    prometheus_client.push_to_gateway(
        server.authority, "batchA", registry, grouping_key={"instance": "10.0.0.1"}, handler=promwrite.handler
    )
    prometheus_client.delete_from_gateway(server.authority, "other", handler=promwrite.handler)
    assert promwrite.handler.flush()
    put, delete = sorted(server.requests, key=lambda request: request.method, reverse=True)
    assert (put.method, put.path) == ("PUT", "/metrics/job/batchA/instance/10.0.0.1")
    assert put.body == generate_latest(registry)
    assert put.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert put.headers["content-length"] == str(len(put.body))
    assert (delete.method, delete.path, delete.body) == ("DELETE", "/metrics/job/other", b"")


def test_nothing_happens_before_the_result_is_called(server: Server) -> None:
    handler = promwrite.Handler()
    send = handler(url=f"{server.url}/metrics/job/a", method="PUT", timeout=30, headers=[], data=b"a 1\n")
    assert handler.flush().accepted == 0
    assert send() is None
    report = handler.flush()
    assert (report.accepted, report.delivered, report.kind, report.url) == (1, 1, "pushes", server.url + "/")
    assert [request.body for request in server.requests] == [b"a 1\n"]


def test_headers_in_all_their_forms(server: Server) -> None:
    headers = [
        ("Content-Type", TEXT),
        ["X-Token", b"old"],
        ("x-token", b"caf\xe9"),
        ("X-Number", 7),
        (b"X-Bytes", "b"),
        ("Host", "gw.example"),
        ("User-Agent", "job/1"),
        ("CONTENT-TYPE", "text/plain; version=0.0.4"),
    ]
    handler = promwrite.Handler(headers={"X-Own": "own", "X-Number": "3"})
    handler(url=f"{server.url}/metrics/job/a", method="PUT", timeout=None, headers=headers, data=b"")()
    assert handler.flush()
    got = server.requests[0].headers
    assert got["x-token"] == "café"
    assert (got["x-number"], got["x-bytes"], got["x-own"]) == ("7", "b", "own")
    assert (got["host"], got["user-agent"]) == ("gw.example", "job/1")
    assert got["content-type"] == "text/plain; version=0.0.4"


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([("X-A", "canary\r\nX-B: 1")], ValueError),
        ([("X-A\n", "canary")], ValueError),
        ([("X-A", "canary€")], ValueError),
        ([("X-A", None)], TypeError),
        ([("X-A",)], TypeError),
        (["X-A"], TypeError),
    ],
)
def test_headers_that_are_refused(server: Server, headers: list[object], error: type[Exception]) -> None:
    handler = promwrite.Handler()
    with pytest.raises(error) as raised:
        handler(url=f"{server.url}/metrics/job/a", method="PUT", timeout=1, headers=headers, data=b"")()
    assert "header" in str(raised.value)
    assert "canary" not in str(raised.value)
    assert handler.flush().accepted == 0


def test_signatures_are_those_of_prometheus_client() -> None:
    for name in ["push_to_gateway", "pushadd_to_gateway", "delete_from_gateway"]:
        theirs = inspect.signature(getattr(prometheus_client, name)).parameters.values()
        ours = inspect.signature(getattr(promwrite, name)).parameters.values()
        assert [(p.name, p.kind, p.default) for p in ours if p.name != "handler"] == [
            (p.name, p.kind, p.default) for p in theirs if p.name != "handler"
        ]
        assert [p.name for p in ours] == [p.name for p in theirs]


@pytest.mark.parametrize("compression", [None, "gzip", "snappy", "GZIP"])
def test_functions_call_a_handler_as_prometheus_client_does(
    registry: CollectorRegistry, compression: str | None
) -> None:
    calls: list[dict[str, Any]] = []

    def recording(**call: Any) -> object:
        calls.append(call)
        return lambda: calls.append({"called": True})

    keys = {"b": "x/y", "a": "", "c": 1, "d": None}
    for name in ["push_to_gateway", "pushadd_to_gateway"]:
        for module in [promwrite, prometheus_client]:
            push = getattr(module, name)
            push("gw:1//", "j b", registry, keys, 7, recording, compression)
    for call in calls[0::2]:
        body = call.pop("data")
        if compression == "snappy":
            body = _promwrite.snappy_unframe(body)
        elif compression:
            body = gzip.decompress(body)
        assert body == generate_latest(registry)
    assert calls[1::2] == [{"called": True}] * (len(calls) // 2)
    ours_put, theirs_put, ours_post, theirs_post = calls[0::2]
    assert (ours_put, ours_post) == (theirs_put, theirs_post)


def test_delete_is_as_theirs_and_bad_compression_is_refused(registry: CollectorRegistry) -> None:
    calls = []

    def recording(**call: object) -> object:
        calls.append(call)
        return lambda: None

    for module in [promwrite, prometheus_client]:
        module.delete_from_gateway("gw:1", "j", {"a": "ü"}, handler=recording)
        with pytest.raises(ValueError, match="Unsupported compression type: zip"):
            module.push_to_gateway("gw:1", "j", registry, handler=recording, compression="zip")
    ours, theirs = calls
    assert ours == theirs


def test_functions_queue_without_a_handler(server: Server, registry: CollectorRegistry) -> None:
    promwrite.push_to_gateway(server.authority, "a", registry)
    promwrite.pushadd_to_gateway(server.authority, "b", registry, compression="gzip")
    promwrite.delete_from_gateway(server.authority, "c")
    assert promwrite.flush().pushes.delivered >= 3
    got = {request.path.rsplit("/", 1)[1]: request for request in server.requests}
    assert [got[job].method for job in "abc"] == ["PUT", "POST", "DELETE"]
    assert got["a"].body == gzip.decompress(got["b"].body) == generate_latest(registry)
    assert got["b"].headers["content-encoding"] == "gzip"


def test_the_pusher(server: Server, registry: CollectorRegistry) -> None:
    with promwrite.Pusher(server.authority, "batchA", {"worker": 3}, instance="h 1") as pusher:
        path = "/metrics/job/batchA/instance@base64/aCAx/worker/3"
        assert pusher.url == server.url + path
        pusher.push(registry)
        assert pusher.flush()
        pusher.add(registry)
        assert pusher.flush()
        pusher.push_text("a 1\n")
        assert pusher.flush()
        pusher.delete()
        assert pusher.flush()
        (stats,) = pusher.stats()
        assert (stats["accepted"], stats["delivered"], stats["pending"]) == (4, 4, 0)
    assert [(r.method, r.path) for r in server.requests] == [
        (m, path) for m in ["PUT", "POST", "PUT", "DELETE"]
    ]
    assert [r.body for r in server.requests][:3] == [generate_latest(registry)] * 2 + [b"a 1\n"]
    with pytest.raises(promwrite.ClosedError, match="pusher is closed"):
        pusher.push(registry)


def test_instance_of_a_pusher_is_the_host_unless_said_otherwise(server: Server) -> None:
    import socket

    assert promwrite.Pusher(server.authority, "a").url.endswith(f"/instance/{socket.gethostname()}")
    assert promwrite.Pusher(server.authority, "a", instance="").url.endswith("/job/a")
    assert promwrite.Pusher(server.authority, "a", {"instance": "own"}, instance="x").url.endswith(
        "/instance/own"
    )


@pytest.mark.parametrize("key", [{"instance"}, ["instance"], "instance", 5])
def test_a_grouping_key_that_is_no_mapping_is_named(registry: CollectorRegistry, key: object) -> None:
    for push in (
        lambda: promwrite.push_to_gateway("gw:1", "a", registry, grouping_key=key),  # type: ignore[arg-type]
        lambda: promwrite.Pusher("gw:1", "a", key),  # type: ignore[arg-type]
    ):
        with pytest.raises(
            promwrite.InvalidError, match=rf"grouping_key: a {type(key).__name__} is refused: must be"
        ):
            push()


@pytest.mark.parametrize(
    ("gateway", "job", "key", "part"),
    [
        ("gw:1?tenant=a", "a", {}, r"gateway: .*\?query"),
        ("ftp://gw:1", "a", {}, "scheme must be http"),
        ("http://", "a", {}, "host is required"),
        ("gw:1", "", {}, "job name is required"),
        ("gw:1", "a", {"job": "b"}, 'grouping_key: "job"'),
        ("gw:1", "a", {"a-b": "b"}, 'grouping_key: "a-b"'),
        ("gw:1", "a", {1: "b", "1": "c"}, 'grouping_key: "1"'),
    ],
)
def test_targets_that_are_refused(
    registry: CollectorRegistry, gateway: str, job: str, key: dict[Any, str], part: str
) -> None:
    before = sum(entry["accepted"] for entry in promwrite.stats())
    with pytest.raises(promwrite.InvalidError, match=part):
        promwrite.push_to_gateway(gateway, job, registry, key)
    assert sum(entry["accepted"] for entry in promwrite.stats()) == before


def test_a_registry_that_raises_queues_nothing(server: Server) -> None:
    class Broken:
        def collect(self) -> object:
            raise LookupError("no such table")

    pusher = promwrite.Pusher(server.authority, "a")
    for push in (pusher.push, pusher.add):
        with pytest.raises(LookupError, match="no such table"):
            push(Broken())
    assert pusher.stats() == []


def test_the_newest_state_wins_and_the_ledger_says_so(server: Server) -> None:
    with promwrite.Handler(min_backoff=0.01) as handler:
        server.status = 503
        handler(url=f"{server.url}/metrics/job/a", method="PUT", timeout=1, headers=[], data=b"a 0\n")()
        server.wait(1)
        for i in range(1, 100):
            handler(
                url=f"{server.url}/metrics/job/a", method="PUT", timeout=1, headers=[], data=b"a %d\n" % i
            )()
        server.status = 200
        report = handler.flush()
    assert report
    assert (report.accepted, report.delivered + report.superseded, report.pending) == (100, 100, 0)
    assert server.requests[-1].body == b"a 99\n"


def test_a_hung_gateway_does_not_hold_the_job_and_the_report_is_false(server: Server) -> None:
    server.hang()
    handler = promwrite.Handler()
    began = time.monotonic()
    for i in range(100):
        handler(url=f"{server.url}/metrics/job/{i}", method="PUT", timeout=1, headers=[], data=b"a 1\n")()
    report = handler.flush(timeout=0.2)
    # ten times what is promised
    assert time.monotonic() - began < 2.5
    assert not report
    assert report.pending == 100
    last = handler.close(timeout=0)
    assert (last.pending, last.dropped) == (0, {"shutdown": 100})
    assert "100 dropped (shutdown)" in repr(last)
    with pytest.raises(promwrite.ClosedError):
        handler(url=f"{server.url}/metrics/job/a", method="PUT", timeout=1, headers=[], data=b"")()


def test_a_handler_travels_but_no_literal_secret_does(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("canary\n")
    handler = promwrite.Handler(
        blocking=True, options={"basic_auth.username": "u", "basic_auth.password_file": str(secret)}
    )
    copy = pickle.loads(pickle.dumps(handler))
    copy(url=f"{server.url}/metrics/job/a", method="PUT", timeout=5, headers=[], data=b"")()
    assert server.requests[0].headers["authorization"] == "Basic dTpjYW5hcnk="
    pusher = promwrite.Pusher("gw:1", "a", {"b": "c"}, bearer_token=None, remote_timeout=3)
    assert pickle.loads(pickle.dumps(pusher)).url == pusher.url
    for holder, instead in [
        (
            promwrite.Handler(basic_auth=("u", "canary")),
            "basic_auth.password_file or basic_auth.password_env",
        ),
        (promwrite.Handler(bearer_token="canary"), "authorization.credentials_file"),
        (promwrite.Pusher("gw:1", "a", headers={"X-T": "canary"}), "headers_file.X-T or headers_env.X-T"),
        (promwrite.Pusher("http://u:canary@gw:1", "a"), "basic_auth.password_file"),
    ]:
        with pytest.raises(promwrite.InvalidError) as raised:
            pickle.dumps(holder)
        assert instead in str(raised.value)
        assert "canary" not in str(raised.value) + repr(holder) + repr(vars(holder))
