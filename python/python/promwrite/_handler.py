"""Handlers for ``prometheus_client.push_to_gateway`` and its like."""

from __future__ import annotations

from promwrite import _log, _promwrite
from promwrite._errors import SendError
from promwrite._report import Report

TYPE_CHECKING = False  # typing costs more than all the rest of the package
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Headers = Sequence[Any]


class Handler:
    """A handler that takes a push and returns at once; the push is sent in the background, and flushed at exit.

    ``push_to_gateway(..., handler=promwrite.Handler(basic_auth=(user, password)))``

    Of several pushes of a group the newest state wins. Handlers with equal options share one connection a gateway.
    ``timeout`` of ``push_to_gateway`` is not used, since nobody waits; the option ``remote_timeout`` bounds a request.

    With ``blocking=True`` each push is one request that the caller waits for, without retry, and failures are raised
    as prometheus_client's own handler raises them. ``timeout`` is then the limit for the whole request.
    """

    def __init__(
        self, *, blocking: bool = False, options: Mapping[str, Any] | None = None, **keywords: Any
    ) -> None:
        self._blocking = blocking
        self._native = _promwrite.Handler(options, keywords)

    def __call__(
        self, url: str, method: str, timeout: float | None, headers: Headers, data: bytes
    ) -> Callable[[], None]:
        """What prometheus_client calls; the request is handed over when the result is called."""
        if self._blocking:
            return lambda: self._wait(url, method, timeout, headers, data)
        return lambda: self._queue(url, method, headers, data)

    def _queue(self, url: str, method: str, headers: Headers, data: bytes) -> None:
        self._native.push(url, method, headers, data)
        _log.feed()

    def _wait(self, url: str, method: str, timeout: float | None, headers: Headers, data: bytes) -> None:
        from promwrite import _blocking

        try:
            code, answered, body, shown = self._native.call(
                url, method, _blocking.check_timeout(timeout), headers, data
            )
        except SendError as error:
            raise _blocking.failure(error) from None
        if not 200 <= code < 300:
            raise _blocking.status(shown, code, answered, body)

    def flush(self, timeout: float | None = 5) -> Report:
        """Sends what was pushed before, at once, and waits for it at most ``timeout`` seconds."""
        return self._report(self._native.flush(timeout))

    def close(self, timeout: float | None = 5) -> Report:
        """Accepts no more, flushes, and gives up what is left after ``timeout`` seconds."""
        return self._report(self._native.close(timeout))

    def stats(self) -> list[dict[str, Any]]:
        """Everything counted so far, one entry for each gateway."""
        _log.feed()
        return self._native.stats()

    def _report(self, reports: list[dict[str, Any]]) -> Report:
        _log.feed()
        return Report.total("pushes", [Report(**fields) for fields in reports])

    def __enter__(self) -> Handler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), self._blocking, dict(self._native.portable_options()))

    def __repr__(self) -> str:
        return "<promwrite.Handler blocking>" if self._blocking else "<promwrite.Handler>"


def _made(cls: type[Handler], blocking: bool, options: dict[str, str]) -> Handler:
    return cls(blocking=blocking, options=options)


Handler.__doc__ = f"{Handler.__doc__}\n\nOptions:\n\n{_promwrite.options_doc(False)}"

handler = Handler()
"""The handler with all defaults."""
