"""The decision log: what is written, how much of it, and how it is read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.decisions import DecisionLog, Entry, Head, Here, as_message, read_log
from headwater.errors import HeadwaterError
from headwater.messages import Decision, decode_json, encode_json
from planning.decide import Rates, decide
from planning.live import Decision as Decided
from planning.live import Policy, Why
from planning.ways import Conditions, Way

AT = Conditions(10e6, 0.02)
WAYS = (
    Way("image", "png", 0, 0.0, 500, 40_000, 41_000, tail_s=0.02),
    Way("device", "none", 3, 0.08, 500, finishes=True),
)
HEAD = Head(1, "cam1", "litter", "ab" * 32, Policy(), Rates("EUR", names=("x",)), WAYS)


def decided(at_s: float, way: int = 0, why: Why = "stays") -> Decided:
    """Return a decision."""
    return Decided(at_s, WAYS[way], why, AT, tuple(decide(WAYS, AT, Rates(), 0.0)))


def test_a_log_reads_as_it_was_written(tmp_path: Path) -> None:
    """Head and decisions come back as values: conditions, and what every way was predicted to take."""
    log = DecisionLog(tmp_path / "folder" / "cam1.jsonl")
    log.begin(HEAD)
    log.add(decided(0.0, why="first"), 17, 4e6)
    ((head, entry),) = read_log(tmp_path / "folder" / "cam1.jsonl")
    assert head == HEAD
    assert entry == Entry(17, "image png", "first", AT, {"image png": (62.0, 0.0), "device": (90.4, 0.0)}, 4e6)


def test_what_says_nothing_new_is_written_now_and_then(tmp_path: Path) -> None:
    """Four decisions a second for a minute that all say the same are seven lines; a change is a line at once."""
    path = tmp_path / "cam1.jsonl"
    log = DecisionLog(path)
    log.begin(HEAD)
    for quarter in range(240):
        log.add(decided(quarter / 4), quarter, 4e6)
    assert len(list(read_log(path))) == 6
    log.add(decided(60.0, way=1, why="better"), 240, 4e6)
    log.add(decided(60.25, way=1), 241, 4e6)
    assert [entry.why for _, entry in read_log(path)][-2:] == ["better", "stays"]


def test_a_log_is_bounded_and_each_file_reads_alone(tmp_path: Path) -> None:
    """A full file is set aside once; the new one begins with the head again."""
    path = tmp_path / "cam1.jsonl"
    log = DecisionLog(path, limit_bytes=3_000)
    log.begin(HEAD)
    for number in range(200):
        log.add(decided(number * 60.0), number, 4e6)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["cam1.jsonl", "cam1.jsonl.1"]
    assert all(file.stat().st_size < 4_000 for file in files)
    for file in files:
        assert next(read_log(file))[0] == HEAD
    assert [entry.at_ns for _, entry in read_log(path)][-1] == 199


def test_a_full_disk_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A log that cannot be written is one warning, not one for every decision."""
    (tmp_path / "file").write_text("")
    log = DecisionLog(tmp_path / "file" / "cam1.jsonl")
    log.begin(HEAD)
    for number in range(10):
        log.add(decided(number * 60.0), number, 4e6)
    assert len(caplog.records) == 1


def test_a_torn_line_costs_one_line(tmp_path: Path) -> None:
    """After a power cut the log goes on behind what is left of the last line."""
    path = tmp_path / "cam1.jsonl"
    log = DecisionLog(path)
    log.begin(HEAD)
    log.add(decided(0.0, why="first"), 1, 4e6)
    path.write_bytes(path.read_bytes()[:-20])
    log = DecisionLog(path)
    log.begin(HEAD)
    log.add(decided(0.0, why="first"), 2, 4e6)
    assert [entry.at_ns for _, entry in read_log(path)] == [2]


@pytest.mark.parametrize("text", [b"{", b"\xff\n", b'{"type":"profile"}\n', b'{"type":"other"}\n', b"[]\n"])
def test_another_file_is_named_with_its_line(tmp_path: Path, text: bytes) -> None:
    """What is no decision log ends in one line that says where."""
    (tmp_path / "x").write_bytes(text)
    with pytest.raises(HeadwaterError, match="x, line 1: "):
        list(read_log(tmp_path / "x"))


def test_a_log_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """The path, and what was expected of it."""
    with pytest.raises(HeadwaterError, match="none: No such file"):
        list(read_log(tmp_path / "none"))


def test_a_decision_travels_with_its_losers() -> None:
    """The message names every way, and why each but one was not taken."""
    message = as_message(decided(0.0), 17, Here("cam1", "EUR", 1.5e9, 61.5))
    again = decode_json(Decision, encode_json(message))
    assert again == message
    assert [one.lost for one in again.considered] == [None, "28.40 ms slower"]
    assert (again.round_trip_ms, again.temperature_c, again.currency) == (20.0, 61.5, "EUR")


def test_a_message_of_very_many_ways_names_the_chosen_one(tmp_path: Path) -> None:
    """And the fastest of the others, within what the site takes."""
    many = tuple(Way(f"a-cut-point-of-the-network-{n}", "native+zstd", n, n / 1e3, 500, 9e3) for n in range(400))
    found = Decided(0.0, many[0], "stays", AT, tuple(decide(many, AT, Rates(), 0.0)))
    said = encode_json(as_message(found, 17, Here("cam1", "", None, None)))
    assert len(said) < 65_536
    assert [one.lost for one in decode_json(Decision, said).considered].count(None) == 1
