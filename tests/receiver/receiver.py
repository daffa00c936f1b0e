"""The fault receiver for Python tests: starts the binary ``promwrite-receiver`` and steers it.

    with FaultReceiver(steps=[status(503, retry_after=1), swallow_ack()]) as receiver:
        push_somehow(receiver.url + "/api/v1/write")
        assert receiver.wait(2)
        assert receiver.samples({"__name__": "rows_total"}) == [(1700000000123, 42.0)]

It builds nothing: the binary is ``$PROMWRITE_RECEIVER``, or the newest ``promwrite-receiver`` under
``${CARGO_TARGET_DIR:-target}/{debug,release}`` (a relative folder counts from the workspace root).
Behaviours, rules and options are the JSON that the crate ``promwrite-receiver`` documents; the functions here
only shorten the usual ones.

One child process a receiver, so that a test may stop it with SIGSTOP (``receiver.pid``). Calls from several
threads take turns: a ``wait`` holds up a ``release`` in another thread.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import struct
import subprocess
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

Behaviour = dict[str, Any]
Rules = dict[str, Any]
Phase = Literal[
    "after_accept", "first_byte", "mid_headers", "after_headers", "mid_body", "after_body", "mid_response"
]
Cut = Literal["reset", "close", "half_close", "stall"]
TlsCase = Literal[
    "good", "wrong_host", "expired", "self_signed", "unknown_ca", "client_cert", "handshake_stall"
]
Waited = Literal["requests", "answered", "held", "connections"]

ENDLESS = 2**64 - 1
"""For ``{"interim": ENDLESS}``: 1xx answers without end."""


def ok() -> Behaviour:
    """A healthy receiver."""
    return {}


def status(
    code: int,
    *,
    headers: Mapping[str, str] | None = None,
    body: str = "",
    retry_after: int | str | None = None,
) -> Behaviour:
    """That status; ``retry_after`` in seconds or as an HTTP date."""
    pairs = list((headers or {}).items())
    if retry_after is not None:
        pairs.append(("Retry-After", str(retry_after)))
    return {"status": code, "headers": pairs, "body": body}


def redirect(code: int, location: str) -> Behaviour:
    """A redirect."""
    return status(code, headers={"Location": location})


def cut(at: Phase, how: Cut = "reset", after_bytes: int | None = None) -> Behaviour:
    """The connection breaks at that phase; for ``mid_…`` after so many bytes, half by default."""
    return {"fault": {"at": at, "how": how, "after_bytes": after_bytes}}


def stall() -> Behaviour:
    """Reads the request, never answers."""
    return cut("after_body", "stall")


def swallow_ack(how: Cut = "reset") -> Behaviour:
    """Stores the request, then breaks without an answer."""
    return {**cut("after_body", how), "store": True}


def hold() -> Behaviour:
    """Answers only after ``release()``."""
    return {"hold": True}


def delay(seconds: float) -> Behaviour:
    """Answers after that time."""
    return {"delay_ms": round(seconds * 1000)}


def drip_answer(seconds: float, size: int = 1, body: str = "") -> Behaviour:
    """Writes head and body of a 200 in pieces of ``size`` bytes with so many seconds between them."""
    pace = {"bytes": size, "every_ms": round(seconds * 1000)}
    return {"status": 200, "body": body, "drip_head": pace, "drip_body": pace}


class Sample(NamedTuple):
    """A sample as it stood in a request; compare ``bits`` where NaN or -0.0 matter."""

    ts_ms: int
    bits: int

    @property
    def value(self) -> float:
        """The value as a number."""
        number: float = struct.unpack("<d", struct.pack("<Q", self.bits))[0]
        return number


@dataclass(frozen=True)
class Series:
    """A series of a write request."""

    labels: dict[str, str]
    samples: list[Sample]


@dataclass(frozen=True)
class Request:
    """A request as it came; ``decoded`` is the receiver's own reading of it, by ``decoded["kind"]``."""

    seq: int
    connection: int
    index_on_connection: int
    arrived_us: int
    arrived_unix_ms: int
    method: str
    target: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    complete: bool
    decoded: dict[str, Any]
    stored: bool
    answered: int | None

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    @property
    def series(self) -> list[Series]:
        """The series of a write request, empty for anything else."""
        return [
            Series(dict(s["labels"]), [Sample(x["ts_ms"], x["value_bits"]) for x in s["samples"]])
            for s in self.decoded.get("series", [])
        ]


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for a client."""

    ca: str
    client_cert: str
    client_key: str
    stranger_cert: str
    stranger_key: str


class ReceiverError(Exception):
    """The receiver did not understand, or is gone."""


def binary() -> str:
    """The path of the receiver's binary."""
    given = os.environ.get("PROMWRITE_RECEIVER")
    if given:
        return given
    root = Path(__file__).resolve().parents[2]
    target = root / os.environ.get("CARGO_TARGET_DIR", "target")
    found = [p for kind in ("debug", "release") if (p := target / kind / "promwrite-receiver").is_file()]
    if not found:
        raise ReceiverError(
            f"no promwrite-receiver under {target}:"
            " run `cargo build -p promwrite-receiver` or set PROMWRITE_RECEIVER"
        )
    return str(max(found, key=lambda p: p.stat().st_mtime))


class FaultReceiver:
    """A receiver in a child process; a context manager."""

    def __init__(
        self,
        steps: Iterable[Behaviour] = (),
        default: Behaviour | None = None,
        *,
        rules: Rules | None = None,
        tls: TlsCase | None = None,
        upstream: str | None = None,
        never_accept: bool = False,
        receive_buffer: int | None = None,
    ) -> None:
        """``upstream`` is ``"127.0.0.1:PORT"`` of a real server: the receiver is a proxy in front of it."""
        self._lock = threading.Lock()
        self._child = subprocess.Popen(
            [binary()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._id = 0
        try:
            started = self._call(
                "start",
                options={
                    "script": {"steps": list(steps), "default": default or {}},
                    "rules": rules or {},
                    "tls": tls,
                    "upstream": upstream,
                    "never_accept": never_accept,
                    "receive_buffer": receive_buffer,
                },
            )
        except BaseException:
            self.close()
            raise
        self._id = started["id"]
        self.url: str = started["url"]
        self.host: str = started["host"]
        self.port: int = started["port"]
        files = started["files"]
        self.tls_files: TlsFiles | None = TlsFiles(**files) if files else None

    @property
    def address(self) -> str:
        """``HOST:PORT``, as a gateway address."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The child process."""
        return self._child.pid

    def _call(self, op: str, **arguments: Any) -> dict[str, Any]:
        line = json.dumps({"op": op, **({"id": self._id} if self._id else {}), **arguments})
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None:
            raise ReceiverError("the receiver has no pipes")
        with self._lock:
            try:
                stdin.write(line + "\n")
                stdin.flush()
                answer = stdout.readline()
            except (OSError, ValueError) as error:
                raise ReceiverError(f"the receiver is gone: {error}") from error
        if not answer:
            raise ReceiverError(f"the receiver ended during {op}")
        result: dict[str, Any] = json.loads(answer)
        if not result["ok"]:
            raise ReceiverError(result["error"])
        return result

    def script(self, steps: Iterable[Behaviour] = (), default: Behaviour | None = None) -> None:
        """Replaces what is left of the script."""
        self._call("script", script={"steps": list(steps), "default": default or {}})

    def add(self, behaviour: Behaviour) -> None:
        """Adds a step behind those that are left."""
        self._call("behaviour", behaviour=behaviour)

    def rules(self, rules: Rules) -> None:
        """Replaces the rules."""
        self._call("rules", rules=rules)

    def wait(self, n: int, what: Waited = "answered", timeout: float = 5.0) -> bool:
        """Waits until ``n`` requests were answered (or came, or are held; or connections came)."""
        reached: bool = self._call("wait", what=what, n=n, timeout_ms=round(timeout * 1000))["reached"]
        return reached

    def release(self) -> None:
        """Lets the held requests go on."""
        self._call("release")

    def clear(self) -> None:
        """Forgets requests and store."""
        self._call("clear")

    def down(self) -> None:
        """Closes every connection and refuses new ones."""
        self._call("down")

    def up(self) -> None:
        """Listens on the same port again."""
        self._call("up")

    def counts(self) -> dict[str, Any]:
        """Connections, requests and bytes so far, and what was malformed."""
        counts = self._call("counts")
        del counts["ok"]
        return counts

    def requests(self, since: int = 0) -> list[Request]:
        """Requests from that ``seq`` on, in order of arrival."""
        found = self._call("requests", **{"from": since})["requests"]
        return [
            Request(
                **{
                    **r,
                    "body": base64.b64decode(r["body"]),
                    "headers": [(name, value) for name, value in r["headers"]],
                }
            )
            for r in found
        ]

    def store(self) -> dict[str, Any]:
        """What a real receiver would hold: ``series`` and ``groups``."""
        store: dict[str, Any] = self._call("store")["store"]
        return store

    def samples(self, labels: Mapping[str, str]) -> list[tuple[int, float]]:
        """Time in milliseconds and value of the stored samples of exactly that series."""
        return [
            (s["ts_ms"], Sample(s["ts_ms"], s["value_bits"]).value)
            for series in self.store()["series"]
            if series["labels"] == dict(labels)
            for s in series["samples"]
        ]

    def group(self, **key: str) -> dict[str, str] | None:
        """Family to lines of exactly that gateway group."""
        return next((g["families"] for g in self.store()["groups"] if g["key"] == key), None)

    def close(self) -> None:
        """Ends the child; also one that was stopped by a signal."""
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):  # a child that is gone already is what is wanted
                self._child.stdin.close()
        try:
            self._child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> FaultReceiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
