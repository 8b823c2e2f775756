"""Streams that go on by themselves: cameras, RTSP, GStreamer. Broken in mid-stream, they are opened again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from edge.backoff import backoff_s
from edge.sources.capture import Capture, Pixels, Thinner, WhenFull
from headwater.errors import SourceError
from headwater.logs import event, without_password

log = logging.getLogger(__name__)


class StreamBroken(SourceError):
    """A stream that was open gives no more frames."""


class StreamEnded(Exception):
    """A stream came to its end, as it was meant to."""


class Stream(Protocol):
    """An open stream of frames."""

    def grab(self, stop: threading.Event) -> bool:
        """Wait for the next frame; return False when `stop` was set first. Raises: StreamBroken, StreamEnded."""
        ...

    def retrieve(self) -> Pixels | None:
        """Return the frame grabbed last, owned by the caller; None where it is damaged."""
        ...

    def close(self) -> None:
        """Let go of the stream; safe to call again."""
        ...


class Live:
    """A source that stays fresh: it reads as fast as frames come, and opens its stream again when that breaks."""

    when_full = WhenFull.DROP_OLDEST

    def __init__(self, connect: Callable[[], Stream], description: str, *, rate: float | None, loop: bool) -> None:
        """Open the stream. Raises: SourceError, when that fails this first time."""
        self._connect, self._rate, self._loop = connect, rate, loop
        self.description = description
        self.skipped = 0
        self.outages = 0
        self._failures = 0
        self._stream: Stream | None = connect()

    def captures(self, stop: threading.Event) -> Iterator[Capture]:
        """Yield the stream's frames, thinned to the rate, through any number of outages."""
        thinner = Thinner(self._rate)
        try:
            while not stop.is_set():
                try:
                    yield from self._frames(thinner, stop)
                except StreamEnded:
                    if not self._loop:
                        return
                    self._close_stream()
                except SourceError as error:
                    self._outage(str(error))
                    stop.wait(backoff_s(self._failures))
                    self._failures += 1
        finally:
            self._close_stream()

    def close(self) -> None:
        """Let go of the stream."""
        self._close_stream()

    def _frames(self, thinner: Thinner, stop: threading.Event) -> Iterator[Capture]:
        if self._stream is None:
            self._stream = self._connect()
        given = False
        while not stop.is_set():
            try:
                if not self._stream.grab(stop):
                    return
            except StreamEnded:
                if given:
                    raise
                raise StreamBroken("it ended before the first frame") from None
            captured_ns, begin_ns = time.time_ns(), time.monotonic_ns()
            if not thinner.picks(begin_ns / 1e9):
                continue
            picture = self._stream.retrieve()
            if picture is None:
                raise StreamBroken("it gave a frame that is damaged, or over the size allowed")
            if self._failures:
                log.info(event("stream back", source=self.description))
            self._failures, given = 0, True
            yield Capture(picture, captured_ns, time.monotonic_ns() - begin_ns, begun_ns=begin_ns)

    def _outage(self, reason: str) -> None:
        self._close_stream()
        if not self._failures:
            self.outages += 1
            log.warning(event("stream lost", source=self.description, reason=reason))

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def without_secrets(text: str) -> str:
    """Return an address or pipeline with its user names and passwords masked."""
    return without_password(text)
