"""The fleet in a terminal: figures from messages, rows in order, and lines that fit whatever there is room for."""

from __future__ import annotations

import json
import random
from dataclasses import replace as with_
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len

from headwater.errors import SettingsError
from headwater.messages import VERSION, Clock, FrameId, Journey, Result, Status
from tests.visualizer.fake_fleet import FakeDevice, fleet_of
from visualizer.devices import MOST_DEVICES, STALE_S, Heard
from visualizer.top.figures import DeviceFigures, View, as_json, device_figures, totals
from visualizer.top.lately import FORGET_S, KEPT, MOST_WORKERS, SPAN_S, Lately, Spread, WorkerFigures, quantile
from visualizer.top.order import BY, SORTS, Sort, after, in_order
from visualizer.top.settings import TopSettings
from visualizer.top.table import DEVICES, WORKERS, bandwidth, cut, lines, offset, printable, short, size

NOW_NS = 1_790_000_000 * 10**9
S, MS = 10**9, 10**6


class Clock10:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def journey(total_ms: float, downlink_ms: float = 1.0) -> Journey:
    return Journey("0123abcd", 1, 0, int(downlink_ms * MS), 0, int(total_ms * MS))


def answer(worker: str = "w1", received_ns: int = NOW_NS, refused: str | None = None, **stages_ms: float) -> Result:
    stages = {stage: int(ms * MS) for stage, ms in stages_ms.items()}
    return Result(VERSION, FrameId("cam1", "0123abcd", 1), worker, 0, received_ns, 0, stages, refused=refused)


def heard(status: Status | None = None, received_ns: int = NOW_NS) -> Heard:
    return Heard(status or FakeDevice("cam1").status(NOW_NS), received_ns, retained=False)


def row(name: str = "cam1", **changes: object) -> DeviceFigures:
    return with_(device_figures(heard(FakeDevice(name).status(NOW_NS)), None, NOW_NS), **changes)


def view(devices: list[DeviceFigures], workers: list[WorkerFigures] = [], away_s: float | None = None) -> View:  # noqa: B006
    return View("demo", "mqtt://broker.example:1883", NOW_NS, away_s, totals(devices), devices, workers, 0)


def worker_row(name: str = "w1") -> WorkerFigures:
    return WorkerFigures(name, 12.5, 0.4, 3.2, 0.42, 3.5, 0)


def texts(found: View, width: int | None = None, height: int | None = None, sort: Sort = "name") -> list[str]:
    return [line.plain for line in lines(found, sort, width, height)]


# -- what frames did lately --------------------------------------------------------------------------------------------


def test_a_frame_is_stored_when_its_answer_sets_out() -> None:
    """From the start of the capture to the store is all of the way but the way back; percentiles of each device."""
    lately = Lately(Clock10())
    lately.journeys("cam1", [journey(total, downlink_ms=2) for total in range(12, 112)])
    lately.journeys("cam2", [journey(5, downlink_ms=7)])
    assert lately.took("cam1") == Spread(pytest.approx(59.5), pytest.approx(104.05))
    assert lately.took("cam2") == Spread(0.0, 0.0)
    assert lately.took("cam3") is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0, 1))
def test_quantiles_are_numpy_s(values: list[float], share: float) -> None:
    """As the site's percentiles."""
    assert quantile(sorted(values), share) == pytest.approx(np.quantile(values, share), abs=1e-6)


def test_only_the_last_frames_of_a_device_count() -> None:
    """Old ones give way, one for one."""
    lately = Lately(Clock10())
    lately.journeys("cam1", [journey(1000)] * 1000 + [journey(11)] * KEPT)
    assert lately.took("cam1") == Spread(pytest.approx(10), pytest.approx(10))


def test_memory_is_bounded_whatever_comes() -> None:
    """Neither more devices nor more workers than so many are kept, and no long names of the network's choice."""
    lately = Lately(Clock10())
    for number in range(MOST_DEVICES + 5):
        lately.journeys(f"cam{number}", [journey(2)] * 2)
    for number in range(MOST_WORKERS + 5):
        lately.answered(answer(f"w{number}"))
    lately.journeys("x" * 65, [journey(2)])
    assert len(lately._took) == MOST_DEVICES
    assert len(lately.workers()) == MOST_WORKERS
    lately.journeys("cam1", [journey(2)] * 10_000)
    assert len(lately._took["cam1"]._values) == KEPT


def test_a_worker_is_known_by_its_answers() -> None:
    """Frames a second, waiting, busy share and batches are those of the last seconds."""
    clock = Clock10()
    lately = Lately(clock)
    clock.s += 20
    for second in range(SPAN_S + 1):
        for _ in range(2):
            settled_ns = NOW_NS + second * S + random.randrange(S)
            for place in range(4):  # one batch: all are stored at the same moment, the last has waited least
                took = {
                    "inbox": 1.0,
                    "decode": 0.5,
                    "batch": 40.0 - 10 * place,
                    "tail": 9.5 + place / 1000,
                    "store": 2.0,
                }
                received_ns = settled_ns - sum(int(ms * MS) for ms in took.values())
                lately.answered(answer(received_ns=received_ns, **took))
        clock.s += 1
    clock.s -= 0.5
    (found,) = lately.workers()
    assert found.name == "w1"
    assert found.frames_per_s == pytest.approx(8 * SPAN_S / (SPAN_S + 0.5), rel=0.2)
    assert found.batch == 4.0
    assert found.busy == pytest.approx(found.frames_per_s * 0.010 + found.frames_per_s / 4 * 0.002, rel=0.01)
    assert (found.wait_p50_ms, found.wait_p95_ms) == (pytest.approx(26.0), pytest.approx(41.0))
    assert found.refused == 0


def test_a_call_over_several_frames_is_busy_once() -> None:
    """Each frame of a call has the time of the whole call as its tail."""
    clock = Clock10()
    lately = Lately(clock)
    for second in range(SPAN_S):
        for tail_ms in (300.0, 300.0, 300.0, 100.0, 100.0):  # two calls, stored together
            took_ms = {"tail": tail_ms, "store": 20.0}
            settled_ns = NOW_NS + second * S
            lately.answered(answer(received_ns=settled_ns - int((tail_ms + 20) * MS), **took_ms))
        clock.s += 1
    (found,) = lately.workers()
    assert found.busy == pytest.approx(0.42)
    assert (found.batch, found.frames_per_s) == (5.0, pytest.approx(5.0))


def test_rates_of_the_first_seconds_are_not_too_small() -> None:
    """What was not listened to is not counted as idle."""
    clock = Clock10()
    lately = Lately(clock)
    clock.s += 2
    for number in range(20):
        lately.answered(answer(received_ns=NOW_NS + number))
    assert lately.workers()[0].frames_per_s == pytest.approx(10.0)


def test_refusals_are_counted_and_no_frames_of_the_worker() -> None:
    """They have no stages, and took no time."""
    lately = Lately(Clock10())
    for _ in range(3):
        lately.answered(answer(refused="no such model"))
    (found,) = lately.workers()
    assert (found.refused, found.frames_per_s, found.batch, found.wait_p95_ms) == (3, 0.0, None, None)


def test_a_worker_that_answers_no_more_becomes_idle_and_is_forgotten() -> None:
    """It has no other way to say that it is there."""
    clock = Clock10()
    lately = Lately(clock)
    lately.answered(answer(tail=900))
    clock.s += SPAN_S + 2
    assert (lately.workers()[0].frames_per_s, lately.workers()[0].busy) == (0.0, 0.0)
    clock.s += FORGET_S
    assert lately.workers() == []


# -- rows --------------------------------------------------------------------------------------------------------------


def test_a_device_s_row_is_its_own_word() -> None:
    """Each figure stands where the status has it; a share of nothing is unknown."""
    status = replace(
        FakeDevice("cam1", sequence=40).status(NOW_NS), exits={"exit1": 6, "exit2": 4}, dropped={"a": 1, "b": 2},
        resent=7, clock=Clock(-3.5, 0.8), temperature_c=61.5, spool_bytes=4096,
    )  # fmt: skip
    found = device_figures(heard(status), Spread(12.0, 30.0), NOW_NS)
    assert (found.name, found.state, found.finished, found.left_early) == ("cam1", "online", 40, 0.25)
    assert (found.dropped, found.resent, found.spool_bytes, found.in_flight) == (3, 7, 4096, 2)
    assert (found.stored_p50_ms, found.stored_p95_ms) == (12.0, 30.0)
    assert (found.bandwidth_bits_per_s, found.round_trip_ms) == (5.1e7, 1.3)
    assert (found.clock_offset_ms, found.clock_uncertainty_ms, found.temperature_c) == (-3.5, 0.8, 61.5)
    new = device_figures(heard(replace(FakeDevice("cam1").status(NOW_NS), link=None)), None, NOW_NS)
    assert (new.left_early, new.round_trip_ms, new.clock_offset_ms, new.stored_p95_ms) == (None, None, None, None)


def test_what_is_not_online_captures_nothing_now() -> None:
    """The rate and the temperature of the last word are no longer true; its counts are."""
    gone = replace(FakeDevice("cam1").status(NOW_NS), online=False, temperature_c=50.0)
    found = device_figures(heard(gone), None, NOW_NS)
    assert (found.state, found.frames_per_s, found.temperature_c, found.dropped) == ("offline", 0.0, None, 3)
    silent = device_figures(heard(), None, NOW_NS + int((STALE_S + 2) * S))
    assert (silent.state, silent.frames_per_s) == ("stale", 0.0)


def test_totals_are_of_all_devices() -> None:
    """Shown or not."""
    rows = [row(f"cam{n}", frames_per_s=2.0, finished=10, at_exits=n, dropped=n, spool_bytes=5) for n in range(4)]
    rows += [row("gone", state="offline", frames_per_s=0.0, finished=0, at_exits=0, dropped=0, spool_bytes=0)]
    found = totals(rows)
    assert (found.devices, found.online, found.offline, found.stale) == (5, 4, 1, 0)
    assert (found.frames_per_s, found.dropped, found.spool_bytes, found.left_early) == (8.0, 6, 20, 6 / 40)
    assert totals([]).left_early is None


def test_every_way_to_sort_has_what_it_compares() -> None:
    """And s goes through all of them."""
    assert set(BY) | {"name"} == set(SORTS) == set(get_args(Sort))
    sort, seen = SORTS[0], []
    for _ in SORTS:
        seen.append(sort)
        sort = after(sort)
    assert (tuple(seen), sort) == (SORTS, SORTS[0])


@pytest.mark.parametrize(
    ("sort", "names"),
    [("name", "abcd"), ("state", "cbad"), ("latency", "dabc"), ("dropped", "badc"), ("temperature", "abcd")],
)
def test_what_needs_a_person_comes_first(sort: Sort, names: str) -> None:
    """The largest first, those that have no such figure last, those that are alike by name."""
    rows = [
        row("d", stored_p95_ms=90.0, dropped=1),
        row("c", state="offline", dropped=0),
        row("b", state="stale", dropped=9),
        row("a", stored_p95_ms=5.0, dropped=1),
    ]
    assert "".join(one.name for one in in_order(rows, sort)) == names


def test_as_json_holds_everything_with_few_decimals() -> None:
    """It is plain JSON, unknown is null."""
    found = json.loads(json.dumps(as_json(view([row(stored_p95_ms=1.23456)], [worker_row()]))))
    assert found["devices"][0]["stored_p95_ms"] == 1.235
    assert found["devices"][0]["clock_offset_ms"] is None
    assert found["workers"] == [
        {"name": "w1", "frames_per_s": 12.5, "wait_p50_ms": 0.4, "wait_p95_ms": 3.2, "busy": 0.42, "batch": 3.5,
         "refused": 0}
    ]  # fmt: skip
    assert found["totals"]["devices"] == 1


# -- lines -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "-"), (0, "0"), (7, "7"), (0.0, "0"), (0.04, "0.0"), (9.94, "9.9"), (9.96, "10"), (14.2, "14"),
     (999.4, "999"), (999.6, "1.0k"), (1234, "1.2k"), (123_456, "123k"), (5.1e7, "51M"), (-3.5, "-3.5"),
     (9e15, "much")],
)  # fmt: skip
def test_numbers_are_short(value: float | None, said: str) -> None:
    """At most five characters."""
    assert short(value) == said
    assert len(short(value)) <= 5


def test_quantities_have_their_units() -> None:
    """Bytes, bits a second, a clock with how sure it is."""
    assert [size(n) for n in (0, 456, 12_345, 1_234_567)] == ["0", "456B", "12kB", "1.2MB"]
    assert [bandwidth(b) for b in (None, 7.2e6, 300e3)] == ["-", "7.2Mb/s", "300kb/s"]
    assert [offset(None, None), offset(-3.25, 0.8), offset(1e6, 1.0)] == ["-", "-3.2±0.8", "1.0M±1"]


def test_a_table_of_80_columns_has_what_matters() -> None:
    """State, rate, latency, split, exits, spool, drops and resends; more where there is more room."""
    found = texts(view([row(stored_p50_ms=12.0, stored_p95_ms=30.0)], [worker_row()]), 80, 24)
    assert found[3].split() == [
        "DEVICE", "STATE", "FPS", "P50ms", "P95ms", "SPLIT", "EXITS", "SPOOL", "DROP", "AGAIN",
    ]  # fmt: skip
    assert found[4].split()[:2] == ["cam1", "online"]
    assert found[4].split()[3:6] == ["12", "30", "block_5_add"]
    assert found[7].split() == ["w1", "12", "42%", "0.4", "3.2", "3.5", "0"]
    assert len(texts(view([row()]), 200)[3].split()) == len(DEVICES)


def test_long_names_get_the_room_that_is_left_over() -> None:
    """And are cut with a mark where there is none."""
    long = row("camera-at-the-corner-of-the-market", split="block_12_project_and_more")
    assert "camera-at-the-c… online" in texts(view([long]), 80)[4]
    assert "camera-at-the-corner-of-the-market " in texts(view([long]), 160)[4]
    assert texts(view([long]))[4].split()[5] == "block_12_project_and_more"


def test_thousands_of_devices_take_the_lines_that_there_are() -> None:
    """The last line says how many are not shown; the second speaks of all."""
    rows = [row(f"cam{n:04d}", frames_per_s=2.0) for n in range(5000)]
    workers = [worker_row(f"w{n}") for n in range(40)]
    found = texts(view(rows, workers), 100, 30)
    assert len(found) == 30
    assert found[1].startswith("5000 devices: 5000 online; 10k fps")
    assert f"… {5000 - sum(line.startswith('cam') for line in found)} more devices" in found
    assert f"… {40 - sum(line.startswith('w') for line in found)} more workers" in found
    assert sum(line.startswith("cam") for line in found) > sum(line.startswith("w") for line in found) > 3


def test_everybody_is_shown_where_there_is_room() -> None:
    """Few devices leave their lines to the workers, and the other way round."""
    many = texts(view([row()], [worker_row(f"w{n}") for n in range(12)]), 80, 24)
    assert sum(line.startswith("w") for line in many) == 12
    some = texts(view([row(f"cam{n:02d}") for n in range(12)], [worker_row()]), 80, 24)
    assert sum(line.startswith("cam") for line in some) == 12


@settings(max_examples=200)
@given(
    st.integers(1, 250), st.integers(1, 80), st.integers(0, 60), st.integers(0, 60), st.sampled_from(SORTS),
    st.text(max_size=40), st.booleans(),
)  # fmt: skip
def test_lines_fit_every_terminal(
    width: int, height: int, devices: int, workers: int, sort: Sort, split: str, away: bool
) -> None:
    """No line is wider, none too many, whatever is in them and however small the terminal is."""
    rows = [row(f"camera-{n}", split=split, spool_bytes=10**n % 10**15) for n in range(devices)]
    found = texts(
        view(rows, [worker_row(split or "w") for _ in range(workers)], 5.0 if away else None), width, height, sort
    )
    assert len(found) <= height
    assert all(cell_len(line) <= width for line in found)
    assert all(line.isprintable() for line in found)


@given(st.text(max_size=30), st.integers(1, 20))
def test_a_cell_is_as_wide_as_its_column(text: str, width: int) -> None:
    """Also where letters take two places, or none."""
    assert cell_len(cut(printable(text), width)) == width


def test_the_network_cannot_speak_to_the_terminal() -> None:
    """Commands and line ends in a name of a split or codec are shown as what they are: no letters."""
    evil = row(split="\x1b[2J\x1b]0;title\x07", codec="a\nb\rc\x9b31m")
    assert all(line.isprintable() for line in texts(view([evil])))
    assert printable("\x1b[31mred\n") == "�[31mred�"


@pytest.mark.parametrize("value", [1e300, -1e300, float("inf"), float("nan")])
def test_no_number_of_a_device_makes_a_long_line(value: float) -> None:
    """Whatever a status says, in a file as on a terminal."""
    odd = row(temperature_c=value, left_early=value, frames_per_s=value, clock_offset_ms=value, spool_bytes=10**300)
    usual, found = (texts(view([one]))[4] for one in (row(), odd))
    assert len(found) <= len(usual) + 10


def test_an_absent_broker_and_an_empty_fleet_are_told() -> None:
    """In words, above everything else."""
    found = lines(view([], away_s=12.4), "name", 120, 24)
    assert "the broker has been away for 12 s" in found[0].plain
    assert found[1].plain.startswith("0 devices; 0 fps")
    assert found[-1].plain == "No device of the fleet demo has said anything yet."


def test_columns_are_wanted_in_one_order() -> None:
    """No two stand at the same place of it."""
    for columns in (DEVICES, WORKERS):
        assert sorted(column.wanted for column in columns) == list(range(len(columns)))


def test_a_believable_fleet_can_be_drawn() -> None:
    """All kinds of devices."""
    rows = [device_figures(heard(one.status(NOW_NS)), Spread(1, 2), NOW_NS) for one in fleet_of(12)]
    found = texts(view(rows), 80, 40)
    assert [line.split()[0] for line in found[4:16]] == [f"cam{n + 1}" for n in range(12)]


@pytest.mark.parametrize("interval", [0.1, 0, -1, 1e9, float("nan")])
def test_an_interval_that_makes_no_sense_is_refused(interval: float) -> None:
    """With what is expected."""
    with pytest.raises(SettingsError, match=r"--interval: got .* expected 0.2 to 3600"):
        TopSettings(interval=interval)
