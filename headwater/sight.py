"""What a process tells of itself, `GET /metrics` and `GET /health`, and the address it is told at."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from headwater.errors import SettingsError
from headwater.logs import event
from headwater.servers import HIGHEST_PORT
from headwater.verdict import Verdict

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.5
_ADDRESS: Final = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]/\s]+):)?(?P<port>\d{1,5})")


@dataclass(frozen=True)
class Sight:
    """What a process tells of itself; both are asked on a thread of the server."""

    metrics: Callable[[], bytes]
    health: Callable[[], Verdict]


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `[HOST:]PORT`; a bare port is this machine's alone. Raises: SettingsError."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or not 1 <= int(found["port"]) <= HIGHEST_PORT:
        raise SettingsError(f"--metrics: got {text!r}, expected [HOST:]PORT, such as 9464 or 0.0.0.0:9464; correct it")
    return (found["host"] or "127.0.0.1").strip("[]"), int(found["port"])


@contextmanager
def served(address: str | None, sight: Sight) -> Iterator[None]:
    """Answer at `[HOST:]PORT` while the block runs, or nowhere where there is none. Raises: SettingsError."""
    if address is None:
        yield
        return
    from headwater.sight_server import SightServer

    server = SightServer(*parse_address(address), sight)
    thread = threading.Thread(target=server.serve_forever, args=(LOOK_EVERY_S,), name="sight", daemon=True)
    thread.start()
    log.info(event("in sight", metrics=f"{server.url}/metrics", health=f"{server.url}/health"))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
