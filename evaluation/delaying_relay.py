"""A relay that makes one TCP connection long: what passes arrives later by a set time, in order, at the rate it came.

    python -m evaluation.delaying_relay ADDRESS PORT DELAY_S

listens at a free port of ADDRESS, which it prints, and passes the first connection on to PORT there, for `headwater
evaluate links`. For kernels without netem.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import sys
import threading
import time
from typing import Final

CHUNK_BYTES: Final = 1 << 18
MOST_CHUNKS: Final = 4096
"""Held in one direction at most; then the sender waits."""


def hold(source: socket.socket, sink: socket.socket, delay_s: float) -> None:
    """Pass one direction on until it ends, each chunk `delay_s` after it came."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(MOST_CHUNKS)
    taker = threading.Thread(target=_take, args=(source, waiting, delay_s), daemon=True)
    taker.start()
    with contextlib.suppress(OSError):
        while True:
            due_s, chunk = waiting.get()
            time.sleep(max(0.0, due_s - time.monotonic()))
            if not chunk:
                sink.shutdown(socket.SHUT_WR)
                break
            sink.sendall(chunk)


def _take(source: socket.socket, waiting: queue.Queue[tuple[float, bytes]], delay_s: float) -> None:
    chunk = b"."
    while chunk:
        try:
            chunk = source.recv(CHUNK_BYTES)
        except OSError:
            chunk = b""
        waiting.put((time.monotonic() + delay_s, chunk))


def relay(near: socket.socket, far: socket.socket, delay_s: float) -> None:
    """Pass both directions on until both have ended."""
    for one in (near, far):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    back = threading.Thread(target=hold, args=(far, near, delay_s), daemon=True)
    back.start()
    hold(near, far, delay_s)
    back.join()


def serve(address: str, port: int, delay_s: float) -> None:
    """Relay one connection until it ends; the port is printed first."""
    with socket.create_server((address, 0)) as server:
        print(f"port {server.getsockname()[1]}", flush=True)  # noqa: T201  the parent reads it
        near, _ = server.accept()
    with near, socket.create_connection((address, port)) as far:
        relay(near, far, delay_s)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
