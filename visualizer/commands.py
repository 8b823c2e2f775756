"""The command of the site."""

from __future__ import annotations

from typing import Literal


def visualizer(
    *,
    store: str = "redis://127.0.0.1:6379",
    broker: str | None = None,
    username: str | None = None,
    password: str | None = None,
    fleet: str = "demo",
    host: str = "127.0.0.1",
    port: int = 8050,
    public_name: str | None = None,
    window_frames: int = 5000,
    tiles: str = "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
    log_level: Literal["debug", "info", "warning", "error"] = "info",
    log_format: Literal["text", "json"] = "text",
    metrics: str | None = None,
    unwell_after: float = 30.0,
) -> None:
    """Run the site: live map, stage times, devices.

    Prints one line when it answers: listening http://127.0.0.1:8050

    Store and broker need not be there yet, and may go and come back.

    Example: headwater visualizer --store redis://127.0.0.1:6379 --broker mqtt://127.0.0.1:1883

    Args:
        store: the Redis or Valkey that the workers write to
        broker: where the devices report, mqtt://HOST[:PORT]; without it the devices are those in the store
        username: for the broker
        password: for the broker; better set as HEADWATER_PASSWORD
        fleet: the fleet to show
        host: the address to listen on; the site asks nobody for a password, so the default is this machine only
        port: the port to listen on; 0 takes a free one
        public_name: the host name under which a proxy offers the site, such as site.example; without it a site that
            listens on this machine only answers to 127.0.0.1, localhost and [::1] alone
        window_frames: how many of the newest frames every browser holds
        tiles: the address of street tiles, asked for by the browser; none for a map that asks nobody
        log_level: what is written to stderr
        log_format: lines of text, or one JSON object a line
        metrics: [HOST:]PORT where GET /metrics and GET /health are answered, too, for those who shall not reach the
            site; a bare port is this machine's alone
        unwell_after: seconds without an answer of the store before /health answers 503
    """
    from headwater.logs import configure_logging
    from visualizer.server import SiteSettings, run

    configure_logging(log_level, log_format)
    settings = SiteSettings(
        store, broker, username, password, fleet, host, port, window_frames, tiles, public_name, metrics, unwell_after
    )
    run(settings)
