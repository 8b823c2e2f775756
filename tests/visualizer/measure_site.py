"""Measure the site with a full map: CPU, and the time from the store to the screen. Prints the table of docs/site.md.

python -m tests.visualizer.measure_site
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from pathlib import Path

import redis
from selenium import webdriver

from cloud_worker.embedded_store import start_store
from tests.end_to_end.test_site_browser import FLAGS, Page, Site
from tests.servers import eventually, need
from tests.visualizer.fake_fleet import FakeDevice, add, fill, fleet_of

SECONDS = 10.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_mb(pid: int) -> float:
    """Return a process's resident memory."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def write(store: redis.Redis, devices: list[FakeDevice], rate: float) -> dict[str, int]:
    """Store frames at that rate and return when each was stored."""
    stored_ns, due_s = {}, time.monotonic()
    until_s = due_s + SECONDS
    while time.monotonic() < until_s:
        record = random.choice(devices).record(time.time_ns())
        add(store, record)
        stored_ns[f"{record.device}-{record.boot}-{record.sequence}"] = record.stored_ns
        due_s += 1 / rate
        time.sleep(max(0.0, due_s - time.monotonic()))
    return stored_ns


def measure(page: Page, site: Site, store: redis.Redis, devices: list[FakeDevice], rate: float) -> str:
    """Return one row of the table."""
    began_cpu_s, began_s = cpu_s(site.process.pid), time.monotonic()
    if rate:
        stored_ns = write(store, devices, rate)
    else:
        stored_ns = {}
        time.sleep(SECONDS)
    share = (cpu_s(site.process.pid) - began_cpu_s) / (time.monotonic() - began_s)
    time.sleep(1)
    drawn_ms = dict(page.run("return [...headwater.map.drawn.entries()]"))
    late_ms = sorted(drawn_ms[name] - ns / 1e6 for name, ns in stored_ns.items() if name in drawn_ms)
    p50, p99 = (late_ms[int(len(late_ms) * q)] for q in (0.5, 0.99)) if late_ms else (0, 0)
    return f"| {rate:g} frames/s | {share:.1%} | {p50:.0f} / {p99:.0f} ms |"


def main() -> None:
    """Print the table."""
    devices = fleet_of(50)
    options = webdriver.ChromeOptions()
    options.binary_location = need("chromium")
    profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    for flag in (*FLAGS, f"--user-data-dir={profile.name}", *(["--no-sandbox"] if os.getuid() == 0 else [])):
        options.add_argument(flag)
    with start_store() as running, redis.Redis.from_url(running.url) as store:
        fill(store, devices, 101)
        site = Site(running.url, "mqtt://127.0.0.1:9")
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(need("chromedriver")))
        page = Page(driver)
        page.open(site.address)
        eventually(lambda: page.run("return headwater.frames.live.size") == 5000, 30)
        for rate in (0, 4, 20, 400):
            print(measure(page, site, store, devices, rate), flush=True)
        print(f"resident: {resident_mb(site.process.pid):.0f} MB", file=sys.stderr)
        driver.quit()
        site.stop()
    profile.cleanup()


if __name__ == "__main__":
    main()
