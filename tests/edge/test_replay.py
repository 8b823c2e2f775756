"""A log's decisions made again: what was taken against what would be, under the same new conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.decisions import DecisionLog, Head, read_log
from edge.preferences import Charged
from edge.replay import Case, conditions_changed, replayed, rows, verdict
from edge.replay_commands import ReplaySettings, replay
from headwater.errors import HeadwaterError
from planning.decide import Rates, decide
from planning.errors import PlanError
from planning.live import Decision, Policy, Why
from planning.ways import Conditions, Way

WAYS = (
    Way("image", "png", 0, 0.0, 500, 40_000, 41_000, tail_s=0.020),
    Way("device", "none", 3, 0.080, 500, finishes=True),
)
FAST, SLOW = Conditions(50e6, 0.02), Conditions(1e6, 0.02)


def log(folder: Path, *taken: tuple[Conditions, int, Why], message_bytes: float = 4e6) -> Path:
    """Return the log of a device that went these ways."""
    path = folder / "cam1.jsonl"
    written = DecisionLog(path)
    written.begin(Head(1, "cam1", "litter", "ab" * 32, Policy(), Rates(), WAYS))
    for number, (at, way, why) in enumerate(taken):
        judged = tuple(decide(WAYS, at, Rates(), 0.0))
        written.add(Decision(number * 60.0, WAYS[way], why, at, judged), number, message_bytes)
    return path


def settings(given: Mapping[str, object]) -> ReplaySettings:
    """Return settings of the command, those of the price book among them."""
    of_book = {name: given[name] for name in given if name in {"prices", "server"}}
    others = {name: given[name] for name in given if name not in of_book}
    return ReplaySettings(charged=Charged(**of_book), **others)  # type: ignore[arg-type]


def asked(capsys: pytest.CaptureFixture[str], path: Path, **given: object) -> dict[str, object]:
    """Return what the command prints as JSON."""
    replay(path, settings=settings(given), json=True)
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_unchanged_conditions_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every decision is made again as it was; probes and a lost link are not counted."""
    path = log(tmp_path, (FAST, 0, "first"), (SLOW, 1, "better"), (SLOW, 0, "probe"), (SLOW, 1, "no link"))
    found = asked(capsys, path)
    assert (found["decisions"], found["changed"]) == (2, [])
    assert found["then"] == found["now"]


def test_another_link_decides_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a slow link the pictures that were sent would have stayed, at 94 ms instead of 350."""
    path = log(tmp_path, (FAST, 0, "first"), (FAST, 0, "stays"), (SLOW, 1, "better"))
    found = asked(capsys, path, bandwidth="1Mbit/s")
    assert found["changed"] == [{"from": "image png", "to": "device", "times": 2}]
    assert found["then"]["image png"] == {"times": 2, "total_ms": 350.0, "cost": 0.0}  # type: ignore[index]
    assert found["now"] == {"device": {"times": 3, "total_ms": 94.0, "cost": 0.0}}


def test_money_decides_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the prices of papers/001 and only cost in mind the cheaper way is taken, and the currency is said."""
    found = asked(capsys, log(tmp_path, (FAST, 0, "first")), prices="luger-2023", weight=1.0)
    assert found["currency"] == "USD"
    (way,) = found["now"]  # type: ignore[misc]
    cost = {name: found[when][name]["cost"] for when in ("then", "now") for name in found[when]}  # type: ignore[index,attr-defined]
    assert cost[way] == min(cost.values())


def test_limits_that_allow_nothing_are_counted(tmp_path: Path) -> None:
    """Fifty pictures a second are too many for this device and this link."""
    path = log(tmp_path, (FAST, 0, "first"), (SLOW, 1, "better"))
    found = replayed(read_log(path), Case(conditions_changed(frames_per_s=50.0, bandwidth_bits_per_s=1e6)))
    assert (found.decisions, found.not_allowed) == (2, 2)
    assert verdict(found).endswith("for 2 the limits allow no way")


def test_what_the_broker_took_then_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A decision that the longest packet forced is forced again."""
    found = asked(capsys, log(tmp_path, (FAST, 1, "first"), message_bytes=10_000))
    assert list(found["now"]) == ["device"]  # type: ignore[call-overload]


def test_the_table_shows_shares(tmp_path: Path) -> None:
    """A line for every way that was or would be taken."""
    path = log(tmp_path, (FAST, 0, "first"), (SLOW, 1, "better"))
    found = replayed(read_log(path), Case(conditions_changed(bandwidth_bits_per_s=50e6)))
    header, lines = rows(found)
    assert header == ["way", "decided", "would be", "mean ms"]
    assert lines == [["image png", "50%", "100%", "36.4"], ["device", "50%", "-", "90.1"]]
    assert verdict(found).startswith("2 decisions, 1 of them otherwise; as decided 63.2 ms in the mean, so 36.4 ms")


def test_an_empty_log_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A device that has decided nothing yet."""
    replay(log(tmp_path))
    assert capsys.readouterr().out == "no decision in this log\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bandwidth": "fast"}, "bandwidth: got 'fast'"),
        ({"round_trip": "1km"}, "round-trip: got '1km'"),
        ({"prices": "nowhere"}, "nowhere"),
        ({"server": "x"}, "add --prices BOOK"),
    ],
)
def test_a_wrong_question_is_one_line(tmp_path: Path, given: dict[str, str], said: str) -> None:
    """Before the log is read."""
    with pytest.raises((HeadwaterError, PlanError), match=said):
        replay(tmp_path / "none", settings=settings(given))
