"""The firewall's line of docs/broker.md that bounds bytes a second from one address, on a link of our own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.embedded import mosquitto_configuration
from evaluation.shaped_link import WORKER, ShapedLink
from headwater.address import Address
from headwater.children import start
from headwater.messages import Activation
from tests.evaluation.test_regret_bench import need_root
from tests.integration.fake_worker import FakeWorker
from tests.integration.party import Party
from tests.integration.test_device import START_S, figures, summary, wait_until
from tests.servers import eventually, need

PAGE = Path(__file__).parents[2] / "docs/broker.md"
PORT = 8883
BYTES_PER_S, BURST_BYTES = 400_000, 400_000
FRAMES = 240
SOON_S = 2.0


def line() -> list[str]:
    """Return the line of the page, for root, with rates that are soon reached."""
    (found,) = re.findall(r"^sudo (iptables .*--hashlimit-above .*)$", PAGE.read_text(), re.MULTILINE)
    numbers = {"--hashlimit-above": f"{BYTES_PER_S // 1000}kb/s", "--hashlimit-burst": f"{BURST_BYTES // 1000}kb"}
    words: list[str] = found.split()
    return [numbers.get(before, word) for before, word in zip(["", *words], words, strict=False)]


@pytest.fixture
def link() -> Iterator[ShapedLink]:
    """Two network namespaces that only know each other, the line in force where the broker will be."""
    need_root()
    need("iptables")
    with ShapedLink() as made:
        done = subprocess.run(made.at_worker(line()), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs a kernel with hashlimit: {done.stderr}")
        yield made


def test_a_device_that_sends_too_fast_is_slowed_down_and_loses_nothing(link: ShapedLink, tmp_path: Path) -> None:
    """All of its frames are finished, in the time that the bound asks for; who comes from elsewhere waits for none."""
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(mosquitto_configuration(WORKER, PORT, tmp_path))
    url, spool = f"mqtt://{WORKER}:{PORT}", tmp_path / "spool"
    device = [
        sys.executable, "-m", "headwater", "edge", "--json", "--source", "pattern:160x160", "--frames", FRAMES,
        "--bundle", "litter", "--split", "block_5_add", "--codec", "native", "--broker", url, "--spool", spool,
        "--name", "cam1",
    ]  # fmt: skip
    command = link.at_worker([need("mosquitto"), "-c", str(configuration)])
    broker = start("mosquitto", command, log=tmp_path / "log", lines=False)
    with broker, link.inside_worker():
        worker = FakeWorker(url)
        neighbour = Party(Address.parse(url), "neighbour", "h/neighbour")
        with start("device", link.at_device([str(word) for word in device])) as child:
            child.wait_for_line("ready device cam1", START_S)
            wait_until(lambda: worker.different)
            began_s, before, longest_s = time.monotonic(), worker.different, 0.0
            while worker.different < FRAMES and child.alive:
                longest_s = max(longest_s, answered_s(neighbour))
            took_s = time.monotonic() - began_s
            found = summary(child)
        worker.stop()
        neighbour.session.stop()
    assert figures(found) == (FRAMES, FRAMES, {}, 0)
    sent_bytes = sum(
        len(frame.body.tensor.data) for frame in worker.frames[before:] if isinstance(frame.body, Activation)
    )
    assert took_s > 0.9 * (sent_bytes - 2 * BURST_BYTES) / BYTES_PER_S
    assert longest_s < SOON_S
    assert dropped(link) > 0


def answered_s(party: Party) -> float:
    """Return how long a message takes to somebody at the broker and back."""
    before, began_s = party.count, time.monotonic()
    party.say("h/neighbour")
    assert eventually(lambda: party.count > before)
    return time.monotonic() - began_s


def dropped(link: ShapedLink) -> int:
    """Return how many packets the line has dropped."""
    listed = subprocess.run(
        link.at_worker(["iptables", "-nvxL", "INPUT"]), capture_output=True, text=True, check=True
    ).stdout
    (rule,) = [one for one in listed.splitlines() if f"dpt:{PORT}" in one]
    return int(rule.split()[0])
