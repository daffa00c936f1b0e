"""A small receiver for development and tests: remote write 1.0 and 2.0, and the Pushgateway's API.

    from promwrite.testing import Receiver

    def test_my_job():
        with Receiver() as receiver:
            my_job(write_url=receiver.write_url, gateway=receiver.gateway)
            receiver.wait_for(samples=1, pushes=1)
            assert receiver.values("rows_loaded_total", stage="load") == [1200.0]
            assert "jobs_done 1.0" in receiver.group("batchA").text

With pytest the fixture ``promwrite_receiver`` is a receiver that runs during the test. ``python -m promwrite receive``
runs one in a terminal. It listens on 127.0.0.1 only, keeps everything in memory, and is no store for production.
"""

from __future__ import annotations

import base64
import gzip
import hmac
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple
from urllib.parse import unquote

from promwrite import _promwrite

__all__ = ["Group", "Labels", "Metadata", "Push", "Receiver", "Request", "Sample", "labels"]

Labels = frozenset[tuple[str, str]]
"""A label set that can be compared and looked up; the metric's name is the label ``__name__``."""

LARGEST_BODY = 64 << 20


def labels(name: str = "", /, **pairs: str) -> Labels:
    """The label set of a series by name and labels, or of a group when there is no name."""
    return frozenset({**({"__name__": name} if name else {}), **pairs}.items())


class Sample(NamedTuple):
    """A sample as it arrived."""

    timestamp_ms: int
    value: float


class Metadata(NamedTuple):
    """What a sender told about a metric family."""

    type: str
    help: str
    unit: str


@dataclass(frozen=True)
class Push:
    """One request of the Pushgateway's API that was taken."""

    method: str
    key: dict[str, str]
    text: str


@dataclass
class Group:
    """What a gateway holds for one grouping key."""

    key: dict[str, str]
    families: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Everything that was pushed and not replaced since, as text."""
        return "".join(self.families.values())


@dataclass(frozen=True)
class Request:
    """One request, taken or refused. Header names are in lower case; what proves the sender's right is not kept."""

    method: str
    path: str
    headers: dict[str, str]
    status: int
    size: int


class ClosedError(Exception):
    """The receiver went down before it answered."""


class RefusedError(Exception):
    """A request that is answered with that status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Receiver:
    """A receiver on a free port of 127.0.0.1. A context manager; outside of one, call ``start`` and ``close``.

    Every keyword is a demand or a fault, all of them off by default:

    * ``basic_auth=(user, password)``, ``bearer_token=…``, ``headers={name: value}``: a request without is answered 401
      and leaves nothing behind.
    * ``write_path="/api/v1/prom/write"``: remote write to another path is answered 404. By default every path that is
      not a gateway's is one of remote write.
    * ``tls``: a context with a certificate; it then speaks https.
    * ``port``: that port instead of a free one.
    * ``log``: called with one readable line a sample and a push.
    """

    def __init__(
        self,
        *,
        basic_auth: tuple[str, str] | None = None,
        bearer_token: str | None = None,
        headers: Mapping[str, str] | None = None,
        write_path: str | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self._demanded = {name.lower(): value.encode() for name, value in (headers or {}).items()}
        if basic_auth is not None:
            self._demanded["authorization"] = b"Basic " + base64.b64encode(":".join(basic_auth).encode())
        if bearer_token is not None:
            self._demanded["authorization"] = b"Bearer " + bearer_token.encode()
        self._write_path = write_path
        self._tls = tls
        self._asked_port = port
        self._log = log
        self._server: _Server | None = None
        self._changed = threading.Condition()
        self._status: tuple[int, dict[str, str]] | None = None
        self._hanging = False
        self._down = False
        self._held = 0
        self._port = 0
        self._reset()

    def _reset(self) -> None:
        self._requests: list[Request] = []
        self._samples: dict[Labels, list[Sample]] = {}
        self._sample_count = 0
        self._metadata: dict[str, Metadata] = {}
        self._pushes: list[Push] = []
        self._groups: dict[Labels, Group] = {}

    # --- life ---

    def start(self) -> Receiver:
        """Starts to listen."""
        self._down = False
        self._server = _Server(("127.0.0.1", self._port or self._asked_port), self)
        if self._tls is not None:
            # The handshake is the connection's thread's, or a client that stalls it would stall them all.
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._port = int(self._server.server_address[1])
        # The interval is how long `close` may take.
        threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="receiver", daemon=True
        ).start()
        return self

    def close(self) -> None:
        """Closes every connection and the port. What arrived stays; ``start`` listens on the same port again."""
        if self._server is None:
            return
        self._server.shutdown()
        with self._changed:
            self._down = True
            self._changed.notify_all()
        self._server.close_connections()
        self._server.server_close()
        self._server = None

    def __enter__(self) -> Receiver:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- where ---

    @property
    def port(self) -> int:
        """The port, chosen at the first start."""
        return self._port

    @property
    def gateway(self) -> str:
        """Host and port, as ``push_to_gateway`` wants it."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The URL without a path."""
        return f"{'http' if self._tls is None else 'https'}://{self.gateway}"

    @property
    def write_url(self) -> str:
        """Where remote write goes."""
        return self.url + (self._write_path or "/api/v1/write")

    # --- faults ---

    def fail(self, status: int, *, retry_after: int | None = None, text: str = "told to fail") -> None:
        """Answers every request with that status from now on and stores nothing."""
        with self._changed:
            headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
            self._status = (status, {**headers, "text": text})

    def hang(self) -> None:
        """Reads every request from now on and answers none, until ``recover`` or ``close``."""
        with self._changed:
            self._hanging = True

    def recover(self) -> None:
        """Ends ``fail`` and ``hang``; requests that hang are answered now."""
        with self._changed:
            self._status = None
            self._hanging = False
            self._changed.notify_all()

    def clear(self) -> None:
        """Forgets everything that arrived."""
        with self._changed:
            self._reset()

    # --- what arrived ---

    @property
    def requests(self) -> list[Request]:
        """Every request that was answered, in order."""
        with self._changed:
            return list(self._requests)

    @property
    def samples(self) -> dict[Labels, list[Sample]]:
        """The samples of every series, in the order of arrival."""
        with self._changed:
            return {series: list(samples) for series, samples in self._samples.items()}

    @property
    def metadata(self) -> dict[str, Metadata]:
        """Family name → the last metadata that remote write told about it."""
        with self._changed:
            return dict(self._metadata)

    @property
    def pushes(self) -> list[Push]:
        """Every push and delete that was taken, in order."""
        with self._changed:
            return list(self._pushes)

    @property
    def groups(self) -> dict[Labels, Group]:
        """Grouping key → what a gateway holds for it now."""
        with self._changed:
            return {key: Group(dict(group.key), dict(group.families)) for key, group in self._groups.items()}

    def values(self, name: str, /, **pairs: str) -> list[float]:
        """The values of the only series with that name and at least these labels, in the order of arrival.

        KeyError if there is none or more than one.
        """
        wanted = labels(name, **pairs)
        found = [samples for series, samples in self.samples.items() if wanted <= series]
        if len(found) != 1:
            raise KeyError(f"{len(found)} series match {render_labels(wanted)}")
        return [sample.value for sample in found[0]]

    def group(self, job: str, **pairs: str) -> Group:
        """What a gateway holds for exactly that grouping key; KeyError if nothing."""
        return self.groups[labels(job=job, **pairs)]

    def wait_for(
        self,
        *,
        samples: int | None = None,
        pushes: int | None = None,
        requests: int | None = None,
        hanging: int | None = None,
        timeout: float = 10.0,
    ) -> None:
        """Returns when so many samples and pushes were taken, requests were answered, and requests hang.

        Counted since the start or the last ``clear``. TimeoutError, with the numbers, if that does not come within
        ``timeout`` seconds.
        """

        def numbers() -> list[tuple[str, int, int | None]]:
            return [
                ("samples", self._sample_count, samples),
                ("pushes", len(self._pushes), pushes),
                ("requests", len(self._requests), requests),
                ("hanging requests", self._held, hanging),
            ]

        with self._changed:
            if not self._changed.wait_for(
                lambda: all(is_ >= (want or 0) for _, is_, want in numbers()), timeout
            ):
                told = ", ".join(
                    f"{is_} of {want} {what}" for what, is_, want in numbers() if want is not None
                )
                raise TimeoutError(f"after {timeout} s there are {told}")

    # --- called by the server's threads ---

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], str]:
        """Takes a request; status, headers and text of the answer."""
        answer: tuple[int, dict[str, str], str]
        try:
            self._hang()
            self._check(headers)
            with self._changed:
                failure = self._status
            if failure is not None:
                status, more = failure
                answer = status, {name: value for name, value in more.items() if name != "text"}, more["text"]
            else:
                answer = self._take(method, path, headers, body), {}, ""
        except RefusedError as refused:
            answer = refused.status, {}, f"{refused}\n"
        # the proof of the sender's right stays out of what a failing test prints
        kept = {
            name.lower(): value
            for name, value in headers.items()
            if name.lower() not in self._secret_headers()
        }
        with self._changed:
            self._requests.append(Request(method, path, kept, answer[0], len(body)))
            self._changed.notify_all()
        return answer

    def _secret_headers(self) -> set[str]:
        return {"authorization", "proxy-authorization", *self._demanded}

    def _hang(self) -> None:
        with self._changed:
            if self._hanging:
                self._held += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._down or not self._hanging)
                self._held -= 1
                if self._down:
                    raise ClosedError

    def _check(self, headers: Mapping[str, str]) -> None:
        for name, value in self._demanded.items():
            given = next((given for known, given in headers.items() if known.lower() == name), "")
            if not hmac.compare_digest(given.encode("latin-1", "replace"), value):
                raise RefusedError(401, f"header {name} is missing or wrong")

    def _take(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> int:
        encoding = next((value for name, value in headers.items() if name.lower() == "content-encoding"), "")
        route = path.partition("?")[0]
        if "/metrics/job" in route:
            return self._take_push(method, route, encoding, body)
        if self._write_path is not None and route != self._write_path:
            raise RefusedError(404, f"remote write goes to {self._write_path}")
        if method != "POST":
            raise RefusedError(405, f"{method} is not a method of remote write")
        content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
        return self._take_write(content_type, encoding, body)

    def _take_write(self, content_type: str, encoding: str, body: bytes) -> int:
        try:
            request = _promwrite.decode_write(body, content_type, encoding)
        except ValueError as error:
            raise RefusedError(400, str(error)) from error
        with self._changed:
            for series in request["timeseries"]:
                pairs = [(name, value) for name, value in series["labels"] if value]
                if len({name for name, _ in pairs}) < len(pairs):
                    raise RefusedError(400, f"a label name stands twice in {pairs}")
                kept = self._samples.setdefault(frozenset(pairs), [])
                for timestamp_ms, value in series["samples"]:
                    kept.append(Sample(timestamp_ms, value))
                    self._sample_count += 1
                    self._tell(f"{render_labels(pairs)} {render_value(value)} @{render_time(timestamp_ms)}")
            for family in request["metadata"]:
                self._metadata[family["name"]] = Metadata(family["type"], family["help"], family["unit"])
            self._changed.notify_all()
        return 204

    def _take_push(self, method: str, route: str, encoding: str, body: bytes) -> int:
        if method not in ("PUT", "POST", "DELETE"):
            raise RefusedError(405, f"{method} is not a method of a gateway")
        key = grouping_key(route)
        try:
            text = decompress(body, encoding).decode()
        except (OSError, EOFError, ValueError) as error:
            raise RefusedError(400, f"the body cannot be read: {error}") from error
        if text and not text.endswith("\n"):
            raise RefusedError(400, "the last line must end with a line feed")
        parsed = families(text)
        with self._changed:
            identity = frozenset(key.items())
            if method == "DELETE":
                self._groups.pop(identity, None)
            else:
                group = self._groups.setdefault(identity, Group(key))
                group.families = parsed if method == "PUT" else {**group.families, **parsed}
            self._pushes.append(Push(method, key, text))
            series = sum(1 for line in text.splitlines() if line.strip() and not line.startswith("#"))
            self._tell(
                f"{method} {render_labels(key.items())} {len(parsed)} families, {series} series, {len(body)} bytes"
            )
            self._changed.notify_all()
        return 202 if method == "DELETE" else 200

    def _tell(self, line: str) -> None:
        if self._log is not None:
            self._log(line)


class _Server(ThreadingHTTPServer):
    """Knows its connections, because those that are kept alive would outlive it."""

    daemon_threads = True
    # A job's burst of connections must not meet a full backlog.
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.receiver = receiver
        self.connections: set[socket.socket] = set()
        self.gone = threading.Condition()
        super().__init__(address, _Exchange)

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        with self.gone:
            self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        super().shutdown_request(request)
        with self.gone:
            self.connections.discard(request)
            self.gone.notify_all()

    def close_connections(self) -> None:
        with self.gone:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    # the peer was faster
                    continue
            self.gone.wait_for(lambda: not self.connections, 10)

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent, because a client that goes away is what a receiver of tests sees all day."""


class _Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # Head and body in one packet; two small ones wait for each other's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def handle_request(self) -> None:
        length = self.headers.get("Content-Length")
        if length is None or not length.isdigit() or int(length) > LARGEST_BODY:
            self.close_connection = True
            status = 411 if length is None else 413 if length.isdigit() else 400
            self._reply(status, {"Connection": "close"}, "the body has no length that can be taken\n")
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return
        try:
            answer = self.server.receiver._answer(self.command, self.path, dict(self.headers.items()), body)
        except ClosedError:
            self.close_connection = True
            return
        self._reply(*answer)

    do_POST = do_PUT = do_DELETE = do_GET = do_PATCH = do_HEAD = handle_request  # noqa: N815

    def _reply(self, status: int, headers: Mapping[str, str], text: str) -> None:
        body = b"" if status == 204 or self.command == "HEAD" else text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is http.server's)
        """Silent: the receiver tells what arrived."""


def grouping_key(route: str) -> dict[str, str]:
    """The grouping key in a gateway's path, decoded as the Pushgateway does: percent-escapes first, then slashes, then
    base64 where the name says so."""
    parts = unquote(route[route.index("/metrics/job") + len("/metrics/") :]).rstrip("/").split("/")
    if len(parts) % 2:
        raise RefusedError(400, f"odd number of components in the path {route!r}")
    key: dict[str, str] = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        name, encoded, _ = name.partition("@base64")
        if encoded:
            raw = value.rstrip("=")
            try:
                value = base64.b64decode(raw + "=" * (-len(raw) % 4), "-_", validate=True).decode()
            except ValueError as error:
                raise RefusedError(400, f"invalid base64 in the value of {name!r}: {error}") from error
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or name.startswith("__"):
            raise RefusedError(400, f"invalid label name {name!r}")
        key[name] = value
    if not key.get("job"):
        raise RefusedError(400, "job name is required")
    return key


def decompress(body: bytes, encoding: str) -> bytes:
    """The body of a push: plain, gzip, or snappy in the framed format, which is not that of remote write."""
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "snappy":
        return _promwrite.snappy_unframe(body)
    if encoding not in ("", "identity"):
        raise RefusedError(415, f"content encoding {encoding!r} is unknown")
    return body


def families(text: str) -> dict[str, str]:
    """A page of text cut into its families, by name."""
    found: dict[str, str] = {}
    current = ""
    for line in text.splitlines(keepends=True):
        words = line.split(None, 3)
        if len(words) > 2 and words[0] == "#" and words[1] in ("HELP", "TYPE"):
            current = words[2]
        elif words and words[0][0] != "#":
            name = re.split(r"[{\s]", line.strip(), maxsplit=1)[0]
            if (
                not current
                or re.fullmatch(f"{re.escape(current)}(_bucket|_sum|_count|_total|_created)?", name) is None
            ):
                current = name
        if words and current:
            found[current] = found.get(current, "") + line
    return found


def render_labels(pairs: Iterable[tuple[str, str]]) -> str:
    """A label set as text, with nothing in it that could steer a terminal."""
    rest = dict(pairs)
    name = rest.pop("__name__", "")
    inner = ",".join(f'{label}="{escape(value)}"' for label, value in sorted(rest.items()))
    return escape(name) + ("{" + inner + "}" if inner else "")


def escape(text: str) -> str:
    """Quotes, backslashes and whatever does not print, escaped."""
    return "".join(
        "\\" + c if c in '\\"' else c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in text
    )


def render_value(value: float) -> str:
    """A value as an exposition has it."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"


def render_time(timestamp_ms: int) -> str:
    """A time in milliseconds as UTC, or the number where a calendar has no such time."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms // 1000, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return str(timestamp_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{timestamp_ms % 1000:03d}Z"


def now() -> str:
    """The time of the clock on the wall, for lines of a terminal."""
    return time.strftime("%H:%M:%S")
