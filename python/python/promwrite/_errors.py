"""The exceptions. Every message names field, value and rule; none holds a secret."""

from __future__ import annotations


class Error(Exception):
    """Base of all exceptions of promwrite."""

    retryable: bool = False
    """Whether the same call can succeed later without a change by the caller."""


class OptionError(Error, ValueError):
    """An option that does not exist; the message names the nearest one that does."""


class InvalidError(Error, ValueError):
    """An argument breaks a rule: a URL, a label, a name, a value of an option. Nothing was accepted."""


class TimestampError(InvalidError):
    """A time before 2001 or more than ten minutes ahead; the message names both readings, seconds and milliseconds."""


class ExpositionError(InvalidError):
    """A page that breaks the exposition format. Nothing of it was accepted."""

    line: int = 0
    """Line of the page, from 1."""
    column: int = 0
    """Byte of the line, from 1."""


class TooLargeError(Error, ValueError):
    """One item larger than any request may be."""


class QueueFullError(Error, BufferError):
    """The queue is full, and its policy is ``error``, or ``block`` waited in vain."""

    retryable = True


class ClosedError(Error, ValueError):
    """The object was closed before the call."""


class SendError(Error, OSError):
    """A call that waits for its answer got none."""

    kind: str = ""
    """What broke: ``dns``, ``refused``, ``unreachable``, ``connect``, ``tls``, ``timeout``, ``disconnected``,
    ``protocol``, ``proxy`` or ``cancelled``."""
    reason: str = ""
    """What broke, in words."""


class InternalError(Error, RuntimeError):
    """A bug in promwrite; the job is not harmed by it."""
