"""Commands of the store."""

from __future__ import annotations

import sys
from pathlib import Path


def run(*, port: int = 6379, folder: Path | None = None, append_only: bool = True) -> None:
    """Run a store (Valkey from pip) on the loopback address until Ctrl-C.

    Prints one line when it is ready: listening redis://127.0.0.1:6379

    Example: headwater store run --folder results

    Args:
        port: the port to listen on; 0 takes a free one
        folder: where it keeps the results and its log; a temporary one, removed at the end, if not given
        append_only: write every change to a file, so that a restart in the same folder loses nothing
    """
    from cloud_worker.embedded_store import start_store
    from headwater.stopping import stop_on_signals, wait_for_stop

    with stop_on_signals() as stop, start_store(port, folder, append_only=append_only) as store:
        sys.stdout.write(f"listening {store.url}\n")
        sys.stdout.flush()
        wait_for_stop(stop, [store.child])
