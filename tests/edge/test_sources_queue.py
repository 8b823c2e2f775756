"""The queue between a source and the head: bounded, counted, and never silent about the end."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from edge.sources import Capture, CaptureQueue, WhenFull, feed
from headwater.errors import SourceError


def picture(number: int) -> Capture:
    """Return a capture with a number for its time."""
    return Capture(np.zeros((1, 1, 3), np.uint8), captured_ns=number, capture_ns=0)


class Numbers:
    """A source of numbered captures, without a clock."""

    description = "numbers"
    skipped = 0

    def __init__(self, count: int, when_full: WhenFull, error: Exception | None = None) -> None:
        self.when_full, self._count, self._error = when_full, count, error
        self.closed = False

    def captures(self, stop: threading.Event) -> Iterator[Capture]:
        """Yield the captures, then fail if that is wanted."""
        for number in range(self._count):
            if stop.is_set():
                return
            yield picture(number)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def test_a_camera_stays_fresh_and_every_drop_is_counted() -> None:
    """Full, the queue drops its oldest; captured = taken + dropped + inside."""
    queue, stop = CaptureQueue(WhenFull.DROP_OLDEST, size=2), threading.Event()
    assert all(queue.put(picture(number), stop) for number in range(5))
    assert (queue.captured, queue.dropped, len(queue)) == (5, 3, 2)
    first = queue.take(0)
    assert first is not None
    assert first.captured_ns == 3


def test_a_file_waits_and_loses_nothing() -> None:
    """A slow taker gets every picture of a source that waits, in order."""
    queue, source, stop = CaptureQueue(WhenFull.WAIT), Numbers(50, WhenFull.WAIT), threading.Event()
    thread = threading.Thread(target=feed, args=(source, queue, stop))
    thread.start()
    taken = []
    while not queue.ended:
        capture = queue.take(5.0)
        if capture is not None:
            taken.append(capture.captured_ns)
    thread.join()
    assert taken == list(range(50))
    assert (queue.captured, queue.dropped, source.closed) == (50, 0, True)


def test_a_picture_that_waits_is_not_counted_when_all_stops() -> None:
    """Stopping frees a waiting source; its picture was never accepted."""
    queue, stop = CaptureQueue(WhenFull.WAIT), threading.Event()
    assert queue.put(picture(1), stop)
    threading.Timer(0.05, stop.set).start()
    assert not queue.put(picture(2), stop)
    assert queue.captured == 1


def test_nothing_to_take_is_none_in_time() -> None:
    """An empty queue answers None after the time given."""
    begin_s = time.monotonic()
    assert CaptureQueue(WhenFull.WAIT).take(0.05) is None
    assert 0.04 < time.monotonic() - begin_s < 5


def test_the_sources_error_comes_after_its_last_picture() -> None:
    """The taker first gets what is inside, then the error."""
    queue = CaptureQueue(WhenFull.DROP_OLDEST)
    feed(Numbers(1, WhenFull.DROP_OLDEST, SourceError("gone")), queue, threading.Event())
    assert queue.take(1.0) is not None
    with pytest.raises(SourceError, match="gone"):
        queue.take(1.0)


def test_a_fault_of_the_source_is_not_taken_for_its_end() -> None:
    """An exception that nobody expects still reaches the taker as an error."""
    queue = CaptureQueue(WhenFull.WAIT)
    with pytest.raises(ZeroDivisionError):
        feed(Numbers(0, WhenFull.WAIT, ZeroDivisionError()), queue, threading.Event())
    with pytest.raises(SourceError, match="fault of its own"):
        queue.take(1.0)


def test_an_ended_queue_takes_nothing_in() -> None:
    """After the end nothing is put in, and a taker hears at once."""
    queue = CaptureQueue(WhenFull.WAIT)
    queue.end()
    assert not queue.put(picture(1), threading.Event())
    assert queue.take(60.0) is None
    assert queue.ended


def test_a_queue_needs_room() -> None:
    """A queue of no size is a mistake of the program."""
    with pytest.raises(ValueError, match="at least 1"):
        CaptureQueue(WhenFull.WAIT, size=0)
