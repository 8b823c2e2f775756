"""How long one connection may take, how much it may send, and how many there may be.

Uvicorn waits for a request's first lines, for its body, and for the answer to be taken, for ever: a few hundred clients
that send a byte a minute (slow loris), or read none, would keep everybody else out. With httptools it keeps headers of
any length, too, and takes those that come behind a body for the request's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from visualizer.door.proxies import place

ARRIVE_S: Final = 10.0
"""So long a request may take to arrive, from the connection, or from its first byte, to its last."""
ANSWER_S: Final = 60.0
"""So long an answer may take, until whoever asked has taken it."""
MOST_HEAD_BYTES: Final = 65_536
"""Of a request's first line and headers, or of what comes instead of its body, give or take what comes in one piece."""
MOST_BODY_BYTES: Final = 4_000_000
"""Of a request; a page that knows ten thousand devices sends their names."""
MOST_CONNECTIONS: Final = 500
MOST_OF_ONE: Final = 100
"""From one place, an address or a subnet of IPv6; a proxy asks for many people and is not held to it."""


class PatientProtocol(HttpToolsProtocol):
    """A connection that is cut when it takes too long or sends too much, and not begun where there are too many."""

    is_proxy: Callable[[str], bool] = staticmethod(lambda address: False)
    arrive_s, answer_s = ARRIVE_S, ANSWER_S
    most, most_of_one = MOST_CONNECTIONS, MOST_OF_ONE
    _deadline: asyncio.TimerHandle | None = None
    _is_answered = False
    """Whatever was asked: the deadline is only for what of it the client has not taken."""
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
        if self._deadline is None or self._is_answered:
            self._end_in(self.arrive_s)
        self._is_answered = False
        before = self._heads, self._body_bytes
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if before == (self._heads, self._body_bytes) else 0
        if self._head_bytes > MOST_HEAD_BYTES:
            self.transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of the head. One behind the body (a trailer) is nothing that a page or a proxy sends.

        It would pass for what a proxy says of the request. Source: RFC 9110, section 6.5.1.
        """
        if self._in_head:
            super().on_header(name, value)
        else:
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
        if not self.transport.is_closing():  # else it was cut in the middle, and what there is of it is no request
            self._end_in(self.answer_s)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is out, though perhaps not taken; what the client has sent behind it has the same time again."""
        self._is_answered = not self.pipeline
        if self.pipeline:
            self._end_in(self.answer_s)
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """From now on it is a websocket, with times of its own."""
        self._end_in(None)
        super().handle_websocket_upgrade()

    def _is_one_too_many(self) -> bool:
        if self.client is None or self.is_proxy(self.client[0]):
            return False
        mine = place(self.client[0])
        clients = [getattr(one, "client", None) for one in self.connections]
        return sum(place(client[0]) == mine for client in clients if client) > self.most_of_one

    def _end_in(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        """Hang up, unless all is answered and taken: then the connection only waits for another request."""
        self._deadline = None
        if not self._is_answered or self.transport.get_write_buffer_size():
            self.transport.abort()


def patient(is_proxy: Callable[[str], bool], **limits: Any) -> type[PatientProtocol]:
    """Return the protocol for a site with these proxies, and with other limits where they are said."""
    return type("Patient", (PatientProtocol,), {"is_proxy": staticmethod(is_proxy), **limits})
