"""How long one connection may take, how much it may send, and how many there may be.

Uvicorn waits for a request's first lines, and for its body, for ever: a few hundred clients that send a byte a minute
(slow loris) would keep everybody else out. With httptools it keeps headers of any length, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

ARRIVE_S: Final = 10.0
"""So long a request may take to arrive, from the connection, or from its first byte, to its last."""
ANSWER_S: Final = 60.0
"""So long an answer may take, until whoever asked has taken it."""
MOST_HEAD_BYTES: Final = 65_536
"""Of a request's first line and headers, give or take what comes in one piece."""
MOST_BODY_BYTES: Final = 4_000_000
"""Of a request; a page that knows ten thousand devices sends their names."""
MOST_CONNECTIONS: Final = 500
MOST_OF_ONE: Final = 100
"""From one address; a proxy asks for many people and is not held to it."""


class PatientProtocol(HttpToolsProtocol):
    """A connection that is cut when it takes too long or sends too much, and not begun where there are too many."""

    is_proxy: Callable[[str], bool] = staticmethod(lambda address: False)
    arrive_s, answer_s = ARRIVE_S, ANSWER_S
    most, most_of_one = MOST_CONNECTIONS, MOST_OF_ONE
    _deadline: asyncio.TimerHandle | None = None
    _is_draining = False
    """Whether the answer is out of the site's hands, and whoever asked has not taken it yet."""
    _in_head, _heads, _head_bytes, _body_bytes = True, 0, 0, 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # theirs, too
        """Begin, or hang up where there are enough connections."""
        super().connection_made(transport)
        if len(self.connections) > self.most or self._is_one_too_many():
            transport.abort()
        else:
            self._end_in(self.arrive_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._end_in(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take some bytes; with the first of a request its time begins."""
        if self._deadline is None or self._is_draining:
            self._end_in(self.arrive_s)
        heads = self._heads
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._in_head and self._heads == heads else 0
        if self._head_bytes > MOST_HEAD_BYTES:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """The head has arrived: the body begins."""
        self._in_head, self._heads, self._body_bytes = False, self._heads + 1, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, as long as it is not too long."""
        self._body_bytes += len(body)
        if self._body_bytes > MOST_BODY_BYTES:
            self.transport.abort()
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has arrived: now its answer has time."""
        self._in_head = True
        self._end_in(self.answer_s)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is out; what the client has sent behind it has the same time again.

        One that is not taken yet keeps its time.
        """
        if self.pipeline or not self.flow.write_paused:
            self._end_in(self.answer_s if self.pipeline else None)
        else:
            self._is_draining = True
        super().on_response_complete()

    def resume_writing(self) -> None:
        """What was answered has been taken, all but a little."""
        super().resume_writing()
        if self._is_draining:
            self._end_in(None)

    def handle_websocket_upgrade(self) -> None:
        """From now on it is a websocket, with times of its own."""
        self._end_in(None)
        super().handle_websocket_upgrade()

    def _is_one_too_many(self) -> bool:
        if self.client is None or self.is_proxy(self.client[0]):
            return False
        address = self.client[0]
        same = [one for one in self.connections if (getattr(one, "client", None) or ("",))[0] == address]
        return len(same) > self.most_of_one

    def _end_in(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._is_draining = False
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


def patient(is_proxy: Callable[[str], bool], **limits: Any) -> type[PatientProtocol]:
    """Return the protocol for a site with these proxies, and with other limits where they are said."""
    return type("Patient", (PatientProtocol,), {"is_proxy": staticmethod(is_proxy), **limits})
