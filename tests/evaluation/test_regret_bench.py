"""The test bench: quotas, records, the worker, and the command for real."""

import csv
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from edge.head import prepare_head
from edge.rehearsal import as_message, drawn_pictures
from evaluation.regret import Ran, Tried, draw_settings
from evaluation.regret_records import BENCH, MEASURED, Order, Records
from evaluation.regret_worker import HEADER, Ready, Took
from evaluation.slow_cpu import SlowCpu, quota_us
from headwater.children import start
from headwater.clock import Stopwatch
from headwater.errors import SettingsError
from headwater.messages import Activation
from models.bundle import Bundle
from models.engine import Engine
from planning.errors import PlanError
from planning.ways import Conditions, Way
from tests.servers import holds_in_one_of, need

ORDER = Order(settings=2, seed=1, runs=3, share=0.1)


def evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return what the command says."""
    command = [sys.executable, "-m", "headwater", "evaluate", "regret", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)


def need_root() -> None:
    """Skip where quotas and namespaces cannot be had; with CI set that is a failure."""
    need("ip")
    need("tc")
    if os.geteuid() == 0 and Path("/sys/fs/cgroup").is_dir():
        return
    if os.environ.get("CI"):
        pytest.fail("this is not root on Linux, and CI is set", pytrace=False)
    pytest.skip("needs root, for a CPU quota and network namespaces")


def namespaces() -> set[str]:
    """Return the network namespaces of this command, of whichever process."""
    listed = subprocess.run([need("ip"), "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines() if line.startswith("headwater-")}


def abandoned() -> set[str]:
    """Return those that a process made which is no more: others may be measuring meanwhile."""
    found = {name for name in namespaces() if not Path("/proc", name.split("-")[1]).exists()}
    return found & namespaces()  # who takes them away may have ended between the two looks


@pytest.mark.parametrize("share", [0.004, 0.05, 0.1, 0.75, 1.0])
def test_a_quota_is_the_share_asked_for(share: float) -> None:
    """The time to compute over the period is the share, and the kernel takes both."""
    quota, period = quota_us(share)
    assert quota / period == pytest.approx(share, rel=1e-3)
    assert quota >= 1_000
    assert 100_000 <= period <= 1_000_000


def test_no_quota_of_nothing() -> None:
    """Out of bounds is one clear line."""
    with pytest.raises(SettingsError, match=r"expected 0\.001 to 1"):
        quota_us(0.0)


@pytest.mark.parametrize("unified", [True, False])
def test_both_kinds_of_control_group_are_spoken_to(tmp_path: Path, unified: bool) -> None:
    """Version 2 has one file for quota and period, version 1 two; afterwards the process is where it was."""
    own = tmp_path / "own"
    own.write_text("4:cpuset:/elsewhere\n3:cpu,cpuacct:/home\n" if not unified else "0::/home\n")
    base = tmp_path if unified else tmp_path / "cpu"
    (base / "home").mkdir(parents=True)
    if unified:
        (tmp_path / "cgroup.controllers").write_text("cpu memory")
    group = base / f"headwater-{os.getpid()}"
    with SlowCpu(tmp_path, own).at(0.25):
        assert (group / "cgroup.procs").read_text() == str(os.getpid())
        assert not (base / "home/cgroup.procs").exists()
    assert (base / "home/cgroup.procs").read_text() == str(os.getpid())
    if unified:
        assert (group / "cpu.max").read_text() == "25000 100000"
    else:
        assert (group / "cpu.cfs_quota_us").read_text() == "25000"
        assert (group / "cpu.cfs_period_us").read_text() == "100000"


def test_no_control_group_is_said(tmp_path: Path) -> None:
    """Where nothing is mounted, one line says what is needed."""
    (tmp_path / "own").write_text("0::/\n")
    with pytest.raises(SettingsError, match="run as root on a Linux with the cpu control group"):
        SlowCpu(tmp_path, tmp_path / "own")


def row(setting: int, place: int) -> Ran:
    """Return some row."""
    return Ran("mnist", setting, f"cut_{place}", place, 1000, 0.0, 0.1 * place, 0.01, 0.2 / 3, 0.001, 0.03, 3)


def begun(folder: Path) -> Records:
    """Return records with one network tried and three of its four rows."""
    records = Records(folder, ORDER, draw_settings(2, 1))
    records.known.conditions = [Conditions(7e6, 0.001, 10.0), Conditions(4e6, 0.001, 12.0)]
    ways = [Way("image", "png", 0, 0.0, 500), Way("device", "none", 1, 0.1, 500, finishes=True)]
    records.known.tried["mnist"] = Tried("mnist", ways, [0, 9], [0.5, 0.2])
    records.check("mnist", "abc")
    records.keep()
    for one in (row(1, 0), row(2, 0), row(1, 1)):
        records.add(one)
    return records


def test_records_go_on_where_they_stopped(tmp_path: Path) -> None:
    """What was measured is read back to the last bit, a row that was cut off is measured again."""
    before = begun(tmp_path)
    with (tmp_path / MEASURED).open("a") as file:
        file.write("mnist,2,cut_1,1,10")
    after = Records(tmp_path, ORDER, draw_settings(2, 1))
    assert after.rows == before.rows
    assert after.known == before.known
    assert after.missing("mnist", 0) == []
    assert [one.number for one in after.missing("mnist", 1)] == [2]
    assert not after.is_complete(["mnist"])
    after.add(row(2, 1))
    assert Records(tmp_path, ORDER, []).is_complete(["mnist"])
    assert [one.place for one in after.of("mnist", 2)] == [0, 1]


def test_records_of_another_order_are_not_mixed(tmp_path: Path) -> None:
    """Another seed, another model file or a broken file are refused in one line that says what to do."""
    records = begun(tmp_path)
    with pytest.raises(PlanError, match=r"was begun with .*--seed 1.*asked for are .*--seed 2"):
        Records(tmp_path, Order(2, 2, 3, 0.1), [])
    with pytest.raises(PlanError, match="another digest"):
        records.check("mnist", "def")
    (tmp_path / BENCH).write_text("{")
    with pytest.raises(PlanError, match="give another --output"):
        Records(tmp_path, ORDER, [])


def test_the_worker_finishes_frames() -> None:
    """A split is made ready, a frame is finished and timed, bytes are only taken."""
    bundle = Bundle.load("mnist-fp32")
    head = prepare_head(bundle, Engine(bundle.model_path), "pool_5", "native", {})
    body = head.run(drawn_pictures(1)[0], Stopwatch())
    assert isinstance(body, Activation)
    messages = [
        (b"P", msgspec.json.encode(Ready(bundle.digest, bundle.name, "pool_5"))),
        (b"F", as_message(bundle, head, body)),
        (b"N", bytes(5000)),
    ]
    command = [sys.executable, "-m", "evaluation.regret_worker", "127.0.0.1", str(bundle.folder)]
    with start("worker", command) as worker:
        port = int(worker.wait_for_line("port ", 60).split()[1])
        with socket.create_connection(("127.0.0.1", port)) as stream, stream.makefile("rb") as answers:
            found = []
            for kind, payload in messages:
                stream.sendall(HEADER.pack(kind, len(payload)) + payload)
                found.append(msgspec.json.decode(answers.readline(), type=Took))
        assert worker.wait(20) == 0
    assert found[0] == found[2] == Took()
    assert 0 < found[1].tail_s < 5
    assert 0 < found[1].decode_s < 5


def test_what_cannot_be_measured_is_said(tmp_path: Path) -> None:
    """An unknown network, and one that was not built, in one line each."""
    done = evaluate("--nets", "lenet", "-o", str(tmp_path))
    assert done.returncode == 2
    assert "expected some of mnist, alexnet, vgg16" in done.stderr
    done = evaluate("--nets", "alexnet", "--bundles", str(tmp_path), "-o", str(tmp_path))
    assert done.returncode == 2
    assert "headwater models build alexnet" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.timeout(400)
def test_the_command_runs_every_way(tmp_path: Path) -> None:
    """MNIST in two settings, really run; asked again, it only reports, and the figures hold together."""
    need_root()
    need(package="matplotlib")
    holds_in_one_of(3, lambda: assert_every_way_runs(Path(tempfile.mkdtemp(dir=tmp_path))))


def assert_every_way_runs(folder: Path) -> None:
    """Run it twice in an empty folder, and look at what it wrote."""
    stood_before = abandoned()
    arguments = ("--nets", "mnist", "--settings", "2", "--runs", "1", "-o", str(folder))
    done = evaluate(*arguments)
    assert done.returncode == 0, done.stderr
    assert "30.34" in done.stdout
    with (folder / "regret.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 8
    bits_per_s = {float(one["Mbit/s"]) * 1e6 for one in rows}
    for one in rows:
        travels_ms = int(one["bytes"]) * 8 / (float(one["Mbit/s"]) * 1e6) * 1e3
        assert float(one["trip ms"]) > 0.95 * travels_ms
        assert float(one["total ms"]) >= float(one["trip ms"])
    known = json.loads((folder / BENCH).read_text())
    for at, setting in zip(known["conditions"], known["settings"], strict=True):
        assert setting["bandwidth_bits_per_s"] in bits_per_s
        assert 0.8 < at["bandwidth_bits_per_s"] / setting["bandwidth_bits_per_s"] < 1
    whole_s = known["tried"]["mnist"]["wholes_s"]
    assert whole_s[0] > 1.5 * whole_s[-1]  # 0.6 GHz against 1.5
    before = (folder / MEASURED).read_bytes()
    again = evaluate(*arguments)
    assert again.returncode == 0, again.stderr
    assert "to measure" not in again.stderr
    assert (folder / MEASURED).read_bytes() == before
    assert {"regret.svg", "regret-trade.svg", "regret-summary.csv"} <= {one.name for one in folder.iterdir()}
    assert abandoned() <= stood_before
