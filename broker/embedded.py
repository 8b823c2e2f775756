"""A broker where none is given: mosquitto if it is installed, else pip's iotcore, as a child process."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from headwater.children import Child, start
from headwater.errors import BrokerError, MissingPart
from headwater.probes import free_port, greet_mqtt, port_is_free, server_url

Kind = Literal["auto", "mosquitto", "iotcore"]

MORE_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")  # where mosquitto hides from ordinary users
START_DEADLINE_S = 15.0
POLL_S = 0.01
ATTEMPTS = 5  # a free port can be taken by another program before the broker listens on it

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


class RunningBroker:
    """A broker that this process started; `stop` it, or leave the `with` block."""

    def __init__(self, kind: str, host: str, port: int, child: Child, scratch: Path | None) -> None:
        self.kind, self.host, self.port, self.child = kind, host, port, child
        self._scratch = scratch

    @property
    def url(self) -> str:
        """The address for clients, as in mqtt://127.0.0.1:1883."""
        return server_url("mqtt", self.host, self.port)

    def stop(self, deadline_s: float = 10.0) -> None:
        """End the broker and remove what it kept, unless a folder was given. Safe to call again."""
        self.child.stop(deadline_s)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


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
        remedy = "pip install 'headwater[demo]', or give the address of a broker"
        raise MissingPart(what, "the broker", remedy)
    return "iotcore"


def start_broker(
    kind: Kind = "auto",
    host: str = "127.0.0.1",
    port: int = 0,
    folder: Path | None = None,
    deadline_s: float = START_DEADLINE_S,
) -> RunningBroker:
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
    if port and not port_is_free(host, port):
        raise BrokerError(f"port {port} of {host} is taken; give another --port, or the address of that broker")
    scratch = None if folder else Path(tempfile.mkdtemp(prefix="headwater-broker-"))
    place = (folder or scratch or Path()).resolve()
    place.mkdir(parents=True, exist_ok=True)
    for attempt in range(ATTEMPTS):
        number = port or free_port(host)
        broker = RunningBroker(chosen, host, number, _launch(chosen, host, number, place), scratch)
        try:
            _wait_until_answering(broker, deadline_s)
        except BrokerError:
            broker.child.kill()
            if port or attempt == ATTEMPTS - 1 or port_is_free(host, number):
                broker.stop()
                raise
        else:
            return broker
    raise BrokerError(f"no free port on {host} after {ATTEMPTS} attempts; give one with --port")


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


def _launch(kind: str, host: str, port: int, folder: Path) -> Child:
    log = folder / f"{kind}.log"
    if kind == "mosquitto":
        configuration = folder / "mosquitto.conf"
        configuration.write_text(mosquitto_configuration(host, port, folder))
        return start(kind, [find_mosquitto() or kind, "-c", configuration], log=log, lines=False)
    configuration = folder / "iotcore.toml"
    listen = server_url("", host, port).removeprefix("://")
    configuration.write_text(_IOTCORE_TOML.format(listen=listen))
    command: list[str | Path] = [
        sys.executable,
        "-P",
        "-m",
        "broker.iotcore_process",
        configuration,
        _reachable(host, port),
    ]
    return start(kind, command, log=log, lines=False)


def _reachable(host: str, port: int) -> str:
    """Return the address at which this machine reaches a listener, also one on every address."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return server_url("mqtt", here, port)


def _wait_until_answering(broker: RunningBroker, deadline_s: float) -> None:
    until = time.monotonic() + deadline_s
    url = _reachable(broker.host, broker.port)
    while True:
        try:
            greet_mqtt(url, timeout_s=1.0)
        except BrokerError as error:
            reason = str(error)
        else:
            if broker.child.alive:
                return
            reason = "another program answers at its port"
        words = broker.child.last_words() or "(nothing)"
        if not broker.child.alive:
            raise BrokerError(f"{broker.kind} ended at once; its log {broker.child.log} ends with: {words}")
        if time.monotonic() >= until:
            raise BrokerError(
                f"{broker.kind} did not answer in {deadline_s:g} s ({reason}); its log ends with: {words}"
            )
        time.sleep(POLL_S)
