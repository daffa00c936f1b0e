"""Remote write without waiting."""

from __future__ import annotations

from promwrite import _log, _promwrite
from promwrite._errors import InvalidError
from promwrite._promwrite import Series
from promwrite._report import Report

TYPE_CHECKING = False  # typing costs more than all the rest of the package
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from promwrite._handler import Headers

TEXT = "text/plain; version=0.0.4"


class Writer:
    """Sends samples by Prometheus remote write, in the background; what is pending is flushed at exit.

    ``url`` is the whole remote-write URL. Each series gets the label ``instance``, the host name, unless it has one or
    the option ``instance`` says otherwise. Workers of one host need a label of their own, in ``labels``: two writers of
    one label set overwrite each other. Dropping a writer loses nothing and never waits.
    """

    def __init__(self, url: str, *, options: Mapping[str, Any] | None = None, **keywords: Any) -> None:
        self._native = _promwrite.Writer(url, options, keywords)
        _log.feed()

    @property
    def url(self) -> str:
        """The URL, without user, password and query."""
        return self._native.url

    def series(
        self,
        name: str,
        labels: Mapping[str, Any] | None = None,
        *,
        type: str | None = None,  # noqa: A002
        help: str = "",  # noqa: A002
        unit: str = "",
    ) -> Series:
        """A prepared series, the fast path for what is appended often: checked and encoded once.

        ``type`` is ``counter``, ``gauge``, ``histogram``, … and is told to the receiver with ``help`` and ``unit``.
        """
        return self._native.series(name, labels, type, help, unit)

    def append(
        self, name: str, value: float, labels: Mapping[str, Any] | None = None, timestamp: Any = None
    ) -> None:
        """Appends one sample. ``timestamp`` is seconds since 1970 or a datetime; now, if it is left out."""
        self._native.append(name, value, labels, timestamp)
        _log.feed()

    def push(self, registry: Any) -> int:
        """Appends every sample of a prometheus_client registry, all or none; returns how many."""
        taken = self._native.push(registry)
        _log.feed()
        return taken

    def push_text(
        self, text: str | bytes, content_type: str = TEXT, labels: Mapping[str, Any] | None = None
    ) -> int:
        """Appends every sample of a text 0.0.4 or OpenMetrics page, all or none; returns how many.

        ``labels`` are added to each series that has none of that name.
        """
        taken = self._native.push_text(text, content_type, labels, True)
        _log.feed()
        return taken

    @property
    def handler(self) -> Callable[..., Callable[[], None]]:
        """A prometheus_client handler that writes what is pushed, with job and grouping key as labels."""
        return _PageHandler(self)

    def flush(self, timeout: float | None = 5) -> Report:
        """Sends what was appended before, at once, and waits for it at most ``timeout`` seconds (None: no limit)."""
        report = Report(**self._native.flush(timeout))
        _log.feed()
        return report

    def close(self, timeout: float | None = 5) -> Report:
        """Accepts no more, flushes, and gives up what is left after ``timeout`` seconds."""
        report = Report(**self._native.close(timeout))
        _log.feed()
        return report

    def stats(self) -> dict[str, Any]:
        """Everything counted so far; empty in a forked child that has not used the writer."""
        _log.feed()
        return self._native.stats() or {}

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        url, options = self._native.portable()
        return _made, (type(self), url, dict(options))

    def __repr__(self) -> str:
        return f"<promwrite.Writer {self.url}>"


class _PageHandler:
    """Takes what prometheus_client would push to a gateway."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def __call__(
        self, url: str, method: str, timeout: float | None, headers: Headers, data: bytes
    ) -> Callable[[], None]:
        return lambda: self._write(url, method, headers, data)

    def _write(self, url: str, method: str, headers: Headers, data: bytes) -> None:
        if method == "DELETE":
            raise InvalidError('method: "DELETE" is refused: remote write cannot delete what was written')
        labels = dict(_promwrite.grouping_labels(url))
        given = {_text(name).lower(): _text(value) for name, value in headers}
        page = _unpack(data, given.get("content-encoding", ""))
        # the grouping key wins over a metric's own label, as at a gateway
        self._writer._native.push_text(page, given.get("content-type", TEXT), labels, False)
        _log.feed()

    def __repr__(self) -> str:
        return f"<handler of {self._writer!r}>"


def _text(part: Any) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else str(part)


def _unpack(data: bytes, encoding: str) -> bytes:
    match encoding.lower():
        case "" | "identity":
            return data
        case "gzip":
            import gzip

            return gzip.decompress(data)
        case "snappy":
            return _promwrite.snappy_unframe(data)
    raise InvalidError(f'Content-Encoding: "{encoding}" is refused: must be gzip or snappy')


def _made(cls: type[Writer], url: str, options: dict[str, str]) -> Writer:
    return cls(url, options=options)


Writer.__doc__ = f"{Writer.__doc__}\n\nOptions:\n\n{_promwrite.options_doc(True)}"
