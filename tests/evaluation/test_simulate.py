"""The command `headwater simulate`, from a file of times."""

import json
from pathlib import Path

import msgspec
import pytest

from headwater.cli import main
from planning.times import save_times
from tests.planning.measured import TIMES


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return the exit status of `headwater simulate`, and what it said."""
    with pytest.raises(SystemExit) as ended:
        main(["simulate", *arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def times(tmp_path: Path) -> str:
    """A file of measured times."""
    save_times(tmp_path / "times.json", TIMES)
    return str(tmp_path / "times.json")


def test_the_command_says_what_a_fleet_needs(times: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Workers, latency, resources, what is used up first, the day and the bill; the same as JSON."""
    fleet = ["--times", times, "--devices", "2000", "--prices", "leroy-2021", "--device", "jetson-nano"]
    status, out, _ = ran(capsys, *fleet)
    assert status == 0
    for words in ("workers needed", "deadline 1000 ms kept", "used up first: workers", "with more workers the broker",
                  "172,800,000 frames", "a month of such days, leroy-2021"):  # fmt: skip
        assert words in out
    status, out, _ = ran(capsys, *fleet, "--json")
    found = json.loads(out)
    assert (status, found["used_up_first"], found["day"]["frames"]) == (0, "worker", 172_800_000)
    assert found["look"]["latency"]["p50"]["value"] < found["look"]["latency"]["p99"]["value"] < 1
    assert f"{found['workers']} workers" in ran(capsys, *fleet)[1]


def test_the_command_draws(times: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An SVG with the percentiles over the number of devices."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "fleet.svg"
    assert ran(capsys, "--times", times, "--devices", "300", "--plot", str(path))[0] == 0
    assert {"p50", "p95", "p99", "deadline"} <= set(path.read_text().replace("<", ">").split(">"))


def test_a_name_with_a_dot_is_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the bundle's, of a folder or a file."""
    path = tmp_path / "times.json"
    save_times(path, msgspec.structs.replace(TIMES, bundle="net.v2"))
    for name in ("net.v2", "models/net.v2", "models/net.v2.tflite"):
        assert ran(capsys, "--times", str(path), "--devices", "10", "--bundle", name)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--day", "night"], "expected constant, daylight, or 24 numbers"),
        (["--day", ",".join(["0.5"] * 24)], "the largest 1"),
        (["--day", ",".join(["nan"] * 24)], "expected constant"),
        (["--bandwidth", "7"], "expected a sensible number with its unit"),
        (["--deadline", "soon"], "deadline: got 'soon'"),
        (["--deadline", "20ms"], "it is not the workers"),
        (["--devices", "0"], "--devices"),
        (["--workers", "many"], "--workers"),
        (["--leave", "140%"], "leave: got '140%'"),
        (["--split", "features"], "holds times of 'image'"),
        (["--source", "pictures"], "source: got pictures to measure with"),
        (["--split", "device", "--leave", "40%"], "split device finishes every frame"),
        (["--bundle", "litter.v2"], "bundle: got 'litter.v2'"),
        (["--server", "t2-micro"], "add --prices BOOK"),
        (["--prices", "leroy-2021", "--server", "t3"], "expected one of t2-micro"),
        (["--plot", "fleet.png"], "ends in .svg"),
    ],
)
def test_a_wrong_call_is_one_line(
    arguments: list[str], words: str, times: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What, got, expected; status 2; no traceback."""
    status, out, err = ran(capsys, "--times", times, "--devices", "100", *arguments)
    lines = [line for line in err.splitlines() if line.startswith("headwater: error:")]
    assert (status, out, len(lines)) == (2, "", 1)
    assert words in lines[0]
