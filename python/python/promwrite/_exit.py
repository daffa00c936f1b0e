"""The end of the process: what is pending is flushed, and a loss is told once."""

from __future__ import annotations

import atexit
import sys

from promwrite import _log, _promwrite
from promwrite._report import Report

TYPE_CHECKING = False  # typing costs more than all the rest of the package
if TYPE_CHECKING:
    from typing import Any


_finalizers: dict[str, Any] = {}


def hook_process() -> None:
    """Called at the first use in each process, because a child of multiprocessing drops its parent's hooks."""
    for name in ("multiprocessing.util", "billiard.util"):
        # whoever has not imported it is no child of it
        util: Any = sys.modules.get(name)
        if util is None:
            continue
        if name not in _finalizers:
            # a child that imports the job's main module (spawn, forkserver) drops its hooks after that import
            util.register_after_fork(_finalize, lambda _, name=name, util=util: _finalize(name, util))
        _finalize(name, util)
    signals: Any = sys.modules.get("celery.signals")
    if signals is not None:
        # a recycled worker of Celery ends by os._exit, before which this signal is the last word
        signals.worker_process_shutdown.connect(_celery_shutdown, weak=False, dispatch_uid="promwrite")


def _finalize(name: str, util: Any) -> None:
    known = _finalizers.get(name)
    if known is None or not known.still_active():
        _finalizers[name] = util.Finalize(None, flush_at_exit, exitpriority=0)


def _celery_shutdown(**_: object) -> None:
    flush_at_exit()


def flush_at_exit() -> None:
    """Waits as long as it can help, gives up the rest and tells of it. A second call does what came up in between."""
    end = _promwrite.Exit()
    try:
        end.wait()
    finally:
        lost = [line for line in map(loss, map(_make, end.finish())) if line]
        if lost:
            # the one warning says it all
            _promwrite.take_log()
            _log.warn("at exit: " + "; ".join(lost))
        else:
            _log.feed()


def _make(fields: dict[str, Any]) -> Report:
    return Report(**fields)


def loss(report: Report) -> str:
    """What a report says of losses, or nothing."""
    reasons = {**report.rejected, **report.dropped}
    if not reasons:
        return ""
    why = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
    prefix = f"{report.url}: "
    # what was dropped now is in the count
    causes = [
        cause.removeprefix(prefix) for cause in report.failures if f"{prefix}dropped (shutdown)" not in cause
    ]
    last = f"; last failure: {causes[-1]}" if causes else ""
    return f"{sum(reasons.values())} {report.kind} to {report.url} were lost ({why}){last}"


# at import, so that it runs after the handlers that the job registers later: they may push too
atexit.register(flush_at_exit)
