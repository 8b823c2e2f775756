"""How long a connection may take, and how many there may be: against a real server with short times."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.servers import eventually, heard
from visualizer.connections import patient

WHOLE = b"GET / HTTP/1.1\r\nHost: site\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n"
SOON_S = 0.3
LONG_S = 30.0
MUCH_BYTES = 50_000_000


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer once the request has come, or never at /never, or with more than anybody takes at /much."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/never":
        await asyncio.Event().wait()
    said = b",".join(name for name, _ in scope["headers"])
    body = b"x" * MUCH_BYTES if scope["path"] == "/much" else b"hello " + said
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def server(is_proxy: bool = False, **limits: Any) -> Iterator[int]:
    """Serve on a free port with these limits."""
    with serving(is_proxy, **limits) as (port, _):
        yield port


@contextmanager
def serving(is_proxy: bool = False, **limits: Any) -> Iterator[tuple[int, uvicorn.Server]]:
    """Serve on a free port with these limits, and show the server."""
    protocol = patient(lambda _address: is_proxy, **{"arrive_s": SOON_S, "answer_s": SOON_S, **limits})
    config = uvicorn.Config(
        hello, http=protocol, log_config=None, lifespan="off", timeout_graceful_shutdown=1, timeout_keep_alive=60
    )
    running = uvicorn.Server(config)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            assert eventually(lambda: running.started)
            yield sock.getsockname()[1], running
        finally:
            running.should_exit = True
            thread.join(10)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)


def ended(sock: socket.socket) -> bool:
    """Read on until the other side hangs up, and return True; a time-out is an error."""
    return heard(sock) is not None


@pytest.mark.parametrize(
    "words",
    [
        b"", b"GET", b"GET / HTTP/1.1\r\nHost: site\r\n", b"\r\n",
        b"POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 100\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ],
)  # fmt: skip
def test_who_does_not_finish_asking_is_cut_off(words: bytes) -> None:
    """Nothing, half a line, half of the head, half of a body: all the same."""
    with server() as port:
        began_s = time.monotonic()
        with connected(port) as sock:
            sock.sendall(words)
            assert ended(sock)
        assert SOON_S * 0.9 <= time.monotonic() - began_s < 5


def test_a_byte_now_and_then_does_not_help() -> None:
    """The time is the request's, not the byte's: slow loris."""
    with server() as port, connected(port) as sock:
        words = b"GET / HTTP/1.1\r\nX: " + 200 * b"y"
        assert dripped(sock, [bytes([byte]) for byte in words], SOON_S / 10) < 40


def dripped(sock: socket.socket, words: Sequence[bytes], every_s: float) -> int:
    """Send one after the other until the other side hangs up, and return how many went out."""
    for sent, word in enumerate(words):
        try:
            sock.sendall(word)
        except (ConnectionResetError, BrokenPipeError):
            return sent
        threading.Event().wait(every_s)
    return len(words)


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("path", [b"/never", b"/much"])
def test_an_answer_that_takes_too_long_is_cut_off(path: bytes, more: bytes) -> None:
    """Because the site does not finish it, or because nobody takes it: the place is free before anything is read."""
    with serving() as (port, running), connected(port) as sock:
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: site\r\n%s\r\n" % (path, more))
        assert eventually(lambda: running.server_state.total_requests or path == b"/never")
        assert eventually(lambda: not running.server_state.connections, 4.0)  # uvicorn itself gives up after 5 s
        assert len(heard(sock)) < MUCH_BYTES


def test_who_takes_a_large_answer_in_time_may_ask_again() -> None:
    """The time of an answer ends when it is taken; what follows has its own."""
    patience_s = 4.0
    with server(arrive_s=patience_s, answer_s=patience_s) as port, connected(port) as sock:
        sock.sendall(WHOLE.replace(b"/", b"/much", 1))
        size = 0
        while size < 50_000_000:
            more = sock.recv(1_000_000)
            assert more
            size += len(more)
        threading.Event().wait(1.25 * patience_s)
        sock.sendall(WHOLE)
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200")


def test_who_asks_in_time_is_answered_again_and_again() -> None:
    """On one connection, also with pauses longer than a request or an answer may take, and two requests in one go."""
    patience_s = 2.0
    with server(arrive_s=patience_s, answer_s=patience_s) as port, connected(port) as sock:
        for pause_s, words in ((0.0, WHOLE), (1.25 * patience_s, WHOLE + WHOLE), (1.25 * patience_s, WHOLE)):
            threading.Event().wait(pause_s)
            sock.sendall(words)
            got = b""
            while got.count(b"hello") < words.count(b"GET"):
                more = sock.recv(65_536)
                assert more
                got += more


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"GET / HTTP/1.1\r\n", b"X: " + 1000 * b"y" + b"\r\n"), (b"GET /", 1000 * b"y"), (b"", 1000 * b"\r\n"),
        (b"POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 1000000000\r\n\r\n", 64_000 * b"y"),
        (CHUNKED, b"X: " + 1000 * b"y" + b"\r\n"), (CHUNKED + b"X: ", 1000 * b"y"), (CHUNKED[:-3] + b"5;", 1000 * b"y"),
    ],
)  # fmt: skip
def test_who_sends_too_much_is_cut_off(head: bytes, more: bytes) -> None:
    """A first line, headers, a body or what comes behind it without end: the server's memory is not the client's."""
    with server(arrive_s=LONG_S, answer_s=LONG_S) as port, connected(port) as sock:
        sock.sendall(head)
        assert dripped(sock, [more] * 20_000, 0.0) * len(more) < 20_000_000


@pytest.mark.parametrize(
    "trailers", [b"X-Forwarded-For: 6.6.6.6\r\n", b"X-A: b\r\nX-Forwarded-For: 6.6.6.6\r\n", b"X-A:\r\n"]
)
def test_what_comes_behind_a_body_is_no_header(trailers: bytes) -> None:
    """Neither of its own request nor of the next: neither is answered. Without it a body in pieces is as any other."""
    with server() as port, connected(port) as sock:
        sock.sendall(CHUNKED + trailers + b"\r\n" + WHOLE)
        assert heard(sock) == b""
    with server(arrive_s=LONG_S, answer_s=LONG_S) as port, connected(port) as sock:
        sock.sendall(CHUNKED + b"\r\n" + WHOLE)
        got = b""
        while got.count(b"hello") < 2:
            more = sock.recv(65_536)
            assert more, got
            got += more
        assert got.endswith(b"hello host")
        assert b"hello host,transfer-encoding" in got


def test_a_large_form_and_what_follows_it_are_taken() -> None:
    """Half a megabyte in one go, with the next request behind it: neither counts as a head."""
    body = 500_000 * b"y"
    words = b"POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 500000\r\n\r\n" + body + WHOLE
    with server(arrive_s=LONG_S, answer_s=LONG_S) as port, connected(port) as sock:
        sock.sendall(words)
        got = b""
        while got.count(b"hello") < 2:
            more = sock.recv(65_536)
            assert more
            got += more


def held(stack: ExitStack, port: int) -> bool:
    """Open one more connection, which stays, and tell whether it is answered there."""
    sock = stack.enter_context(connected(port))
    try:
        sock.sendall(WHOLE)
        return sock.recv(1) != b""
    except (ConnectionResetError, BrokenPipeError):
        return False


def test_one_address_cannot_take_every_place() -> None:
    """A proxy asks for many and may; all together they are bounded as well."""
    long = {"arrive_s": LONG_S, "answer_s": LONG_S}
    with server(most_of_one=3, **long) as port, ExitStack() as stack:
        assert [held(stack, port) for _ in range(5)] == [True, True, True, False, False]
    with server(is_proxy=True, most_of_one=3, most=4, **long) as port, ExitStack() as stack:
        assert [held(stack, port) for _ in range(6)] == [True, True, True, True, False, False]


class From(asyncio.Transport):
    """A connection from somewhere, without a network."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 4711), "sockname": ("::", 8050)})
        self.is_cut = False

    def abort(self) -> None:
        """Note it."""
        self.is_cut = True


def kept(addresses: Sequence[str]) -> list[bool]:
    """Tell of connections from these addresses, one after the other, which are kept where three of one place may be."""
    protocol = patient(lambda _address: False, most_of_one=3)
    config = uvicorn.Config(hello, http=protocol, log_config=None, lifespan="off")
    state = ServerState()

    async def connect() -> list[bool]:
        transports = [From(address) for address in addresses]
        begun = [protocol(config, state, {}) for _ in transports]
        for one, transport in zip(begun, transports, strict=True):
            one.connection_made(transport)
        for one in begun:
            one.connection_lost(ConnectionResetError())
        return [not transport.is_cut for transport in transports]

    return asyncio.run(connect())


def test_all_addresses_of_a_subnet_are_one_place() -> None:
    """Whoever has one address of IPv6 has as many as there can be; IPv4 is the same however it is written."""
    assert kept([f"2001:db8::{n:x}" for n in range(1, 6)]) == [True, True, True, False, False]
    assert kept([f"2001:db8:0:{n:x}::1" for n in range(5)]) == [True] * 5
    assert kept(["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"]) == [True, True, True, False]
    assert kept([f"192.0.2.{n}" for n in range(5)]) == [True] * 5
