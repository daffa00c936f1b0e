"""The pytest plugin: one fixture. It imports the receiver only when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from promwrite.testing import Receiver


@pytest.fixture
def promwrite_receiver() -> Iterator[Receiver]:
    """A `promwrite.testing.Receiver` that runs during the test."""
    from promwrite.testing import Receiver

    with Receiver() as receiver:
        yield receiver
