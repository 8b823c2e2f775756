"""The worker of `headwater evaluate regret`: frames over one connection, each answered with how long it took.

A message is a letter, four bytes of length and so many bytes: P a split to make ready (JSON), F a frame as it is
published, N nothing but bytes. The answer is a line of JSON. Only the command's own device, in a namespace of its own,
can reach it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from pathlib import Path
from typing import IO, Final

import msgspec

from cloud_worker.inbox import Delivery
from cloud_worker.library import Library
from cloud_worker.tail import Finisher
from headwater.messages import Frame, decode
from headwater.session import Received
from headwater.topics import Topics
from models.engine import Engine

HEADER: Final = struct.Struct("!cI")
MOST_BYTES: Final = 1 << 28


class Ready(msgspec.Struct):
    """A split to make ready."""

    digest: str
    name: str
    split: str


class Took(msgspec.Struct):
    """How long the worker's stages took."""

    decode_s: float = 0.0
    tail_s: float = 0.0


class _Worker:
    def __init__(self, folders: list[Path]) -> None:
        self._library = Library(folders, lambda b: Engine(b.model_path, outputs=b.finals, max_cached_parts=1), keep=1)
        self._finisher = Finisher(self._library, Topics("regret"), MOST_BYTES, time.monotonic_ns)

    def answer(self, kind: bytes, payload: bytes) -> Took:
        if kind == b"P":
            wanted = msgspec.json.decode(payload, type=Ready)
            model = self._library.model(wanted.digest, wanted.name)
            if wanted.split == "image":
                model.runner.whole()
            elif wanted.split != "device":
                model.tail(wanted.split)
        return self._finished(payload) if kind == b"F" else Took()

    def _finished(self, payload: bytes) -> Took:
        now_ns = time.monotonic_ns()
        delivery = Delivery(Received("frame", payload, 1, 0, 0), now_ns, now_ns)
        work = self._finisher.prepare(delivery, decode(Frame, payload, MOST_BYTES))
        self._finisher.run(work)
        return Took(work.stages_ns.get("decode", 0) / 1e9, work.stages_ns.get("tail", 0) / 1e9)


def _message(stream: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Return the next message, None at the end."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    kind, length = HEADER.unpack(header)
    payload = stream.read(length) if length <= MOST_BYTES else b""
    return (kind, payload) if len(payload) == length else None


def serve(address: str, folders: list[Path]) -> None:
    """Answer one connection until it ends; the port is printed first."""
    worker = _Worker(folders)
    with socket.create_server((address, 0)) as server:
        print(f"port {server.getsockname()[1]}", flush=True)  # noqa: T201  the parent reads it
        connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as stream:
        while found := _message(stream):
            connection.sendall(msgspec.json.encode(worker.answer(*found)) + b"\n")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(sys.argv[1], [Path(name) for name in sys.argv[2:]])
