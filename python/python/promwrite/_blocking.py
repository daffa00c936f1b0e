"""What urllib raises, for a handler that waits: jobs catch exactly that today."""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import urllib.error
from email.message import Message
from errno import EHOSTUNREACH, EINPROGRESS

from promwrite._errors import SendError


class BadReplyError(http.client.BadStatusLine, OSError):
    """An answer that is not HTTP. An ``OSError`` as well, because jobs catch that and mean any failure."""

    def __init__(self, reason: str) -> None:
        http.client.BadStatusLine.__init__(self, reason)


def check_timeout(timeout: object) -> float | None:
    """As a socket takes it: a number that is not negative, or None; 0 means that nothing can be waited for."""
    if timeout is None:
        return None
    if isinstance(timeout, str) or not hasattr(type(timeout), "__float__"):
        raise TypeError(f"timeout: must be a number of seconds or None, not {type(timeout).__name__}")
    seconds = float(timeout)  # type: ignore[arg-type]
    if not seconds >= 0:
        raise ValueError("Timeout value out of range")
    if seconds == 0:
        raise urllib.error.URLError(BlockingIOError(EINPROGRESS, os.strerror(EINPROGRESS)))
    return seconds


def failure(error: SendError) -> Exception:
    """The exception in place of ``error``."""
    reason = error.reason
    inner: OSError
    match error.kind:
        case "timeout":
            return TimeoutError(reason)
        case "disconnected":
            return http.client.RemoteDisconnected(reason)
        case "protocol":
            return BadReplyError(reason)
        case "dns":
            inner = socket.gaierror(socket.EAI_NONAME, reason)
        case "refused":
            inner = ConnectionRefusedError(reason)
        case "unreachable":
            inner = OSError(EHOSTUNREACH, reason)
        case "connect":
            inner = TimeoutError(reason)
        case "tls":
            inner = ssl.SSLError(reason)
        case _:
            inner = OSError(reason)
    return urllib.error.URLError(inner)


def status(url: str, code: int, headers: list[tuple[str, str]], body: bytes) -> urllib.error.HTTPError:
    """The exception for an answer other than 2xx."""
    message = http.client.HTTPMessage()
    for name, value in headers:
        Message.__setitem__(message, name, value)
    reason = http.client.responses.get(code, "")
    return urllib.error.HTTPError(url, code, reason, message, io.BytesIO(body))
