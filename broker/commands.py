"""Commands of the broker."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def run(
    *,
    kind: Literal["auto", "mosquitto", "iotcore"] = "auto",
    host: str = "127.0.0.1",
    port: int = 1883,
    folder: Path | None = None,
) -> None:
    """Run a broker until Ctrl-C: mosquitto if it is installed, else iotcore.

    Prints one line when it is ready: listening mqtt://127.0.0.1:1883 mosquitto

    Example: headwater broker run --port 1883

    Args:
        kind: which broker; auto takes mosquitto where it is installed
        host: the address to listen on; the broker asks nobody for a password
        port: the port to listen on; 0 takes a free one
        folder: where it keeps its configuration, log, settings and sessions; a temporary one if not given
    """
    from broker.embedded import start_broker
    from headwater.stopping import stop_on_signals, wait_for_stop

    with stop_on_signals() as stop, start_broker(kind, host, port, folder) as broker:
        print(f"listening {broker.url} {broker.kind}", flush=True)
        wait_for_stop(stop, [broker.child])
