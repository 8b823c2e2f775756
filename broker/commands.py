"""Commands of the broker."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def run(
    *,
    kind: Literal["auto", "mosquitto", "iotcore"] = "auto",
    host: str = "127.0.0.1",
    port: int | None = None,
    folder: Path | None = None,
    hardened: Path | None = None,
) -> None:
    """Run a broker until Ctrl-C: mosquitto if it is installed, else iotcore.

    Prints one line when it is ready: listening mqtt://127.0.0.1:1883 mosquitto

    With --hardened it is mosquitto with broker/hardened.conf: TLS, nobody without a certificate of that folder's
    authority, and the folder's access list (its file acl), else the shipped one. Devices come in at the port; workers,
    site and operators at the next one, on this machine only; a second line tells it: inside mqtts://127.0.0.1:8884

    Example: headwater broker run --port 1883

    Example: headwater broker run --hardened certificates --host 0.0.0.0

    Args:
        kind: which broker; auto takes mosquitto where it is installed
        host: the address to listen on; without --hardened the broker asks nobody for a password
        port: the port to listen on, by default 1883, with --hardened 8883; 0 takes a free one
        folder: where it keeps its configuration, log, settings and sessions; a temporary one if not given
        hardened: a folder of headwater broker certificates
    """
    from broker.embedded import start_broker
    from broker.hardened import inner_door, start_hardened
    from headwater.errors import SettingsError
    from headwater.stopping import stop_on_signals, wait_for_stop

    if hardened is not None and kind == "iotcore":
        raise SettingsError("--hardened: got --kind iotcore, which knows no users; leave one of them out")
    with stop_on_signals() as stop:
        if hardened is None:
            started = start_broker(kind, host, 1883 if port is None else port, folder)
        else:
            started = start_hardened(hardened, host, 8883 if port is None else port, folder)
        with started as broker:
            print(f"listening {broker.url} {broker.kind}", flush=True)
            if hardened is not None:
                print(f"inside {inner_door(broker)}", flush=True)
            wait_for_stop(stop, [broker.child])


def access(*fleets: str) -> None:
    """Print an access list for mosquitto in which no fleet reaches into another.

    The shipped list (broker/acl) has one user of each role for all fleets. In this one every role is a user in each
    fleet: worker-demo, visualizer-demo, top-demo, operator-demo, homeassistant-demo. Where a fleet's devices are named,
    nobody else can speak in it.

    Example: headwater broker access demo=camera-1,camera-2 harbour=quay-1

    Args:
        fleets: each as FLEET=DEVICE,DEVICE; one alone may be FLEET, for whatever devices have a user
    """
    from broker.access import Fleet, access_list

    print(access_list([Fleet.parse(one) for one in fleets]), end="")
