"""The loop hears of every picture of its source, and how it ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edge.capturing import Capturing
from edge.ledger import Ledger
from edge.progress import Progress
from edge.sources import Capture, WhenFull
from headwater.errors import SourceError
from tests.servers import eventually


class Unplugged:
    """A camera without pictures that fails when told."""

    when_full, description, skipped = WhenFull.DROP_OLDEST, "camera", 0

    def __init__(self) -> None:
        self.fails, self.closed = threading.Event(), False

    def captures(self, stop: threading.Event) -> Iterator[Capture]:
        """Fail."""
        self.fails.wait(60)
        raise SourceError("camera: unplugged")
        yield

    def close(self) -> None:
        """Remember."""
        self.closed = True


def test_an_end_between_two_looks_is_seen_by_the_next() -> None:
    """A source that fails just after the loop found nothing has not ended before its error was raised."""
    source = Unplugged()
    with Capturing(source, Ledger(), Progress()) as capturing:
        assert capturing.next(0) is None
        source.fails.set()
        assert eventually(lambda: source.closed)
        assert not capturing.ended
        with pytest.raises(SourceError, match="unplugged"):
            capturing.next(0)
