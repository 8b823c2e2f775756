"""Acknowledgements in the order in which their messages came in, whatever the order in which these were finished."""

from __future__ import annotations

import threading
from collections import deque


class AckOrder:
    """Holds an acknowledgement back until those of all earlier messages are due too; for any thread.

    Source: MQTT 5.0, section 4.6: PUBACKs are sent in the order of the PUBLISH packets. iotcore cuts a client off that
    sends them otherwise.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._came: deque[int] = deque()
        self._done: set[int] = set()

    def came(self, mid: int) -> None:
        """Note a message that will have to be acknowledged."""
        with self._lock:
            self._came.append(mid)

    def done(self, mid: int) -> list[int]:
        """Note that a message is finished, and return those that are to be acknowledged now, in order."""
        due = []
        with self._lock:
            self._done.add(mid)
            while self._came and self._came[0] in self._done:
                due.append(self._came.popleft())
                self._done.discard(due[-1])
        return due

    def forget(self) -> None:
        """Begin anew: a new connection knows nothing of the messages of the one before."""
        with self._lock:
            self._came.clear()
            self._done.clear()
