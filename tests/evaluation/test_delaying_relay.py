"""The relay: what passes comes whole, in order, later, and both ways."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from evaluation.delaying_relay import relay


@contextmanager
def relayed(delay_s: float) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a TCP connection with a relay in its middle; afterwards the relay has ended."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        device = socket.create_connection(first.getsockname())
        near, _ = first.accept()
        far = socket.create_connection(second.getsockname())
        worker, _ = second.accept()
    thread = threading.Thread(target=relay, args=(near, far, delay_s), daemon=True)
    thread.start()
    with device, worker, near, far:
        device.settimeout(20)
        worker.settimeout(20)
        yield device, worker
        device.close()
        worker.close()
        thread.join(20)
        assert not thread.is_alive()


def received(stream: socket.socket, count: int) -> bytes:
    """Return so many bytes."""
    with stream.makefile("rb") as file:
        return file.read(count)


@pytest.mark.parametrize("delay_s", [0.0, 0.05])
def test_both_directions_take_the_delay(delay_s: float) -> None:
    """A message and its answer are there no sooner than twice the delay."""
    with relayed(delay_s) as (device, worker):
        began_s = time.monotonic()
        device.sendall(b"frame")
        assert received(worker, 5) == b"frame"
        one_way_s = time.monotonic() - began_s
        worker.sendall(b"answer")
        assert received(device, 6) == b"answer"
        assert one_way_s >= delay_s
        assert time.monotonic() - began_s >= 2 * delay_s


def test_what_is_under_way_together_is_held_together() -> None:
    """Much in many pieces comes whole and in order, and the delay counts once, not for each piece."""
    sent, pieces, delay_s = np.random.default_rng(1).bytes(8_000_000), 200, 0.05
    with relayed(delay_s) as (device, worker):
        sender = threading.Thread(
            target=lambda: [device.sendall(sent[at : at + 40_000]) for at in range(0, len(sent), 40_000)], daemon=True
        )
        began_s = time.monotonic()
        sender.start()
        assert received(worker, len(sent)) == sent
        assert delay_s <= time.monotonic() - began_s < delay_s * pieces
        sender.join(20)


def test_an_end_passes_after_what_came_before_it() -> None:
    """A device that has sent its last is still answered."""
    with relayed(0.02) as (device, worker):
        device.sendall(b"last")
        device.shutdown(socket.SHUT_WR)
        with worker.makefile("rb") as file:
            assert file.read() == b"last"
        worker.sendall(b"heard")
        assert received(device, 5) == b"heard"
