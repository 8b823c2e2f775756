"""A mosquitto that lets in nobody without a certificate, as a child process: broker/hardened.conf, as it ships."""

from __future__ import annotations

import functools
import socket
import ssl
from importlib.resources import files
from pathlib import Path
from typing import Final

from broker.access import shipped_access
from broker.embedded import choose_kind, find_mosquitto
from headwater.address import Address
from headwater.children import Child, start
from headwater.errors import BrokerError, SettingsError
from headwater.servers import START_DEADLINE_S, Recipe, RunningServer, start_server

PLACE: Final = "/etc/mosquitto/headwater/"
"""Where broker/hardened.conf looks for what it needs."""
NEEDED: Final = ("ca.pem", "broker.pem", "broker.key", "revoked.pem")
DOORS: Final = ("listener 8883\n", "listener 8884 127.0.0.1\n")


def start_hardened(
    certificates: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    folder: Path | None = None,
    deadline_s: float = START_DEADLINE_S,
) -> RunningServer:
    """Return a running mosquitto with TLS for devices at `port`, and at the next one on loopback for everybody else.

    Args:
        certificates: a folder of `headwater broker certificates`; its file `acl` goes before the shipped access list
        host: the address on which devices are let in
        port: the port for devices; 0 takes a free one
        folder: for its configuration, log and what it keeps; None: a temporary one, removed by `stop`
        deadline_s: how long it may take to answer

    Raises:
        SettingsError: the folder lacks something.
        MissingPart: mosquitto is not installed.
        BrokerError: the port is taken, or the broker did not come up.
    """
    for name in NEEDED:
        if not (certificates / name).is_file():
            raise SettingsError(
                f"--hardened: {certificates} has no {name}; make it with: headwater broker certificates server HOST"
            )
    choose_kind("mosquitto")
    launch = functools.partial(_launch, certificates.resolve())
    greet = functools.partial(_greet, certificates / "ca.pem")
    recipe = Recipe("mosquitto", "broker", "mqtts", launch, greet, BrokerError, _doors)
    return start_server(recipe, host, port, folder, deadline_s)


def inner_door(broker: RunningServer) -> str:
    """Return the address for workers, site and operators on this machine."""
    _, (host, port) = _doors(broker.host, broker.port)
    return f"mqtts://{host}:{port}"


def _doors(host: str, port: int) -> list[tuple[str, int]]:
    return [(host, port), ("127.0.0.1", port + 1)]


def hardened_configuration(host: str, port: int, folder: Path, certificates: Path) -> str:
    """Return broker/mosquitto.conf and broker/hardened.conf, with these doors and folders."""
    text = files("broker").joinpath("hardened.conf").read_text()
    text = text.replace(DOORS[0], f"listener {port} {host}\n").replace(DOORS[1], f"listener {port + 1} 127.0.0.1\n")
    text = text.replace(f"{PLACE}acl", f"{folder}/acl").replace(PLACE, f"{certificates}/")
    return "\n".join(
        [
            files("broker").joinpath("mosquitto.conf").read_text(),
            f"persistence_location {folder}/",
            "log_dest stderr",
            "user root",  # as broker/embedded.py says
            text,
        ]
    )


def _launch(certificates: Path, host: str, port: int, folder: Path) -> Child:
    configuration, own = folder / "mosquitto.conf", certificates / "acl"
    (folder / "acl").write_text(own.read_text() if own.is_file() else shipped_access())
    configuration.write_text(hardened_configuration(host, port, folder, certificates))
    command: list[str | Path] = [find_mosquitto() or "mosquitto", "-c", configuration]
    return start("mosquitto", command, log=folder / "mosquitto.log", lines=False)


def _greet(ca_file: Path, url: str, timeout_s: float) -> None:
    """Return when the authority's own server answers there; who it lets in is another matter. Raises: BrokerError."""
    to = Address.parse(url, ca_file=ca_file)
    context = to.tls_context()
    context.check_hostname = False  # an address that devices do not use need not be in the certificate
    try:
        with (
            socket.create_connection((to.host, to.port), timeout=timeout_s) as line,
            context.wrap_socket(line, server_hostname=to.host),
        ):
            return
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(f"no broker at {to}: {error}") from None
