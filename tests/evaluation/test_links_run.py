"""`headwater evaluate links` for real: processes, a link, a quota, a limit of memory. For root."""

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from evaluation.links_records import MEASURED
from evaluation.small_memory import SmallMemory
from headwater.children import start
from tests.evaluation.test_regret_bench import abandoned, need_root
from tests.servers import holds_in_one_of, need


def evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return what the command says."""
    command = [sys.executable, "-m", "headwater", "evaluate", "links", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--links", "3g"], "expected some of lan, 4g"),
        (["--devices", ""], "expected some of full, half"),
        (["--bundles", ","], "--bundles is empty"),
        (["--bundles", "nothing-of-that-name"], "nothing-of-that-name"),
    ],
)
def test_what_cannot_be_asked_is_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    """An unknown name is one clear line."""
    done = evaluate(*arguments, "-o", str(tmp_path))
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_who_takes_too_much_memory_is_ended() -> None:
    """A process in the group gets as much as its limit, is killed beyond it, and leaves the group empty."""
    need_root()
    limit_bytes = 64 << 20
    taking = "import sys; taken = bytearray(int(sys.argv[1])); print('taken', flush=True)"
    for wanted, fits in ((16 << 20, True), (256 << 20, False)):
        with SmallMemory(limit_bytes) as memory:
            with start("taker", memory.inside([sys.executable, "-c", taking, str(wanted)])) as child:
                assert (child.wait(60) == 0) is fits
            assert 0 < memory.peak_bytes <= limit_bytes
            assert memory.peak_bytes > wanted or not fits


@pytest.mark.timeout(400)
def test_the_command_runs_every_way(tmp_path: Path) -> None:
    """MNIST over one link from a device with little memory; asked again, it only reports, and figures hold together."""
    need_root()
    need(package="matplotlib")
    holds_in_one_of(3, lambda: assert_every_way_runs(Path(tempfile.mkdtemp(dir=tmp_path))))


def assert_every_way_runs(folder: Path) -> None:
    """Run it twice in an empty folder, and look at what it wrote."""
    stood_before = abandoned()
    arguments = ("--bundles", "mnist", "--links", "wavelength", "--devices", "small-memory", "--runs", "1")
    done = evaluate(*arguments, "-o", str(folder))
    assert done.returncode == 0, done.stderr
    assert "every way ran within 256 MiB" in done.stdout
    with (folder / "links.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"image png", "image jpeg:90", "device"} < {one["way"] for one in rows}
    for one in rows:
        assert float(one["link ms"]) > 24.16 + 0.95 * int(one["bytes"]) * 8 / 34.5e6 * 1e3
        assert float(one["predicted: total ms"]) > 24.16
    assert sum(int(one["fastest"]) for one in rows) == sum(int(one["chosen"]) for one in rows) == 1
    with (folder / "links-links.csv").open() as file:
        (link,) = csv.DictReader(file)
    assert 0.5 < float(link["measured Mbit/s"]) / 34.5 < 1.0
    assert float(link["measured round trip ms"]) > 24.16
    before = (folder / MEASURED).read_bytes()
    again = evaluate(*arguments, "-o", str(folder))
    assert again.returncode == 0, again.stderr
    assert "to measure" not in again.stderr
    assert (folder / MEASURED).read_bytes() == before
    written = {one.name for one in folder.iterdir()}
    assert {"links-mnist-28.svg", "links-predicted.svg", "links-work.svg", "links-work.csv"} <= written
    assert abandoned() <= stood_before
