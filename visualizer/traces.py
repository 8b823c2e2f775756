"""What the site tells of a traced frame: when it read it from the store, and when the first browser was sent it.

Only of frames that it reads as they are stored: of what it catches up with at its start, or after an absence of the
store, the times would say when the site came, not how long the frame took. Whether a browser has drawn a frame, nobody
here knows.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import UnsetType

from headwater.messages import Record
from headwater.trace_context import TraceContext, read_traceparent
from headwater.traces import Span, Tell, new_span_id

MOST_WAITING: Final = 1024
"""So many frames that no browser has been sent yet are remembered, the newest."""


class _Waiting(NamedTuple):
    serial: int
    read: Span


class SiteTraces:
    """Tells of frames as the site takes them in and hands them on. Any thread may use it."""

    def __init__(self, tell: Tell, now_ns: Callable[[], int]) -> None:
        self._tell, self.now_ns = tell, now_ns
        self._waiting: deque[_Waiting] = deque(maxlen=MOST_WAITING)
        self._lock = threading.Lock()

    def read(self, record: Record, serial: int, came_ns: int) -> None:
        """Tell of a record that came from the store at `came_ns` and is the window's frame number `serial` now."""
        came = record.traceparent
        parent = None if isinstance(came, UnsetType) else read_traceparent(came)
        if parent is None or not parent.is_sampled:
            return
        span = _read_span(record, parent, came_ns, self.now_ns())
        with self._lock:
            self._waiting.append(_Waiting(serial, span))
        self._tell([span])

    def pushed(self, serial: int) -> None:
        """Tell of the frames up to number `serial`: a browser has been sent them just now, or before."""
        now_ns, sent = self.now_ns(), []
        with self._lock:
            while self._waiting and self._waiting[0].serial <= serial:
                sent.append(self._waiting.popleft().read)
        if sent:
            self._tell([_push_span(read, max(now_ns, read.end_ns)) for read in sent])


def _read_span(record: Record, parent: TraceContext, came_ns: int, now_ns: int) -> Span:
    facts = {
        "headwater.fleet": record.fleet,
        "headwater.device": record.device,
        "headwater.frame.id": f"{record.device}-{record.boot}-{record.sequence}",
    }
    return Span("read", parent.trace_id, new_span_id(), parent.span_id, came_ns, now_ns, "consumer", facts)


def _push_span(read: Span, now_ns: int) -> Span:
    return Span("push", read.trace_id, new_span_id(), read.span_id, read.end_ns, now_ns)
