"""Asks a process how it is: `headwater health`, or without the command line's imports `python -m headwater.health`.

Needs the standard library alone, and loads little of that: containers ask every few seconds.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
from typing import Any, Final

WELL, UNWELL, SILENT = 0, 1, 2
DEFAULT: Final = "127.0.0.1:9464"
ALIVE: Final = "/alive"
FIGURES: Final = "/metrics"
PATIENCE_S: Final = 3.0
ANSWER_BYTES: Final = 65_536
FIGURES_BYTES: Final = 10_000_000
_URL: Final = re.compile(r"(?:http://)?(?P<host>\[[^\]]+\]|[^:/\[\]\s]+)(?::(?P<port>\d{1,5}))?(?P<path>/\S*)?")


def health(url: str | None = None, *, figures: bool = False) -> int:
    """Ask a process how it is: print one line, exit with 0 (well), 1 (unwell) or 2 (nobody answers).

    Asked at /alive, 1 is said only when a restart may help: right for whatever restarts what is unwell.
    `python -m headwater.health` does the same and starts faster, for the HEALTHCHECK of a container.

    Example: headwater health

    Example: headwater health http://192.168.1.10:9464/health

    Example: headwater health 127.0.0.1:9464/alive

    Example: headwater health --figures

    Args:
        url: where to ask: http://HOST:PORT/health, HOST:PORT/alive, HOST:PORT or PORT; when left out
            HEADWATER_METRICS, else port 9464 of this machine
        figures: print all figures of the process (its /metrics) instead
    """
    status, text = (told if figures else ask)(url or os.environ.get("HEADWATER_METRICS") or DEFAULT)
    sys.stdout.write(text + "\n")
    return status


def ask(url: str, patience_s: float = PATIENCE_S) -> tuple[int, str]:
    """Return the exit status and the line."""
    try:
        host, port, path = place(url)
        _, answer = _get(host, port, path, ANSWER_BYTES, patience_s)  # who is unwell says so with 503
        return said(json.loads(answer), path)
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError) as error:
        return SILENT, _silent(url, error)


def told(url: str, patience_s: float = PATIENCE_S) -> tuple[int, str]:
    """Return the exit status and the figures, as Prometheus reads them."""
    try:
        host, port, _ = place(url)
        status, answer = _get(host, port, FIGURES, FIGURES_BYTES, patience_s)
        if status != http.client.OK:
            raise ValueError(f"status {status} at {FIGURES}")
        return WELL, answer.decode().rstrip("\n")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return SILENT, _silent(url, error)


def _get(host: str, port: int, path: str, most_bytes: int, patience_s: float) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=patience_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(most_bytes)
    finally:
        connection.close()


def _silent(url: str, error: Exception) -> str:
    return f"no answer from {url}: {str(error) or type(error).__name__}; is it running with --metrics?"


def place(url: str) -> tuple[str, int, str]:
    """Return host, port and path of an address, whole or short; every address of a machine means this one.

    Raises: ValueError.
    """
    found = _URL.fullmatch(f"127.0.0.1:{url}" if url.isdecimal() else url)
    if found is None:
        raise ValueError("expected http://HOST:PORT/health, HOST:PORT or PORT")
    host = found["host"].strip("[]")
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    path = found["path"] if found["path"] not in (None, "/") else "/health"
    return here, int(found["port"] or 80), path


def said(found: dict[str, Any], path: str) -> tuple[int, str]:
    """Return the exit status and the line for what a path answered. Raises: KeyError, TypeError for a stranger's."""
    who = f"{found['part']} {found['name']}".strip()
    if found["status"] != "well":
        reasons = "; ".join(found["reasons"])
        if path.partition("?")[0] == ALIVE and found["alive"]:
            return WELL, f"alive: {who}, unwell for what a restart would not mend: {reasons}"
        return UNWELL, f"unwell: {who}: {reasons}"
    ago_s = found["last_finished_s_ago"]
    finished = "nothing finished yet" if ago_s is None else f"last finished {ago_s:.1f} s ago"
    counts = ", ".join(f"{name} {count}" for name, count in found["counts"].items())
    return WELL, f"well: {who}, {finished}, {counts}"


if __name__ == "__main__":
    sys.exit(health(*sys.argv[1:2]))
