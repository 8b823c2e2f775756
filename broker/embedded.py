"""A broker where none is given: mosquitto if it is installed, else pip's iotcore, as a child process."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Literal

from headwater.children import Child, start
from headwater.errors import BrokerError, MissingPart
from headwater.probes import greet_mqtt, server_url
from headwater.servers import START_DEADLINE_S, Recipe, RunningServer, reachable, start_server

Kind = Literal["auto", "mosquitto", "iotcore"]

MORE_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")  # where mosquitto hides from ordinary users

# iotcore keeps what passed through a topic filter in segments and drops the oldest: 8 x 8 MiB per filter bounds its
# memory, and what a slow worker may lag behind.
_IOTCORE_TOML = """id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 8388608
max_segment_count = 8
shared_subscriptions_strategy = "roundrobin"

[v5.1]
name = "mqtt5"
listen = "{listen}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 16777216
max_inflight_count = 100
dynamic_filters = true
"""


def find_mosquitto() -> str | None:
    """Return the path of mosquitto, None when it is not installed."""
    return shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", os.defpath), *MORE_FOLDERS)))


def has_iotcore() -> bool:
    """Return whether pip's iotcore is installed."""
    return importlib.util.find_spec("iotcore") is not None


def choose_kind(kind: Kind) -> Literal["mosquitto", "iotcore"]:
    """Return the kind of broker to start; "auto" takes mosquitto where it is installed.

    Raises:
        MissingPart: it is not installed, or with "auto" neither is.
    """
    if kind != "iotcore" and find_mosquitto():
        return "mosquitto"
    if kind == "mosquitto":
        raise MissingPart("mosquitto", "the broker", "install it (Debian, Ubuntu: apt install mosquitto)")
    if not has_iotcore():
        what = "iotcore" if kind == "iotcore" else "mosquitto or iotcore"
        remedy = "install the extra demo (docs/install.md), or give the address of a broker"
        raise MissingPart(what, "the broker", remedy)
    return "iotcore"


def start_broker(
    kind: Kind = "auto",
    host: str = "127.0.0.1",
    port: int = 0,
    folder: Path | None = None,
    deadline_s: float = START_DEADLINE_S,
) -> RunningServer:
    """Return a running broker that has accepted an MQTT 5 connection.

    Args:
        kind: "mosquitto", "iotcore", or "auto" for the first of them that is installed
        host: the address to listen on
        port: the port to listen on; 0 takes a free one
        folder: for its configuration, log and what it keeps; None: a temporary one, removed by `stop`
        deadline_s: how long it may take to answer

    Raises:
        MissingPart: that broker is not installed.
        BrokerError: the port is taken, or the broker did not come up.
    """
    chosen = choose_kind(kind)
    launch = _launch_mosquitto if chosen == "mosquitto" else _launch_iotcore
    recipe = Recipe(chosen, "broker", "mqtt", launch, greet_mqtt, BrokerError)
    return start_server(recipe, host, port, folder, deadline_s)


def mosquitto_configuration(host: str, port: int, folder: Path) -> str:
    """Return a mosquitto.conf: the shipped limits, one open listener, everything it keeps in `folder`."""
    lines = [
        files("broker").joinpath("mosquitto.conf").read_text(),
        f"listener {port} {host}",
        "allow_anonymous true",
        f"persistence_location {folder}/",
        "log_dest stderr",
        # Started by root, mosquitto would become the user mosquitto: unable to write here, and no longer killed
        # with its parent (headwater/children.py). Started by anyone else it ignores this line.
        "user root",
    ]
    return "\n".join(lines) + "\n"


def _launch_mosquitto(host: str, port: int, folder: Path) -> Child:
    configuration = folder / "mosquitto.conf"
    configuration.write_text(mosquitto_configuration(host, port, folder))
    command: list[str | Path] = [find_mosquitto() or "mosquitto", "-c", configuration]
    return start("mosquitto", command, log=folder / "mosquitto.log", lines=False)


def _launch_iotcore(host: str, port: int, folder: Path) -> Child:
    configuration = folder / "iotcore.toml"
    listen = server_url("", host, port).removeprefix("://")
    configuration.write_text(_IOTCORE_TOML.format(listen=listen))
    own_address = reachable("mqtt", host, port)
    command: list[str | Path] = [sys.executable, "-P", "-m", "broker.iotcore_process", configuration, own_address]
    return start("iotcore", command, log=folder / "iotcore.log", lines=False)
