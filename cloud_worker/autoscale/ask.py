"""What runs inside a worker's container to ask the processes there for their figures, and what comes of it.

So the figures need no port that others can reach: the images' `--metrics 9464` is the container's own loopback address,
and a remote engine does as well as a local one. It needs Python's standard library alone, as the container's health
check does, and ends by itself.
"""

from __future__ import annotations

from typing import Final

from cloud_worker.autoscale.waiting import Told, told

END: Final = "# END OF ONE PROCESS\n"
PROGRAM: Final = f"""
import os, signal, socket
signal.alarm(10)
host, _, port = os.environ.get("HEADWATER_METRICS", "9464").rpartition(":")
host = {{"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}}.get(host.strip("[]"), host.strip("[]"))
port, missed = int(port), 0
while missed < 2:
    try:
        with socket.create_connection((host, port), 2) as link:
            link.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
            with link.makefile("rb") as answer:
                print(answer.read().partition(b"\\r\\n\\r\\n")[2].decode(), end={END!r})
    except OSError:
        missed += 1
    port += 1
"""
"""Ask each process of a worker, each a port further on; one that ended and is started again may leave a gap."""
COMMAND: Final = ("python", "-I", "-S", "-c", PROGRAM)


def answers(printed: str) -> tuple[Told, ...]:
    """Return what each process told; nothing where none did."""
    return tuple(found for text in printed.split(END)[:-1] if (found := told(text)) is not None)
