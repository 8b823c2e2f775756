"""A whole Headwater as real processes for one test, and what the store has at the end."""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from headwater.children import Child, start
from headwater.messages import Record, decode_json

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
START_S = 60.0


def headwater(name: str, *arguments: str) -> Child:
    """Return a running `headwater` command."""
    return start(name, [sys.executable, "-m", "headwater", *arguments])


def worker(name: str, broker: str, store: str, fleet: str = "demo") -> Child:
    """Return a worker that is connected."""
    at = ["--broker", broker, "--store", store, "--fleet", fleet]
    child = headwater(name, "worker", "--processes", "1", "--name", name, *at)
    child.wait_for_line("ready", START_S)
    return child


def device(broker: str, spool: Path, source: Path, *arguments: str, name: str = "camera-1") -> Child:
    """Return a device that has begun."""
    at = ["--broker", broker, "--spool", str(spool), "--source", str(source), "--name", name, "--json"]
    child = headwater(name, "edge", *at, *arguments)
    child.wait_for_line("ready", START_S)
    return child


def figures(child: Child, deadline_s: float = 120.0) -> dict[str, Any]:
    """Return a device's figures when it has ended well."""
    line = child.wait_for_line("{", deadline_s)
    assert child.wait(30) == 0
    summary: dict[str, Any] = json.loads(line)
    return summary


def said(port: int, name: str) -> float:
    """Return a figure without labels that a process tells at its --metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        (found,) = re.findall(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found)


def demo(*arguments: str, deadline_s: float = 180.0) -> dict[str, Any]:
    """Return the figures of `headwater demo --json` when it has ended well."""
    return figures(headwater("demo", "demo", "--json", "--no-visualizer", *arguments), deadline_s)


def records(store: str, fleet: str = "demo") -> list[Record]:
    """Return every record of a fleet in the store."""
    client = redis.Redis.from_url(store)
    entries = client.xrange(f"headwater:{fleet}:results")
    client.close()
    return [decode_json(Record, fields[b"record"]) for _, fields in entries]


def stored_once(store: str, frames: int, fleet: str = "demo") -> bool:
    """Tell whether the store has each of so many frames, and each once."""
    seen = Counter((record.device, record.boot, record.sequence) for record in records(store, fleet))
    return len(seen) == frames and set(seen.values()) == {1}


def wait_until(what: Callable[[], bool], deadline_s: float = 30.0) -> None:
    """Return when `what()` holds; fail when the deadline passes first."""
    until = time.monotonic() + deadline_s
    while not what():
        assert time.monotonic() < until, "the deadline passed"
        time.sleep(0.02)
