"""What a flush or a close achieved."""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs more than all the rest of the package
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Report:
    """What happened since the report before. True only if nothing is pending, rejected or dropped, and no more was put
    into the spool than taken out of it.

    A writer counts samples, a pusher or handler counts pushes.
    """

    __slots__ = (
        "accepted",
        "adopted",
        "delivered",
        "dropped",
        "failures",
        "kind",
        "pending",
        "rejected",
        "spooled",
        "superseded",
        "url",
    )

    def __init__(
        self,
        *,
        url: str,
        kind: str,
        accepted: int = 0,
        adopted: int = 0,
        delivered: int = 0,
        superseded: int = 0,
        spooled: int = 0,
        pending: int = 0,
        rejected: Mapping[str, int] | None = None,
        dropped: Mapping[str, int] | None = None,
        failures: Iterable[str] = (),
    ) -> None:
        self.url = url
        """The endpoint, without user, password and query; several are separated by blanks."""
        self.kind = kind
        """What is counted: ``samples`` or ``pushes``."""
        self.accepted = accepted
        """Taken from the job."""
        self.adopted = adopted
        """Taken from the spool and settled: what another process left there, or this one put there before."""
        self.delivered = delivered
        """Answered with 2xx."""
        self.superseded = superseded
        """Made needless by a newer value: the same series and millisecond, or a newer state of the group."""
        self.spooled = spooled
        """Put into the spool."""
        self.pending = pending
        """Still waiting, now."""
        self.rejected = dict(rejected or {})
        """Refused by the receiver, by reason."""
        self.dropped = dict(dropped or {})
        """Given up, by reason."""
        self.failures = list(failures)
        """Recent failures, oldest first, for a person."""

    @classmethod
    def total(cls, kind: str, reports: Iterable[Report]) -> Report:
        """The sum of reports of one kind."""
        total = cls(url="", kind=kind)
        urls: list[str] = []
        for report in reports:
            if report.url not in urls:
                urls.append(report.url)
            total.accepted += report.accepted
            total.adopted += report.adopted
            total.delivered += report.delivered
            total.superseded += report.superseded
            total.spooled += report.spooled
            total.pending += report.pending
            for reason, count in report.rejected.items():
                total.rejected[reason] = total.rejected.get(reason, 0) + count
            for reason, count in report.dropped.items():
                total.dropped[reason] = total.dropped.get(reason, 0) + count
            total.failures += report.failures
        total.url = " ".join(urls)
        return total

    def __bool__(self) -> bool:
        return not (self.pending or self.rejected or self.dropped or self.spooled > self.adopted)

    def __repr__(self) -> str:
        parts = [f"{self.accepted} accepted", f"{self.delivered} delivered"]
        if self.adopted:
            parts.append(f"{self.adopted} adopted")
        if self.spooled:
            parts.append(f"{self.spooled} spooled")
        if self.superseded:
            parts.append(f"{self.superseded} superseded")
        if self.pending:
            parts.append(f"{self.pending} pending")
        for what, reasons in (("rejected", self.rejected), ("dropped", self.dropped)):
            parts += [f"{count} {what} ({reason})" for reason, count in reasons.items()]
        last = f"; last failure: {self.failures[-1]}" if self.failures and not self else ""
        return f"<Report of {self.kind} to {self.url or 'nobody'}: {', '.join(parts)}{last}>"


class Reports:
    """What all senders of a process achieved, by what they count. True only if both are."""

    __slots__ = ("pushes", "samples")

    def __init__(self, reports: Iterable[Report]) -> None:
        every = list(reports)
        self.samples = Report.total("samples", [r for r in every if r.kind == "samples"])
        """Of all writers."""
        self.pushes = Report.total("pushes", [r for r in every if r.kind == "pushes"])
        """Of all pushers and handlers."""

    def __bool__(self) -> bool:
        return bool(self.samples) and bool(self.pushes)

    def __repr__(self) -> str:
        return f"<Reports samples={self.samples!r} pushes={self.pushes!r}>"
