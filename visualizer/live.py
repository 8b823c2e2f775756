"""Pushes news to every browser over a websocket, at most four times a second each.

Not through Dash's own websocket callbacks: in Dash 4.4 those need a SharedWorker (most phones have none), give up ten
tries after the site went away, and merge what one batch sets on one element, so that frames would be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from visualizer.devices import Devices
from visualizer.fleet_map import rows
from visualizer.reader import Connection
from visualizer.security import same_origin
from visualizer.window import Window

PUSH_EVERY_S: Final = 0.25
LOOK_EVERY_S: Final = 0.05
"""So often one browser's task looks for news, and takes its words, at most."""
LARGEST_WORD: Final = 256
MOST_BROWSERS: Final = 200
PATH: Final = "/live"


class Bell:
    """Wakes the browsers' tasks from other threads; ringing costs nothing while nobody listens."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Wake all who listen; from any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._ring_here)

    @contextmanager
    def heard_by(self, listener: asyncio.Event) -> Iterator[None]:
        """Have every ring set the event; other things may set it too."""
        self._loop = asyncio.get_running_loop()
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    def _ring_here(self) -> None:
        for listener in self._listeners:
            listener.set()


@dataclass
class News:
    """What a browser is told: everything that all browsers share."""

    window: Window
    devices: Devices
    store: Callable[[], Connection]

    def header(self) -> dict[str, Any]:
        """Return the counts and connections in the page's header."""
        broker = self.devices.connection
        heard = self.devices.heard()
        return {
            "frames": self.window.seen,
            "refused": self.window.refused,
            "devices": len(heard),
            "online": sum(one.status.online for one in heard),
            "store": _connection(self.store()),
            "broker": _connection(broker) if broker else None,
        }


@dataclass
class Browser:
    """What one browser knows already, and which frame it looks at."""

    serial: int = -1
    palette: int = -1
    window_version: int = -1
    devices_version: int = -1
    header: dict[str, Any] | None = None
    watched: str | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, query: Mapping[str, str], run: str) -> Browser:
        """Return a browser that comes back to the same run with what it has, or a new one."""
        after = query.get("after", "")
        return cls(serial=int(after) if query.get("run") == run and after.isdecimal() and len(after) < 16 else -1)

    def news(self, source: News) -> dict[str, Any]:
        """Return what this browser does not know yet, and remember that it does now."""
        window = source.window
        told: dict[str, Any] = {}
        header = source.header()
        if header != self.header:
            self.header = told["header"] = header
        if window.version != self.window_version:
            self.window_version = told["version"] = window.version
            told |= self._frames(window)
        if source.devices.version != self.devices_version:
            self.devices_version = told["statuses"] = source.devices.version
        if self.watched and window.journey(self.watched):
            told["journey"], self.watched = self.watched, None
        return told

    def _frames(self, window: Window) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if self.serial < 0 or not window.holds_all_after(self.serial):
            told |= {"reset": True, "run": window.run, "capacity": window.capacity}
            self.serial, self.palette = -1, -1
        fresh = window.after(self.serial)
        if fresh:
            self.serial = fresh[-1].serial
            told |= {"rows": rows(fresh), "serial": self.serial}
        if window.palette.version != self.palette:
            self.palette, told["tasks"] = window.palette.version, window.palette.legend()
        return told


class Live:
    """The websocket route."""

    def __init__(self, source: News, bell: Bell) -> None:
        self._source, self._bell, self.open = source, bell, 0
        self.on_pushed: Callable[[int], None] = lambda serial: None
        """Called with the serial of the newest frame that a browser has been sent."""

    async def __call__(self, websocket: WebSocket) -> None:
        """Serve one browser until it goes."""
        if not same_origin(websocket.headers) or self.open >= MOST_BROWSERS:
            await websocket.close(code=1008)
            return
        self.open += 1
        try:
            await websocket.accept()
            await self._serve(websocket)
        finally:
            self.open -= 1

    async def _serve(self, websocket: WebSocket) -> None:
        browser = Browser.of(websocket.query_params, self._source.window.run)
        tasks = [asyncio.create_task(side(websocket, browser)) for side in (self._tell, self._listen)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, websocket: WebSocket, browser: Browser) -> None:
        with self._bell.heard_by(browser.wake):
            while True:
                browser.wake.clear()
                news = browser.news(self._source)
                if news:
                    await websocket.send_text(msgspec.json.encode(news).decode())
                self.on_pushed(browser.serial)
                await asyncio.sleep(PUSH_EVERY_S if news else LOOK_EVERY_S)
                await browser.wake.wait()

    async def _listen(self, websocket: WebSocket, browser: Browser) -> None:
        try:
            while True:
                browser.watched = (await websocket.receive_text())[:LARGEST_WORD] or None
                browser.wake.set()
                await asyncio.sleep(LOOK_EVERY_S)
        except (WebSocketDisconnect, RuntimeError, KeyError):  # gone, or no text
            return


def _connection(connection: Connection) -> dict[str, Any]:
    return {"there": connection.there, "since_ms": connection.since_ns // 1_000_000}
