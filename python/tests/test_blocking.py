"""The waiting handler against prometheus_client's own: the same exceptions, with the same inside."""

from __future__ import annotations

import gc
import http.client
import signal
import socket
import ssl
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from types import FrameType
from typing import TYPE_CHECKING, Any

import promwrite
import pytest
from prometheus_client.exposition import basic_auth_handler, default_handler

if TYPE_CHECKING:
    from python.tests.conftest import Server

blocking = promwrite.Handler(blocking=True)
HANDLERS: dict[str, Any] = {"promwrite": blocking, "prometheus_client": default_handler}


@pytest.fixture(params=HANDLERS)
def handler(request: pytest.FixtureRequest) -> Callable[..., Callable[[], None]]:
    """Each test says what both do."""
    made: Callable[..., Callable[[], None]] = HANDLERS[request.param]
    return made


def push(handler: Callable[..., Callable[[], None]], url: str, timeout: object = 5, **more: object) -> None:
    call = {"method": "PUT", "headers": [("Content-Type", "text/plain")], "data": b"a 1\n", **more}
    handler(url=f"{url}/metrics/job/a", timeout=timeout, **call)()


@pytest.fixture
def raw() -> Iterator[Callable[[bytes], str]]:
    """A server that reads a request, answers with given bytes and closes."""
    listening = socket.create_server(("127.0.0.1", 0))
    reply = b""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                got = b""
                while not got.endswith(b"a 1\n"):
                    got += connection.recv(4096)
                connection.sendall(reply)

    def answer(with_bytes: bytes) -> str:
        nonlocal reply
        reply = with_bytes
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    thread = threading.Thread(target=serve)
    thread.start()
    yield answer
    # wakes the accept
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(handler: Callable[..., Callable[[], None]], server: Server, status: int) -> None:
    server.status = status
    push(handler, server.url)
    push(handler, server.url, timeout=None, method="DELETE", data=b"")
    assert [(r.method, r.body) for r in server.requests] == [("PUT", b"a 1\n"), ("DELETE", b"")]
    assert server.requests[1].headers["content-length"] == "0"


@pytest.mark.parametrize("status", [300, 304, 307, 308, 400, 401, 404, 413, 429, 500, 503])
def test_another_status(handler: Callable[..., Callable[[], None]], server: Server, status: int) -> None:
    # a 304 has no body, so urllib reads none
    server.status, server.body = status, b"" if status == 304 else b"why not\n"
    server.extra = [("Retry-After", "7"), ("X-Twice", "a"), ("X-Twice", "b")]
    with pytest.raises(urllib.error.HTTPError) as raised:
        push(handler, server.url)
    error = raised.value
    assert (error.code, error.reason) == (status, http.client.responses[status])
    assert error.headers["retry-after"] == "7"
    assert error.headers.get_all("X-Twice") == ["a", "b"]
    assert error.read() == server.body
    assert isinstance(error, OSError)
    error.close()
    assert len(server.requests) == 1


def test_refused(handler: Callable[..., Callable[[], None]], refused: str) -> None:
    with pytest.raises(urllib.error.URLError) as raised:
        push(handler, refused)
    assert isinstance(raised.value.reason, ConnectionRefusedError)


def test_a_name_that_does_not_resolve(handler: Callable[..., Callable[[], None]]) -> None:
    with pytest.raises(urllib.error.URLError) as raised:
        push(handler, "http://name.invalid:1")
    assert isinstance(raised.value.reason, socket.gaierror)


def test_tls_with_a_server_that_has_none(handler: Callable[..., Callable[[], None]], server: Server) -> None:
    with pytest.raises(urllib.error.URLError) as raised:
        push(handler, server.url.replace("http://", "https://"))
    assert isinstance(raised.value.reason, ssl.SSLError)


def test_no_answer_in_time(handler: Callable[..., Callable[[], None]], server: Server) -> None:
    server.hang()
    with pytest.raises(TimeoutError) as raised:
        push(handler, server.url, timeout=0.3)
    assert not isinstance(raised.value, urllib.error.URLError)


def test_a_dripping_answer_ends_at_the_deadline(server: Server) -> None:
    def drip(exchange: BaseHTTPRequestHandler) -> None:
        try:
            exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-A: ")
            while not server.released.wait(0.05):
                exchange.wfile.write(b"a")
        except OSError:
            return

    server.answer = drip
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        push(blocking, server.url, timeout=0.3)
    assert time.monotonic() - began < 3


def test_closed_without_an_answer(
    handler: Callable[..., Callable[[], None]], raw: Callable[[bytes], str]
) -> None:
    with pytest.raises(http.client.RemoteDisconnected) as raised:
        push(handler, raw(b""))
    assert isinstance(raised.value, ConnectionResetError)


def test_an_answer_that_is_not_http(
    handler: Callable[..., Callable[[], None]], raw: Callable[[bytes], str]
) -> None:
    with pytest.raises(http.client.BadStatusLine):
        push(handler, raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"))


def test_an_answer_that_is_not_http_is_an_oserror_as_well(raw: Callable[[bytes], str]) -> None:
    with pytest.raises(OSError, match="not HTTP"):
        push(blocking, raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # prometheus_client leaves sockets open here
def test_timeouts_as_a_socket_takes_them(handler: Callable[..., Callable[[], None]], server: Server) -> None:
    with pytest.raises(urllib.error.URLError) as raised:
        push(handler, server.url, timeout=0)
    assert isinstance(raised.value.reason, BlockingIOError)
    with pytest.raises(ValueError, match="Timeout value out of range"):
        push(handler, server.url, timeout=-1)
    with pytest.raises(TypeError):
        push(handler, server.url, timeout="5")
    del raised
    gc.collect()
    assert server.requests == []


def test_header_values_with_a_line_break(handler: Callable[..., Callable[[], None]], server: Server) -> None:
    with pytest.raises(ValueError, match=r"(?i)header"):
        push(handler, server.url, headers=[("X-A", "b\r\nX-C: d")])
    assert server.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: Server, status: int) -> None:
    server.status, server.extra = status, [("Location", f"{server.url}/other")]
    with pytest.raises(urllib.error.HTTPError) as raised:
        push(blocking, server.url)
    assert raised.value.code == status
    raised.value.close()
    assert len(server.requests) == 1


def test_credentials_of_options_and_of_the_url(server: Server) -> None:
    expected = "Basic dXM6cHc="
    push(promwrite.Handler(basic_auth=("us", "pw"), blocking=True), server.url)
    push(blocking, server.url.replace("http://", "http://us:pw@"))
    basic_auth_handler(f"{server.url}/metrics/job/a", "PUT", 5, [], b"a 1\n", username="us", password="pw")()
    assert [r.headers["authorization"] for r in server.requests] == [expected] * 3


def test_a_secret_in_the_url_is_in_no_exception(server: Server, refused: str) -> None:
    server.status = 403
    for url in [server.url, refused]:
        with pytest.raises(urllib.error.URLError) as raised:
            push(blocking, url.replace("http://", "http://us:canary@"))
        error = raised.value
        assert "canary" not in f"{error} {error!r} {error.args} {getattr(error, 'url', '')}"
        if isinstance(error, urllib.error.HTTPError):
            error.close()


def test_an_interrupt_ends_the_wait(server: Server) -> None:
    server.hang()

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            push(blocking, server.url, timeout=None)
        assert time.monotonic() - began < 2.2
    finally:
        signal.signal(signal.SIGALRM, before)


def test_other_threads_run_meanwhile(server: Server) -> None:
    server.hang()
    steps = 0
    done = threading.Event()

    def count() -> None:
        nonlocal steps
        while not done.is_set():
            steps += 1

    thread = threading.Thread(target=count)
    thread.start()
    with pytest.raises(TimeoutError):
        push(blocking, server.url, timeout=0.3)
    done.set()
    thread.join()
    assert steps > 1000
