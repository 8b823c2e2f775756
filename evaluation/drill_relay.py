"""A relay between a client and a server that can be cut, slow, lossy, or swallow everything without closing."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from random import Random
from typing import Final, Self

CHUNK_BYTES: Final = 1 << 16
MOST_CHUNKS: Final = 256
"""Held in one direction at most; then the sender waits."""
STALL_S: Final = (0.2, 1.5)
"""How long a lossy line stalls, as TCP does until it has sent a packet again."""
BREAKS: Final = 0.05
"""In so many of these cases it breaks instead."""
START_S: Final = 10.0


class Relay:
    """Passes every connection to its port on to a server, until it is told to do otherwise."""

    def __init__(self, host: str, port: int, chance: Random, listener: socket.socket | None = None) -> None:
        """Listen, on a free port of loopback unless there is a listener, for connections to that server."""
        self._to, self._chance = (host, port), chance
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()[:2]
        self.delay_s = 0.0
        """Of what passes, each way."""
        self.stalls = 0.0
        """The share of pieces at which a line stalls or breaks."""
        self._is_cut = False
        self._lines: set[_Line] = set()
        self._over, self._listens = asyncio.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="relay", daemon=True)
        self._thread.start()
        self._listens.wait(START_S)

    def cut(self) -> None:
        """Break every connection, and new ones at once."""
        self._is_cut = True
        self._call(self._break_all)

    def mend(self) -> None:
        """Let new connections pass again."""
        self._is_cut = False

    def deafen(self) -> None:
        """Swallow from now on what comes over the connections that there are, both ways; new ones pass."""
        self._call(self._deafen_all)

    def close(self) -> None:
        """Break every connection and stop listening."""
        self._call(self._over.set)
        self._thread.join(START_S)

    def _call(self, what: Callable[[], object]) -> None:
        """Have the relay's own thread do something, and wait for it."""
        done = threading.Event()

        def do() -> None:
            what()
            done.set()

        self._loop.call_soon_threadsafe(do)
        done.wait(START_S)

    def _deafen_all(self) -> None:
        for line in self._lines:
            line.is_deaf = True

    def _break_all(self) -> None:
        for line in list(self._lines):
            line.abort()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._take, sock=self._listener)
        self._listens.set()
        await self._over.wait()
        server.close()
        while self._lines:
            self._break_all()
            await asyncio.sleep(0.01)

    async def _take(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        try:
            if self._is_cut:
                raise ConnectionRefusedError
            far_in, far_out = await asyncio.open_connection(*self._to)
        except OSError:
            near_out.transport.abort()
            return
        line = _Line(near_out, far_out)
        self._lines.add(line)
        if self._is_cut:
            line.abort()
        ways = [self._pass(line, near_in, far_out), self._pass(line, far_in, near_out)]
        both = [asyncio.ensure_future(way) for way in ways]
        await line.ended.wait()
        line.abort()
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        self._lines.discard(line)

    async def _pass(self, line: _Line, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass one direction on until it ends, each piece the delay after it came."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MOST_CHUNKS)
        giving = asyncio.ensure_future(self._give(line, waiting, sink))
        try:
            chunk = b"."
            while chunk:
                try:
                    chunk = await source.read(CHUNK_BYTES)
                except OSError:
                    chunk = b""
                await waiting.put((self._loop.time() + self.delay_s, chunk))
            await giving
        finally:
            giving.cancel()

    async def _give(self, line: _Line, waiting: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        """Hand on what waits until its end, of which nobody hears at the other side of a deaf line."""
        chunk = b"."
        while chunk:
            due_s, chunk = await waiting.get()
            await asyncio.sleep(max(0.0, due_s - self._loop.time()))
            if self._chance.random() < self.stalls:
                await asyncio.sleep(self._chance.uniform(*STALL_S))
                if self._chance.random() < BREAKS:
                    break
            if not line.is_deaf:
                try:
                    sink.write(chunk)
                    await sink.drain()
                except OSError:
                    break
        if not line.is_deaf:
            line.ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Line:
    """One connection and its other half."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._ends = near, far
        self.is_deaf, self.ended = False, asyncio.Event()

    def abort(self) -> None:
        self.ended.set()
        for end in self._ends:
            end.transport.abort()
