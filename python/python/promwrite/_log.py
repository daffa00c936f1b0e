"""The logger ``promwrite``, fed from the caller's side: the sending thread never touches Python."""

from __future__ import annotations

from promwrite import _promwrite


def warn(line: str) -> None:
    # imported late, because it costs more than all the rest of the package
    import logging

    logging.getLogger("promwrite").warning("%s", line)


def feed() -> None:
    """Logs what has come up since the last call; next to nothing when there is nothing."""
    if _promwrite.has_log():
        for line in _promwrite.take_log():
            warn(line)
