"""The site, put together from its parts; nothing happens at import."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dash import Dash
from fastapi import FastAPI, Response

from headwater.clock import StageClock
from headwater.prometheus import CONTENT_TYPE
from headwater.sight import Sight
from headwater.traces import Tell
from headwater.verdict import UNWELL_AFTER_S
from visualizer import callbacks, live
from visualizer.devices import Devices
from visualizer.door import sign_in
from visualizer.door.entrance import Entrance
from visualizer.door.gate import Gate
from visualizer.door.visitor import Tokens
from visualizer.metrics import SiteSight
from visualizer.pages import shell
from visualizer.reader import Follower, Store
from visualizer.security import KnownHosts, SecurityHeaders, content_policy
from visualizer.settings import OSM_TILES
from visualizer.traces import SiteTraces
from visualizer.window import CAPACITY, Window

HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Site:
    """A whole site: `asgi` is what a web server runs between `start` and `stop`."""

    asgi: Any
    dash: Dash
    window: Window
    follower: Follower
    devices: Devices
    entrance: Entrance
    sight: Sight
    """What it tells of itself, at /metrics and /health."""

    def start(self) -> None:
        """Begin to follow the store and to listen to the devices; neither has to be there yet."""
        self.follower.start()
        self.devices.start()
        if self.entrance.setter:
            self.entrance.setter.start()

    def stop(self) -> None:
        """End both."""
        if self.entrance.setter:
            self.entrance.setter.stop()
        self.devices.stop()
        self.follower.stop()


def create_app(
    store: Store,
    devices: Devices,
    *,
    fleet: str = "demo",
    window_frames: int = CAPACITY,
    tiles: str = OSM_TILES,
    known_hosts: bool = True,
    public_name: str = "",
    unwell_after_s: float = UNWELL_AFTER_S,
    tell: Tell | None = None,
    entrance: Entrance | None = None,
) -> Site:
    """Return the site of one fleet; `tiles` is a tile address, or nothing for a site that never asks for tiles.

    With `known_hosts` it answers only under a loopback name and under `public_name`; `tell` takes spans. Without an
    entrance everybody may look.
    """
    entrance = entrance or Entrance()
    window, bell = Window(window_frames), live.Bell()
    follower = Follower(store, window)
    follower.on_change = devices.on_change = bell.ring
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app = _dash(server, fleet, tiles, asks_who=entrance.login is not None)
    source = callbacks.Source(store, window, devices, fleet, time.time_ns, bell.ring, entrance.setter is not None)
    callbacks.register(app, source)
    news = live.News(window, devices, lambda: follower.connection)
    pushed = live.Live(news, bell)
    server.add_api_websocket_route(live.PATH, pushed.__call__)
    if tell is not None:
        follower.traces = traces = SiteTraces(tell, StageClock().now_ns)
        pushed.on_pushed = traces.pushed
    sight = SiteSight(fleet, follower, devices, lambda: pushed.open, unwell_after_s).sight
    _tell(server, sight)
    inside = _behind(entrance, server, devices)
    answering = KnownHosts(inside, public_name) if known_hosts else inside
    policy = content_policy(app.csp_hashes(), tiles)
    private, is_https = entrance.login is not None, entrance.proxies.is_https
    asgi = SecurityHeaders(answering, policy, private=private, is_https=is_https)
    return Site(asgi, app, window, follower, devices, entrance, sight)


def _behind(entrance: Entrance, server: FastAPI, devices: Devices) -> Any:
    """Return the site behind its login, if it has one, with the pages at the door."""
    login, proxies, tokens = entrance.login, entrance.proxies, Tokens()
    if login is None:
        return _OnePage(server)
    server.router.routes.extend(sign_in.routes(login, proxies, tokens))
    if entrance.setter is not None:
        from visualizer.door.set_device import SetDevice  # brings the models, whose cut points it offers

        server.router.routes.extend(SetDevice(entrance.setter, devices, proxies, tokens).routes())
    return Gate(_OnePage(server), login)


def _tell(server: FastAPI, sight: Sight) -> None:
    """Give the site its two addresses for those who watch over it."""

    async def metrics() -> Response:
        return Response(sight.metrics(), media_type=CONTENT_TYPE)

    async def health() -> Response:
        found = sight.health()
        return Response(found.as_json(), found.http_status, media_type="application/json")

    server.add_api_route("/metrics", metrics, include_in_schema=False)
    server.add_api_route("/health", health, include_in_schema=False)


def _dash(server: FastAPI, fleet: str, tiles: str, *, asks_who: bool) -> Dash:
    app = Dash(
        __name__,
        server=False,  # given an instance, Dash would load Flask to see whether it is one
        backend="fastapi",
        title=f"Headwater {fleet}",
        update_title="",
        assets_folder=str(HERE / "assets"),
        assets_ignore=r".*\.(md|json)$",
        meta_tags=[
            {"name": "viewport", "content": "width=device-width, initial-scale=1"},
            {"name": "color-scheme", "content": "light dark"},
            {"name": "headwater-tiles", "content": tiles},
            *([{"name": "headwater-login", "content": "yes"}] if asks_who else []),
        ],
        suppress_callback_exceptions=True,
        compress=True,
        add_log_handler=False,
    )
    app.init_app(server)
    app.backend.websocket_capability = False  # or every browser opens a second websocket that carries nothing
    app.layout = shell.layout(fleet)
    return app


class _OnePage:
    """ASGI middleware: the address of every page is answered with the one page that holds them all.

    Dash would need its catch-all route for this, which answers at every address there is.
    """

    def __init__(self, app: Any) -> None:
        self._app, self._addresses = app, {path for path, _, _ in shell.PAGES}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and scope["path"] in self._addresses:
            scope = {**scope, "path": "/", "raw_path": b"/"}
        await self._app(scope, receive, send)
