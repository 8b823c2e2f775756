"""The relay of the drills, with real connections on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from random import Random

import pytest

from evaluation.drill_relay import Relay


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what comes, over as many connections as are made."""

    def answer(line: socket.socket) -> None:
        with line:
            try:
                while chunk := line.recv(65536):
                    line.sendall(chunk)
            except OSError:
                pass

    def serve(server: socket.socket) -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(line,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.fixture
def relay(echo: int) -> Iterator[Relay]:
    """A relay to it."""
    with Relay("127.0.0.1", echo, Random(1)) as found:
        yield found


def line_to(relay: Relay) -> socket.socket:
    """Return a connection to a relay."""
    return socket.create_connection(("127.0.0.1", relay.port), timeout=10)


def said(line: socket.socket, what: bytes) -> bytes:
    """Say something and return what comes back; nothing where the line is broken."""
    try:
        line.sendall(what)
        got = b""
        while len(got) < len(what) and (chunk := line.recv(65536)):
            got += chunk
    except ConnectionError:
        return b""
    return got


def test_it_passes_on_what_comes(relay: Relay) -> None:
    """Several connections at once, much at once, both ways."""
    with line_to(relay) as one, line_to(relay) as other:
        assert said(one, b"frame") == b"frame"
        assert said(other, bytes(500_000)) == bytes(500_000)
        assert said(one, b"again") == b"again"


def test_a_cut_breaks_all_and_refuses_new_ones(relay: Relay) -> None:
    """Until it is mended; then new connections pass."""
    with line_to(relay) as line:
        assert said(line, b"frame") == b"frame"
        relay.cut()
        assert said(line, b"frame") == b""
    with line_to(relay) as late:
        assert said(late, b"frame") == b""
    relay.mend()
    with line_to(relay) as again:
        assert said(again, b"frame") == b"frame"


def test_a_delay_counts_each_way(relay: Relay) -> None:
    """A message and its answer take twice the delay."""
    relay.delay_s = 0.1
    with line_to(relay) as line:
        began_s = time.monotonic()
        assert said(line, b"frame") == b"frame"
        assert time.monotonic() - began_s >= 0.2


def test_a_half_open_connection_swallows_and_does_not_close(relay: Relay) -> None:
    """Nothing comes back and nothing is refused; a new connection passes."""
    with line_to(relay) as line:
        assert said(line, b"frame") == b"frame"
        relay.deafen()
        line.sendall(b"into the void")
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.recv(1)
        with line_to(relay) as new:
            assert said(new, b"frame") == b"frame"


def test_a_lossy_line_stalls_or_breaks(relay: Relay) -> None:
    """At every piece, when told so: late or never, and whole again afterwards."""
    relay.stalls = 1.0
    with line_to(relay) as line:
        began_s = time.monotonic()
        got = said(line, b"frame")
        assert got in {b"", b"frame"}
        assert got == b"" or time.monotonic() - began_s >= 0.4
    relay.stalls = 0.0
    with line_to(relay) as line:
        assert said(line, b"frame") == b"frame"


def test_a_server_that_is_not_there_is_a_broken_line(relay: Relay, echo: int) -> None:
    """As a refused connection would be."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with Relay("127.0.0.1", port, Random(1)) as nowhere, line_to(nowhere) as line:
        assert said(line, b"frame") == b""


def test_it_ends_with_its_connections(echo: int) -> None:
    """Nothing listens afterwards, and who was connected is told."""
    with Relay("127.0.0.1", echo, Random(1)) as relay:
        line = line_to(relay)
        assert said(line, b"frame") == b"frame"
    with line:
        assert said(line, b"frame") == b""
    with pytest.raises(ConnectionRefusedError):
        line_to(relay)
