"""Hands a job's metrics to Prometheus without ever blocking the job.

The drop-in, non-blocking and flushed at exit::

    push_to_gateway("gateway:9091", job="batch", registry=registry, handler=promwrite.handler)

Remote write::

    writer = promwrite.Writer("http://prometheus:9090/api/v1/write", labels={"job": "etl"})
    rows = writer.series("rows_loaded_total", {"stage": "load"}, type="counter", help="Rows loaded.")
    rows.append(1200)  # the total so far, as a scrape at this moment would see it

A process that ends by itself is flushed. One that runs no exit hook (``os._exit``, the default action of SIGTERM, a
Spark executor) must call ``close``. With the option ``spool_dir`` what cannot be sent is kept on disk, for a later
process or for ``drain``.
"""

from __future__ import annotations

from promwrite import _exit as _exit
from promwrite import _log, _promwrite
from promwrite._errors import (
    ClosedError,
    Error,
    ExpositionError,
    InternalError,
    InvalidError,
    OptionError,
    QueueFullError,
    SendError,
    TimestampError,
    TooLargeError,
)
from promwrite._handler import Handler, handler
from promwrite._promwrite import Series, __version__
from promwrite._push import Pusher, delete_from_gateway, push_to_gateway, pushadd_to_gateway
from promwrite._report import Report, Reports
from promwrite._writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from typing import Any

__all__ = [
    "ClosedError",
    "Error",
    "ExpositionError",
    "Handler",
    "InternalError",
    "InvalidError",
    "OptionError",
    "Pusher",
    "QueueFullError",
    "Report",
    "Reports",
    "SendError",
    "Series",
    "TimestampError",
    "TooLargeError",
    "Writer",
    "__version__",
    "delete_from_gateway",
    "drain",
    "flush",
    "handler",
    "push_to_gateway",
    "pushadd_to_gateway",
    "stats",
]


def flush(timeout: float | None = 5) -> Reports:
    """Flushes every sender of this process within ``timeout`` seconds in all (None: no limit)."""
    reports = Reports(Report(**fields) for fields in _promwrite.flush(timeout))
    _log.feed()
    return reports


def drain(
    directory: str | PathLike[str],
    url: str,
    timeout: float | None = 60,
    *,
    options: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Report:
    """Sends what processes that ended left in ``directory`` (option ``spool_dir``) for the remote-write URL ``url``.

    For a cron job, a sidecar or the driver of a cluster. Takes the options of a ``Writer``: credentials are not in the
    directory. What is not sent within ``timeout`` seconds (None: no limit) stays there and counts as pending; files of
    processes that live are left to them. The report counts what was taken as ``adopted``.
    """
    reports = _promwrite.drain(directory, url, timeout, options, keywords)
    return Report.total("samples", [Report(**fields) for fields in reports])


def stats() -> list[dict[str, Any]]:
    """Everything counted so far, one entry for each sender of this process."""
    _log.feed()
    return _promwrite.stats()
