"""A device is judged by its source, its head and its sender; a link that is away is no illness."""

from __future__ import annotations

import threading

import pytest

from edge.capturing import Capturing
from edge.health import Seen, reasons
from edge.ledger import Ledger
from edge.progress import Progress
from edge.sources import WhenFull
from edge.sources.pattern import Pattern
from headwater.errors import SourceError
from tests.servers import eventually


@pytest.mark.parametrize(
    ("seen", "first_words"),
    [
        (Seen(), []),
        (Seen(broker_away_s=9_000.0, finished_s=9_000.0), []),
        (Seen(hungry_s=30.0, in_hand_s=30.0, silent_s=30.0), []),
        (Seen(hungry_s=31.0), ["the source has given no picture for 31 s, expected at most 30 s"]),
        (Seen(hungry_s=31.0, expected_every_s=60.0), []),
        (Seen(hungry_s=181.0, expected_every_s=60.0), ["the source has given no picture for 181 s"]),
        (Seen(in_hand_s=31.0), ["the head has worked on one picture for 31 s"]),
        (Seen(silent_s=31.0), ["the sender has not moved for 31 s"]),
        (Seen(same_s=61.0, stale_after_s=60.0), ["stale camera: the source has given the same picture for 61 s"]),
        (Seen(same_s=60.0, stale_after_s=60.0), []),
        (Seen(same_s=1e6, stale_after_s=0.0), []),
        (Seen(unwritten_s=31.0), ["the spool could not be written for 31 s"]),
        (Seen(failure="folder street: gone"), ["the source failed: folder street: gone"]),
    ],
)  # fmt: skip
def test_a_device_is_unwell_by_what_keeps_it_from_pictures(seen: Seen, first_words: list[str]) -> None:
    """At the limit it is well; a slow rate makes it patient; a broken link alone is none of it."""
    found = reasons(seen, 30.0)
    assert len(found) == len(first_words)
    assert all(one.startswith(words) for one, words in zip(found, first_words, strict=True))


class Silent(Pattern):
    """Gives one picture, then none until it is told to end, or to fail."""

    def __init__(self, failure: str | None) -> None:
        super().__init__(64, 64, rate=None)
        self.go_on, self._failure = threading.Event(), failure

    def captures(self, stop: threading.Event):
        yield next(super().captures(stop))
        self.go_on.wait(20)
        if self._failure:
            raise SourceError(self._failure)


def test_only_a_source_that_owes_pictures_is_waited_for() -> None:
    """The head is hungry while it waits, not while it has a picture, nor after the end."""
    progress, source = Progress(), Silent(None)
    with Capturing(source, Ledger(), progress) as capturing:
        assert eventually(lambda: capturing.next(0.1)) is not None
        assert progress.hungry_since_s is None
        assert capturing.next(0.01) is None
        since_s = progress.hungry_since_s
        assert since_s is not None
        assert capturing.next(0.01) is None
        assert progress.hungry_since_s == since_s
        source.go_on.set()
        assert eventually(lambda: capturing.next(0.01) is None and capturing.ended)
    assert (progress.hungry_since_s, progress.failure) == (None, None)


def test_a_source_that_failed_is_remembered() -> None:
    """While its last frames are still on their way, the device says what became of it."""
    progress, source = Progress(), Silent("camera: unplugged")
    source.go_on.set()
    with Capturing(source, Ledger(), progress) as capturing:
        assert eventually(lambda: capturing.next(0.1)) is not None
        with pytest.raises(SourceError, match="unplugged"):
            eventually(lambda: capturing.next(0.1))
    assert (progress.hungry_since_s, progress.failure) == (None, "camera: unplugged")


def test_the_head_is_at_work_only_within_its_block() -> None:
    """Also where it fails."""
    progress = Progress(lambda: 7.0)
    seen = []

    def fails() -> None:
        with progress.in_hand():
            seen.append(progress.begun_since_s)
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fails()
    assert (seen, progress.begun_since_s) == ([7.0], None)


class Stuck(Pattern):
    """Hands out one picture for ever."""

    def __init__(self, when_full: WhenFull) -> None:
        super().__init__(64, 64, rate=None)
        self.when_full = when_full

    def captures(self, stop: threading.Event):
        one = next(super().captures(stop))
        while not stop.wait(0.001):
            yield one


@pytest.mark.parametrize("when_full", list(WhenFull))
def test_a_camera_that_gives_the_same_picture_is_noticed_and_a_file_may(when_full: WhenFull) -> None:
    """The time counts from the first of them."""
    progress = Progress()
    with Capturing(Stuck(when_full), Ledger(), progress) as capturing:
        for _ in range(5):
            assert eventually(lambda: capturing.next(0.1)) is not None
    assert (progress.sameness.since_s is not None) == (when_full is WhenFull.DROP_OLDEST)
    assert progress.began_s <= (progress.sameness.since_s or progress.began_s)
