"""A pytest plugin that puts ours in place of prometheus_client's, before its tests import anything.

``UPSTREAM_REPLACED=handler``: the default handler. ``functions``: the three functions as well, with that handler, so
that the body is rendered by us.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prometheus_client
import promwrite
from prometheus_client import exposition

blocking = promwrite.Handler(blocking=True)
calls = 0


def handler(
    url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    global calls
    calls += 1
    made: Callable[[], None] = blocking(url=url, method=method, timeout=timeout, headers=headers, data=data)
    return made


def pytest_configure() -> None:
    theirs = exposition.default_handler
    exposition.default_handler = handler
    for name in ("push_to_gateway", "pushadd_to_gateway", "delete_from_gateway"):
        function: Any = getattr(exposition, name)
        if os.environ["UPSTREAM_REPLACED"] == "functions":
            function = functools.partial(getattr(promwrite, name), handler=handler)
        else:
            # the default of an argument was bound when the function was defined
            function.__defaults__ = tuple(
                handler if value is theirs else value for value in function.__defaults__
            )
        for module in (exposition, prometheus_client):
            setattr(module, name, function)


def pytest_sessionfinish() -> None:
    Path(os.environ["UPSTREAM_CALLS"]).write_text(str(calls))
