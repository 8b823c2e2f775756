"""The fuzzer itself: it finds what is planted, counts what it does, and outlives what ends it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from headwater.errors import WireError
from tests.fuzz import engine, planted, runs
from tests.fuzz.engine import Explorer, chosen, name_of
from tests.fuzz.judge import ROOT, judged, told
from tests.fuzz.page import FIGURES, page, record
from tests.fuzz.planted import GREEDY, STEPWISE
from tests.fuzz.runs import Tally, run
from tests.fuzz.spoil import OPERATIONS, Pool, spoilt
from tests.fuzz.targets import kept, named
from tests.servers import need

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
ATHERIS = Requirement(EXTRAS["fuzz"][0])


pytestmark = pytest.mark.timeout(300)


def explored(inputs: int, seed: int) -> Explorer:
    """Return an explorer of the planted word after so many inputs."""
    explorer = Explorer(STEPWISE, [], seed)
    for _ in range(inputs):
        explorer.judge(explorer.next())
    return explorer


def test_a_word_is_found_letter_by_letter() -> None:
    """An input that gets one letter further is kept and spoilt on: by chance alone it would take 16 million."""
    explorer = explored(40_000, seed=1)
    (reason,) = explorer.findings
    assert reason.startswith("ZeroDivisionError in tests/fuzz/planted.py, stepwise")
    assert explorer.findings[reason].startswith(b"cut")
    assert judged(STEPWISE, explorer.findings[reason]).finding


def test_lines_lead_where_answers_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where those of every second input only are watched; each line is counted, that of the definition is not."""
    monkeypatch.setattr(engine, "OURS", (planted.__file__,))
    explorer = Explorer(planted.SILENT, [], 1)
    while not explorer.findings and explorer.done < 200_000:
        explorer.judge(explorer.next())
    assert [data[:3] for data in explorer.findings.values()] == [b"cut"]
    first = planted.silent.__code__.co_firstlineno
    assert explorer.coverage.places() == {f"/tests/fuzz/planted.py:{first + step}" for step in range(2, 9)}


def test_the_same_seed_makes_the_same_inputs() -> None:
    """A run can be repeated."""
    one, other = Explorer(named("result"), [], 7), Explorer(named("result"), [], 7)
    for explorer in (one, other):
        for _ in range(300):
            explorer.judge(explorer.next())
    assert [one.next() for _ in range(20)] == [other.next() for _ in range(20)]
    assert one.coverage.answers == other.coverage.answers
    assert len(one.coverage.places()) > 10


def test_too_much_memory_is_a_finding() -> None:
    """A decoder that takes more than its bound is found out, and one within it is not."""
    assert "memory" in judged(GREEDY, b"12345", weigh=True).finding
    assert judged(GREEDY, b"", weigh=True).finding == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("frame of 12 B: Invalid enum value 'a\\'b' - at `$.codec`", "frame of # B: # - at `$.codec`"),
        ("Invalid value 'it's' - at `$.body.type`", "# - at `$.body.type`"), (f"Invalid value '{90_000 * 'a'}'", "#"),
        ("split: got 'it\\'s', expected 'a'", "split: got #, expected #"), ("got \"it's\": wrong", "got #: wrong"),
        (f"'{300 * 'a'}' - at `$.a`", "# - at `$.a`"), (f"got '{90_000 * 'a'}", "got #"),
        ("can't decode byte 0xa5 in position 3", "can't decode byte # in position #"),
        ("contains unknown field `a` - b` - at `$.body`", "contains # - at `$.body`"),
        (f"contains unknown field `{90_000 * 'a'}`", "contains #"), ("unknown field `a`", "#"),
        ("identifier is b'a\\xf0'; copy", "identifier is #; copy"),
        ("key 0xa'b means nothing; see", "key # means nothing; see"), ("a key of 12 parts", "a key of # parts"),
    ],
)  # fmt: skip
def test_what_was_got_makes_no_other_answer(words: str, said: str) -> None:
    """Only the place and the reason do: each value would else count as another way taken, and lead to more of them."""
    assert told(WireError(words)) == f"WireError: {said}"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_way_to_spoil_takes_any_bytes(operation) -> None:
    """Also none at all, and it never makes more than is allowed."""
    pool = Pool([b"", b"ab", bytes(range(256))], most_bytes=400)
    for seed in range(200):
        for data in (b"", b"a", b"12 34", bytes(300)):
            assert isinstance(operation(data, random.Random(seed), pool), bytes)
            assert len(spoilt(data, random.Random(seed), pool)) <= 400


def test_what_leads_nowhere_new_is_not_kept() -> None:
    """Of inputs that say the same one is kept, none that says what a sample says, and not too many."""
    inputs = [b"c___", b"c", b"cu", b"z", b"c_"]
    assert {judged(STEPWISE, data).said for data in chosen(STEPWISE, inputs, 9, 64)} == {"taken: 1", "taken: 2"}
    assert len(chosen(STEPWISE, inputs, 9, 64)) == 2
    assert len(chosen(STEPWISE, inputs, 1, 64)) == 1
    assert chosen(STEPWISE, inputs, 9, 0) == []


def test_processes_are_counted_and_a_run_goes_on(tmp_path: Path) -> None:
    """Inputs of all processes and of earlier runs add up; what was enough before is not done again."""
    said: list[str] = []
    options = {"seconds": 250.0, "processes": 2, "say": said.append}
    first = run("names", tmp_path / "f", tmp_path / "c", inputs=600, **options)
    again = run("names", tmp_path / "f", tmp_path / "c", inputs=600, **options)
    more = run("names", tmp_path / "f", tmp_path / "c", inputs=1000, **options)
    assert (first.inputs, again.inputs, more.inputs) == (600, 600, 1000)
    assert more.findings == {}
    assert more.lines >= first.lines
    assert len(first.lines) > 5
    assert "1,000 inputs" in said[-1]
    assert any((tmp_path / "c").iterdir())


def test_the_time_to_load_is_no_fuzzing(tmp_path: Path) -> None:
    """Inputs a second are those of the time in which there were any."""
    began_s = time.monotonic()
    found = run(
        "tests.fuzz.planted:LATE", tmp_path / "f", tmp_path / "c", inputs=50, seconds=250, processes=1, say=print
    )
    assert found.inputs == 50
    assert time.monotonic() - began_s > planted.LATE_S + found.seconds


def test_an_input_that_ends_the_process_is_kept_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent knows what was in hand, saves it, and starts anew."""
    monkeypatch.setattr(runs, "MOST_DEATHS", 1)
    found = run(
        "tests.fuzz.planted:DEADLY", tmp_path / "f", tmp_path / "c", inputs=3000, seconds=250, processes=1, say=print
    )
    assert list(found.findings) == ["ended by SIGSEGV"]
    assert (tmp_path / "f/findings" / found.findings["ended by SIGSEGV"]).read_bytes()[:1] == b"\x80"
    assert found.inputs > 1


def test_an_input_that_holds_the_process_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that never comes back is a finding, not the end of the run."""
    monkeypatch.setattr(runs, "HANG_S", 0.5)
    monkeypatch.setattr(runs, "MOST_DEATHS", 1)
    began_s = time.monotonic()
    found = run(
        "tests.fuzz.planted:LENGTHY", tmp_path / "f", tmp_path / "c", inputs=100, seconds=250, processes=1, say=print
    )
    assert list(found.findings) == ["hang"]
    assert time.monotonic() - began_s < 50


@pytest.mark.skipif(not ATHERIS.marker.evaluate(), reason="there is no Atheris for this machine and Python")
def test_atheris_leads_the_same_targets(tmp_path: Path) -> None:
    """It counts as the other guide does, begins with all inputs, and keeps what leads somewhere new."""
    need(package="atheris")
    corpus = tmp_path / "c"
    found = run("exif", tmp_path / "f", corpus, inputs=2000, seconds=250, processes=1, say=print, guide="atheris")
    assert found.inputs == 2000
    assert found.findings == {}
    assert len(found.answers) > 2
    begun = {name_of(data) for data in (*named("exif").samples(), *kept("exif"))}
    assert begun < {path.name for path in corpus.iterdir()}


def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    """One line with inputs, speed, coverage and findings; exit status 1 where there are any."""
    command = [sys.executable, "-m", "tests.fuzz", "--processes", "1", "--folder", str(tmp_path)]
    good = subprocess.run([*command, "exif", "--inputs", "300"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith("exif: 300 inputs, ")
    assert "lines, " in good.stdout
    bad = [*command, "tests.fuzz.planted:STEPWISE", "--inputs", "300000"]
    found = subprocess.run(bad, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "ZeroDivisionError in tests/fuzz/planted.py, stepwise" in found.stdout
    (file,) = (tmp_path / "tests.fuzz.planted-STEPWISE/findings").iterdir()
    again = [*command, "tests.fuzz.planted:STEPWISE", "--replay", str(file)]
    assert subprocess.run(again, cwd=ROOT, capture_output=True, check=False).returncode == 1
    typo = subprocess.run([*command, "frames"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert typo.returncode == 2
    assert "got frames, expected all, or: frame," in typo.stderr


def test_the_page_is_what_the_runs_wrote(tmp_path: Path) -> None:
    """The table is made from the figures beside it, and a run replaces its own row only."""
    assert FIGURES.with_suffix(".md").read_text() == page(json.loads(FIGURES.read_text()))
    figures = tmp_path / "fuzz.json"
    record("frame", Tally(10_000_000, 200.0, {"a:1"}, {"x"}, {}), figures)
    record("exif", Tally(5, 1.0), figures)
    record("frame", Tally(20_000_000, 200.0, {"a:1"}, {"x"}, {"hang": "file"}), figures)
    text = figures.with_suffix(".md").read_text()
    assert "| frame | frames from devices, with the tensors in them | 20,000,000 | 100,000 | 1 | 1 | 1 |" in text
    assert "20,000,005 inputs in all" in text
