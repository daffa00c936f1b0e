"""A small HTTP server that answers as a test says, and keeps what it got."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from promwrite import _promwrite

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Request:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """What came in, and how it is answered."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    extra: list[tuple[str, str]] = field(default_factory=list)
    answer: Answer | None = None
    requests: list[Request] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def authority(self) -> str:
        return self.url.removeprefix("http://")

    def hang(self) -> None:
        """From now on nothing is answered until the test ends."""

        def hold(_: BaseHTTPRequestHandler) -> None:
            self.released.wait()

        self.answer = hold

    def wait(self, count: int, timeout: float = 20) -> list[Request]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= count, timeout), self.requests
            return list(self.requests)

    def samples(self) -> list[tuple[dict[str, str], int, float]]:
        """Every sample of every remote-write request, in order: labels, milliseconds, value."""
        found = []
        for request in self.requests:
            for series in self.decoded(request)["timeseries"]:
                found += [(dict(series["labels"]), *sample) for sample in series["samples"]]
        return found

    def metadata(self) -> dict[str, tuple[str, str, str]]:
        told = {}
        for request in self.requests:
            for family in self.decoded(request)["metadata"]:
                told[family["name"]] = (family["type"], family["help"], family["unit"])
        return told

    @staticmethod
    def decoded(request: Request) -> dict[str, list[dict]]:  # type: ignore[type-arg]
        headers = request.headers
        return _promwrite.decode_write(request.body, headers["content-type"], headers["content-encoding"])


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with state.changed:
                state.requests.append(Request(self.command, self.path, headers, body))
                state.changed.notify_all()
            if state.answer:
                self.close_connection = True
                state.answer(self)
                return
            # as of now: a test may change them as soon as it has the answer's head
            status, extra, body = state.status, state.extra, state.body
            self.send_response(status)
            for name, value in extra:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_DELETE = do_GET = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is no failure of the test."""

    listening = Quiet(("127.0.0.1", 0), Exchange)
    state.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield state
    state.released.set()
    listening.shutdown()
    listening.server_close()
    thread.join()


@pytest.fixture
def refused() -> str:
    """The URL of a port at which nobody listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        return f"http://127.0.0.1:{closed.server_port}"
