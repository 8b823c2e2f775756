"""HTTP/1.1 as a worker speaks it: who is slow is cut off."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits only so long for a request's head, and for its answer to be taken; uvicorn would for ever."""

    head_s: float = 30.0
    _deadline: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # writing pauses as soon as a client does not take all at once
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; a head that is complete ends the wait, the first bytes of the next one begin it."""
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_head()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._end_wait()

    def pause_writing(self) -> None:
        """Begin to wait for an answer to be taken; a close would wait for that too."""
        super().pause_writing()
        self._taking = self._taking or self.loop.call_later(self.head_s, self.transport.abort)

    def resume_writing(self) -> None:
        """End that wait: the answer is taken."""
        self._end_taking()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End both waits with the connection."""
        self._end_wait()
        self._end_taking()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._deadline = self.loop.call_later(self.head_s, self.transport.close)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
