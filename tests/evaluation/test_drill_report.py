"""What is said of drills."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from evaluation.drill import DRILLS
from evaluation.drill_commands import DrillSettings, drill
from evaluation.drill_count import Counts
from evaluation.drill_report import UNFINISHED, as_json, lines, listed, save
from evaluation.drill_run import Outcome
from headwater.errors import SettingsError

GOOD = Outcome(DRILLS[0], Counts(100, 98, {"disk": 2}, 0, 0, 3), 4, 20.0, 7, Counts(100, 60, {}, 40, 5), ("note",))
BAD = Outcome(DRILLS[1], Counts(50, 49, {}, 1, 2), 2, 20.0, 0, Counts(50, 50))
LEFT_OUT = Outcome(DRILLS[2], not_run="no root")
FAILED = Outcome(DRILLS[3], failed="the broker did not come up")


def test_every_count_is_said_and_what_was_not_run() -> None:
    """A row for each drill with the peer beside it, a line for each note, and the sum."""
    text = "\n".join(lines([GOOD, BAD, LEFT_OUT, FAILED], 7))
    assert f"{GOOD.drill.name}: note" in text
    assert f"{LEFT_OUT.drill.name} was not run: no root" in text
    assert f"{FAILED.drill.name} failed: the broker did not come up" in text
    assert (
        "seed 7: 3 drills, 1 not run, 1 FAILED, 6 faults: captured 150 = finished 147 + dropped 2 disk + lost 1; "
        "twice 2; in hand of killed devices 3; the peer: 150 captured, 40 lost, 5 twice"
    ) in text
    assert "peer lost" in text.splitlines()[0]


def test_only_what_was_lost_or_failed_is_not_well() -> None:
    """What was left out is no failure of the stream."""
    assert [one.is_well for one in (GOOD, BAD, LEFT_OUT, FAILED)] == [True, False, True, False]


def test_json_has_the_figures_of_the_promise() -> None:
    """captured, finished, dropped, lost, twice: in all, and of each drill."""
    found = as_json([GOOD, LEFT_OUT], 7)
    assert {key: found[key] for key in ("captured", "finished", "dropped", "lost", "twice")} == {
        "captured": 100, "finished": 98, "dropped": {"disk": 2}, "lost": 0, "twice": 0,
    }  # fmt: skip
    assert found["drills"][0]["peer"]["lost"] == 40
    assert found["not_run"] == {LEFT_OUT.drill.name: "no root"}
    assert found["seed"] == 7


def test_the_page_and_the_table_are_written(tmp_path: Path) -> None:
    """A page with what each drill does and a table for programs; of no drill at all none."""
    save(tmp_path, [LEFT_OUT], 7, "headwater drill")
    assert list(tmp_path.iterdir()) == []
    save(tmp_path, [GOOD, BAD, LEFT_OUT], 7, "headwater drill --peer")
    page = (tmp_path / "faults.md").read_text()
    assert f"| {GOOD.drill.name} | {GOOD.drill.about} | 4 | 100 | 98 | 2 disk | 0 | 0 | 3 | 7 | 100 | 40 | 5 |" in page
    assert "`headwater drill --peer`, seed 7, on " in page
    assert f"- {LEFT_OUT.drill.name} was not run: no root" in page
    assert UNFINISHED not in page
    with (tmp_path / "faults.csv").open() as file:
        assert [(row["drill"], row["lost"]) for row in csv.DictReader(file)] == [
            (GOOD.drill.name, "0"), (BAD.drill.name, "1"),
        ]  # fmt: skip


def test_a_page_of_a_run_that_is_not_over_says_so(tmp_path: Path) -> None:
    """It is written after every drill, and stays when the run is ended."""
    save(tmp_path, [GOOD], 7, "headwater drill", is_over=False)
    assert UNFINISHED in (tmp_path / "faults.md").read_text()


def test_all_drills_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With what they do, and nothing is started."""
    drill(list_=True)
    assert capsys.readouterr().out == f"{listed()}\n"
    assert "half-open-link" in listed()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (DrillSettings(broker="mqtt://127.0.0.1:1"), "--broker and --store: got one of the two"),
        (
            DrillSettings(broker="mqtt://127.0.0.1:1", store="redis://127.0.0.1:1", peer=True),
            "--peer: the peer is drill",
        ),
    ],
)
def test_servers_come_as_a_pair_and_without_a_peer(asked: DrillSettings, message: str) -> None:
    """Said before anything is started."""
    with pytest.raises(SettingsError, match=message):
        drill(settings=asked)
