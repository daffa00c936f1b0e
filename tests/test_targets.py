"""The managed services, by a receiver that demands what each of them demands: right credentials deliver, wrong ones are
refused, held and reported. That is where they differ from each other; how they store is not ours to test."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import promwrite
import pytest
import trustme
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway
from promwrite.testing import Receiver, Sample, labels

APPID, TOKEN = "1250000000", "token-of-the-tests"
SECRET_ID, SECRET_KEY = "AKIDtests", "secret-key-of-the-tests"
TOPIC = "6bc9ca5f-6a5c-4a08-9e8b-5a1a2d5c0000"


@pytest.fixture
def gauge() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("g", "A gauge.", registry=registry).set(2.5)
    return registry


def assert_held(report: promwrite.Report, receiver: Receiver) -> None:
    """Nothing was stored, nothing was lost, and the report says why."""
    assert not report
    assert (report.accepted, report.pending, report.delivered) == (1, 1, 0)
    assert any("401" in failure for failure in report.failures), report.failures
    assert (receiver.samples, receiver.groups) == ({}, {})
    assert {request.status for request in receiver.requests} == {401}
    for secret in (TOKEN, SECRET_KEY, "wr0ng-s3cret"):
        assert secret not in repr(report)


WRONG = [("nobody", TOKEN), (APPID, "wr0ng-s3cret"), None]


def test_tencent_remote_write() -> None:
    with Receiver(basic_auth=(APPID, TOKEN), write_path="/api/v1/prom/write") as receiver:
        for credentials in WRONG:
            writer = promwrite.Writer(receiver.write_url, basic_auth=credentials)
            writer.append("m", 1)
            assert_held(writer.flush(timeout=2), receiver)
            writer.close(timeout=0)
        with promwrite.Writer(receiver.write_url, basic_auth=(APPID, TOKEN), instance="10.0.0.9") as writer:
            writer.append("m", 7, {"job": "etl"}, timestamp=1_700_000_000.5)
            assert writer.flush(timeout=10)
        assert receiver.samples == {
            labels("m", job="etl", instance="10.0.0.9"): [Sample(1_700_000_000_500, 7.0)]
        }


def test_tencent_remote_write_by_token_alone() -> None:
    with Receiver(bearer_token=TOKEN, write_path="/api/v1/prom/write") as receiver:
        writer = promwrite.Writer(receiver.write_url, bearer_token="wr0ng-s3cret")
        writer.append("m", 1)
        assert_held(writer.flush(timeout=2), receiver)
        writer.close(timeout=0)
        with promwrite.Writer(receiver.write_url, bearer_token=TOKEN) as writer:
            writer.append("m", 7)
            assert writer.flush(timeout=10)
        assert receiver.values("m") == [7.0]


def test_tencent_pushgateway(gauge: CollectorRegistry) -> None:
    group = {"instance": "10.0.0.9"}
    with Receiver(basic_auth=(APPID, TOKEN)) as receiver:
        for credentials in WRONG:
            handler = promwrite.Handler(basic_auth=credentials)
            push_to_gateway(
                receiver.gateway, job="batchA", registry=gauge, grouping_key=group, handler=handler
            )
            assert_held(handler.flush(timeout=2), receiver)
            handler.close(timeout=0)
        with promwrite.Handler(basic_auth=(APPID, TOKEN)) as handler:
            push_to_gateway(
                receiver.gateway, job="batchA", registry=gauge, grouping_key=group, handler=handler
            )
            assert handler.flush(timeout=10)
        assert receiver.group("batchA", **group).text == "# HELP g A gauge.\n# TYPE g gauge\ng 2.5\n"


def test_blueking(gauge: CollectorRegistry) -> None:
    group = {"instance": "my.host.ip"}
    with Receiver(headers={"X-BK-TOKEN": TOKEN}) as receiver:
        for headers in ({"X-BK-TOKEN": "wr0ng-s3cret"}, {"X-Other": TOKEN}, None):
            handler = promwrite.Handler(headers=headers)
            push_to_gateway(
                receiver.gateway, job="batchA", registry=gauge, grouping_key=group, handler=handler
            )
            assert_held(handler.flush(timeout=2), receiver)
            handler.close(timeout=0)
        with promwrite.Handler(headers={"X-BK-TOKEN": TOKEN}) as handler:
            push_to_gateway(
                receiver.gateway, job="batchA", registry=gauge, grouping_key=group, handler=handler
            )
            assert handler.flush(timeout=10)
        assert receiver.group("batchA", **group).families == {
            "g": "# HELP g A gauge.\n# TYPE g gauge\ng 2.5\n"
        }


def test_the_documented_sample_of_blueking_names_its_mistake(gauge: CollectorRegistry) -> None:
    """It passes a set as the grouping key, which prometheus_client meets with an AttributeError about items."""
    for push in (promwrite.push_to_gateway, promwrite.Pusher):
        with pytest.raises(
            promwrite.InvalidError, match=r"grouping_key: a set is refused: must be a mapping"
        ):
            push("127.0.0.1:4318", job="a", registry=gauge, grouping_key={"instance", "my.host.ip"})  # type: ignore


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def cls_topic(authority: trustme.CA) -> Iterator[tuple[Receiver, str]]:
    """A receiver behind TLS at a topic's path, and its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    path = f"/prometheus/{TOPIC}/api/v1/write"
    with Receiver(basic_auth=(SECRET_ID, SECRET_KEY), write_path=path, tls=context) as receiver:
        yield receiver, receiver.write_url


def test_cls(cls_topic: tuple[Receiver, str], tmp_path: Path) -> None:
    receiver, url = cls_topic
    assert url.startswith("https://127.0.0.1:")
    trusting = {"tls_config.ca_file": str(tmp_path / "ca.pem"), "require_https": True}
    for credentials in [(SECRET_ID, "wr0ng-s3cret"), ("nobody", SECRET_KEY), None]:
        writer = promwrite.Writer(url, basic_auth=credentials, options=trusting)
        writer.append("m", 1)
        assert_held(writer.flush(timeout=2), receiver)
        writer.close(timeout=0)
    with promwrite.Writer(url, basic_auth=(SECRET_ID, SECRET_KEY), options=trusting) as writer:
        writer.append("m", 7, {"job": "etl"})
        assert writer.flush(timeout=10)
    assert receiver.values("m", job="etl") == [7.0]


def test_cls_without_trust_sends_nothing(cls_topic: tuple[Receiver, str]) -> None:
    receiver, url = cls_topic
    writer = promwrite.Writer(url, basic_auth=(SECRET_ID, SECRET_KEY))
    writer.append("m", 1)
    report = writer.flush(timeout=2)
    assert (report.pending, receiver.requests) == (1, [])
    assert any("certificate" in failure.lower() for failure in report.failures), report.failures
    writer.close(timeout=0)
    with pytest.raises(promwrite.InvalidError, match=r"url.*https"):
        promwrite.Writer(url.replace("https", "http"), options={"require_https": True})


@pytest.mark.parametrize("source", ["password_file", "headers_file"])
def test_a_token_that_changes_is_read_again(tmp_path: Path, source: str) -> None:
    """A token that expires must not cost the backlog: after a 401 the file is read again and all is delivered."""
    file = tmp_path / "token"
    file.write_text("old\n")
    file.chmod(0o600)
    if source == "password_file":
        demand = Receiver(basic_auth=(APPID, TOKEN))
        options = {"basic_auth.username": APPID, "basic_auth.password_file": str(file)}
    else:
        demand = Receiver(headers={"X-BK-TOKEN": TOKEN})
        options = {"headers_file.X-BK-TOKEN": str(file)}
    with demand as receiver:
        options["queue_config.hold_interval"] = "10ms"
        with promwrite.Writer(receiver.write_url, options=options) as writer:
            writer.append("m", 1)
            flushing = threading.Thread(target=writer.flush, kwargs={"timeout": 30})
            flushing.start()
            receiver.wait_for(requests=2)
            assert receiver.samples == {}
            file.write_text(f"{TOKEN}\n")
            receiver.wait_for(samples=1)
            flushing.join()
            assert writer.stats()["delivered"] == 1
