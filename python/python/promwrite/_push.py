"""prometheus_client's push functions under the same signatures, rendered by Rust and queued; and the Pusher."""

from __future__ import annotations

from promwrite import _log, _promwrite
from promwrite._handler import handler as _queueing
from promwrite._report import Report

TYPE_CHECKING = False  # typing costs more than all the rest of the package
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def push_to_gateway(
    gateway: str,
    job: str,
    registry: Any,
    grouping_key: Mapping[str, Any] | None = None,
    timeout: float | None = 30,
    handler: Callable[..., Callable[[], Any]] = _queueing,
    compression: str | None = None,
) -> None:
    """Replaces the group's metrics by those of ``registry`` (PUT).

    As ``prometheus_client.push_to_gateway``, but without ``handler=`` the push is queued and this returns at once.
    A handler is called as prometheus_client calls it; ``timeout`` is passed to it and has no other use.
    """
    _push("PUT", gateway, job, registry, grouping_key, timeout, handler, compression)


def pushadd_to_gateway(
    gateway: str,
    job: str,
    registry: Any,
    grouping_key: Mapping[str, Any] | None = None,
    timeout: float | None = 30,
    handler: Callable[..., Callable[[], Any]] = _queueing,
    compression: str | None = None,
) -> None:
    """Replaces the metrics of the group that have a name in ``registry`` (POST); otherwise as `push_to_gateway`."""
    _push("POST", gateway, job, registry, grouping_key, timeout, handler, compression)


def delete_from_gateway(
    gateway: str,
    job: str,
    grouping_key: Mapping[str, Any] | None = None,
    timeout: float | None = 30,
    handler: Callable[..., Callable[[], Any]] = _queueing,
) -> None:
    """Deletes the group (DELETE); otherwise as `push_to_gateway`."""
    url = _promwrite.push_url(gateway, job, grouping_key)
    handler(url=url, method="DELETE", timeout=timeout, headers=[("Content-Type", CONTENT_TYPE)], data=b"")()


def _push(
    method: str,
    gateway: str,
    job: str,
    registry: Any,
    grouping_key: Mapping[str, Any] | None,
    timeout: float | None,
    handler: Callable[..., Callable[[], Any]],
    compression: str | None,
) -> None:
    url = _promwrite.push_url(gateway, job, grouping_key)
    if registry is None:
        from prometheus_client import REGISTRY

        registry = REGISTRY
    data = _promwrite.render(registry)
    headers = [("Content-Type", CONTENT_TYPE)]
    if compression is not None:
        data = _compress(data, compression)
        headers.append(("Content-Encoding", compression.lower()))
    handler(url=url, method=method, timeout=timeout, headers=headers, data=data)()


def _compress(data: bytes, compression: str) -> bytes:
    match compression.lower():
        case "gzip":
            import gzip

            return gzip.compress(data)
        case "snappy":
            return _promwrite.snappy_frame(data)
    raise ValueError(f"Unsupported compression type: {compression}")


class Pusher:
    """Pushes the state of one group without waiting.

    The grouping key gets ``instance``, the host name, unless it has one or the option ``instance`` says otherwise,
    because two hosts that push one group overwrite each other. Workers of one host add a label of their own.
    """

    def __init__(
        self,
        gateway: str,
        job: str,
        grouping_key: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> None:
        self._native = _promwrite.Pusher(gateway, job, grouping_key, options, keywords)

    @property
    def url(self) -> str:
        """The group's URL, without user and password."""
        return self._native.url

    def push(self, registry: Any) -> None:
        """Replaces the group by what ``registry`` has (PUT)."""
        self._native.push(registry)
        _log.feed()

    def add(self, registry: Any) -> None:
        """Replaces the metrics of the group that have a name in ``registry`` (POST)."""
        self._native.add(registry)
        _log.feed()

    def push_text(self, text: str | bytes, content_type: str = CONTENT_TYPE) -> None:
        """Replaces the group by a page (PUT), which goes out as it is."""
        self._native.push_text(text, content_type)
        _log.feed()

    def delete(self) -> None:
        """Deletes the group (DELETE)."""
        self._native.delete()
        _log.feed()

    def flush(self, timeout: float | None = 5) -> Report:
        """Sends what was pushed before, at once, and waits for it at most ``timeout`` seconds."""
        return self._report(self._native.flush(timeout))

    def close(self, timeout: float | None = 5) -> Report:
        """Accepts no more, flushes, and gives up what is left after ``timeout`` seconds."""
        return self._report(self._native.close(timeout))

    def stats(self) -> list[dict[str, Any]]:
        """Everything counted so far for the gateway, pushes of others to it included; empty before the first push."""
        _log.feed()
        return self._native.stats()

    def _report(self, reports: list[dict[str, Any]]) -> Report:
        _log.feed()
        return Report.total("pushes", [Report(**fields) for fields in reports])

    def __enter__(self) -> Pusher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        gateway, job, grouping_key, options = self._native.portable()
        return _made, (type(self), gateway, job, dict(grouping_key), dict(options))

    def __repr__(self) -> str:
        return f"<promwrite.Pusher {self.url}>"


def _made(
    cls: type[Pusher], gateway: str, job: str, grouping_key: dict[str, str], options: dict[str, str]
) -> Pusher:
    return cls(gateway, job, grouping_key, options=options)


Pusher.__doc__ = f"{Pusher.__doc__}\n\nOptions:\n\n{_promwrite.options_doc(False)}"
