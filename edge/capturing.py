"""The thread that takes pictures, as the loop sees it that computes them."""

from __future__ import annotations

import threading
from typing import Final, Self

from edge.ledger import Ledger
from edge.progress import Progress
from edge.sources import Capture, CaptureQueue, Source, WhenFull, feed
from headwater.errors import HeadwaterError

SOURCE_CLOSE_S: Final = 2.0


class Capturing:
    """Pictures of one source from a thread of its own, which runs within the `with` block."""

    def __init__(self, source: Source, ledger: Ledger, progress: Progress) -> None:
        self._captures, self._over = CaptureQueue(source.when_full, size=2), threading.Event()
        self._ledger, self._progress = ledger, progress
        self._is_live = source.when_full is WhenFull.DROP_OLDEST
        self._counted = 0
        self.ended = False
        """`next` has found that no picture will come any more, and that no error was the reason."""
        self._thread = threading.Thread(
            target=feed, args=(source, self._captures, self._over), name="capture", daemon=True
        )

    def next(self, timeout_s: float) -> Capture | None:
        """Return the next picture, or None when none came in time or none will come (`ended`).

        Raises: the error with which the source ended, after its last picture.
        """
        self._progress.hungry()
        try:
            capture = self._captures.take(timeout_s)
            if capture is None and self._captures.ended:
                self._captures.take(0)  # raises what the source may have ended with just now
                self.ended = True
        except HeadwaterError as error:
            self._progress.failure = str(error)
            raise
        finally:
            self._count_stale()
        if capture is not None:
            self._progress.fed()
            if self._is_live:
                self._progress.sameness.saw(capture.picture)
        return capture

    def _count_stale(self) -> None:
        """Count pictures that a camera took while the head was busy: captured, and dropped because stale."""
        stale = self._captures.dropped - self._counted
        if stale:
            self._counted += stale
            self._ledger.captured(stale)
            self._ledger.dropped("stale", stale)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.fed()
        self._over.set()
        self._captures.end()
        self._count_stale()
        self._thread.join(SOURCE_CLOSE_S)
