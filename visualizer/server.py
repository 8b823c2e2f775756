"""Runs the site on a port until it is told to stop."""

from __future__ import annotations

import logging
import socket
from typing import Any

import uvicorn

from headwater.host import importing
from headwater.logs import settings_line
from headwater.session import Address
from headwater.settings import store_with_password
from headwater.sight import served
from headwater.traces import Teller, collected
from headwater.web import AnnouncingServer, bind
from visualizer.app import create_app
from visualizer.connections import patient
from visualizer.devices import Devices, NoBroker, StatusReader
from visualizer.door.entrance import Entrance, entrance
from visualizer.live import LARGEST_WORD
from visualizer.reader import RedisStore
from visualizer.security import checked_public_name, is_loopback
from visualizer.settings import SiteSettings

log = logging.getLogger(__name__)


def run(settings: SiteSettings) -> None:
    """Serve the site until SIGTERM or SIGINT. Raises: SettingsError, StoreError."""
    log.info(settings_line(settings))
    public_name = checked_public_name(settings.public_name) if settings.public_name else ""
    teller = Teller("visualizer", socket.gethostname())
    with collected(settings.traces, teller) as tell, bind(settings.host, settings.port) as sock:
        listens_on = sock.getsockname()[0]
        asking = entrance(settings, listens_on)
        with importing():
            site = create_app(
                RedisStore(store_with_password(settings.store, settings.store_password_file), settings.fleet),
                _devices(settings),
                fleet=settings.fleet,
                window_frames=settings.window_frames,
                tiles="" if settings.tiles == "none" else settings.tiles,
                known_hosts=bool(public_name) or is_loopback(listens_on),
                public_name=public_name,
                unwell_after_s=settings.unwell_after,
                tell=tell,
                entrance=asking,
            )
        with served(settings.metrics, site.sight):
            site.start()
            try:
                serve(site.asgi, sock, asking)
            finally:
                site.stop()


def _devices(settings: SiteSettings) -> Devices:
    if settings.broker is None:
        return NoBroker()
    return StatusReader(Address.of(settings.broker, settings.user), settings.fleet)


def serve(asgi: Any, sock: socket.socket, asking: Entrance) -> None:
    """Serve on the socket until SIGTERM or SIGINT, then close every connection within two seconds."""
    config = uvicorn.Config(
        asgi,
        http=patient(asking.proxies.trusts),
        proxy_headers=False,  # whom to believe is said by --trusted-proxy, and weighed where it matters
        log_config=None,  # its lines go where all others go
        log_level="warning",
        access_log=False,
        ws_max_size=4 * LARGEST_WORD,
        ws_ping_interval=20,
        timeout_graceful_shutdown=2,
        server_header=False,
        lifespan="off",
    )
    AnnouncingServer(config, lambda url: print(f"listening {url}", flush=True)).run(sockets=[sock])  # noqa: T201
