"""Links and devices: what is predicted, judged, kept and told, without any network."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.links import DEVICES, LINKS, Cell, Ran, cells, say
from evaluation.links_records import BENCH, MEASURED, Records, Tried
from evaluation.links_report import WORKER, lines, link_rows, summary_rows, way_rows, wholes_s, work_rows
from evaluation.links_run import expected_s, row_s
from evaluation.shaped_link import PACKET_BYTES, burst_packets
from evaluation.small_memory import SmallMemory
from headwater.errors import SettingsError
from models.profile import CutCost
from planning.errors import PlanError
from planning.ways import Way

PICTURE = Way("image", "png", 0, 0.0, 500, payload_bytes=50_000, encode_s=0.01, decode_s=0.002, tail_s=0.03, crop_s=0.0)
CUT = Way("cut", "native", 1, 0.04, 500, payload_bytes=2_000, encode_s=0.001, tail_s=0.01)
DEVICE = Way("device", "none", 2, 0.06, 500, finishes=True)
WAYS = [PICTURE, CUT, DEVICE]


def ran(way: Way, link: str = "4g", device: str = "full", total_s: float | None = None) -> Ran:
    """Return a row that holds to the prediction, or takes so long."""
    row = Ran(
        net="net-160", link=link, device=device, split=way.split, codec=way.codec, bytes=int(way.payload_bytes),
        crop_s=0.0, head_s=way.head_s, encode_s=way.encode_s, trip_s=0.0, decode_s=way.decode_s, tail_s=way.tail_s,
        trips=3, bandwidth_bits_per_s=LINKS[link].bandwidth_bits_per_s, round_trip_s=LINKS[link].round_trip_s,
        resident_bytes=90_000_000, charged_bytes=0,
    )  # fmt: skip
    wanted_s = say(way, row, DEVICES[device]).total_s if total_s is None else total_s
    return replace(row, trip_s=wanted_s - row.total_s)


def cell(*totals_s: float | None, device: str = "full") -> Cell:
    """Return the one cell of three rows."""
    rows = [ran(way, device=device, total_s=total_s) for way, total_s in zip(WAYS, totals_s, strict=True)]
    (found,) = cells({"net-160": WAYS}, rows)
    return found


def test_every_link_and_device_says_what_it_is() -> None:
    """The thesis's links are as printed, and each tells its source."""
    assert str(LINKS["wavelength"]) == "wavelength (34.5 Mbit/s, 24.16 ms)"
    assert str(LINKS["backbone"]) == "backbone (1356 Mbit/s, 6.636 ms)"
    assert str(DEVICES["small-memory"]) == "small-memory (100% of a core, 256 MiB)"
    assert all(one.source for one in LINKS.values())


def test_the_answers_way_back_belongs_to_the_latency() -> None:
    """The planner ends at the worker; half a round trip is added, and a quota slows the device alone."""
    row = ran(PICTURE)
    said = say(PICTURE, row, DEVICES["full"])
    assert said.total_s == pytest.approx(0.01 + 50_000 * 8 / 11.9e6 + 0.0353 + 0.002 + 0.03)
    slow = say(PICTURE, row, DEVICES["quarter"])
    assert slow.total_s - said.total_s == pytest.approx(3 * 0.01)
    assert sum(slow.stages_s.values()) == pytest.approx(slow.total_s)
    assert sum(row.stages_s.values()) == pytest.approx(row.total_s)


def test_a_cell_that_keeps_to_the_prediction_has_no_regret() -> None:
    """What is chosen is what is fastest, and nothing is wrong."""
    found = cell(None, None, None)
    assert found.chosen is found.fastest
    assert found.regret == 0
    assert found.error == pytest.approx(0, abs=1e-9)
    assert found.best("a split") is found.ran[1]


def test_a_wrong_choice_is_counted() -> None:
    """The planner takes the split; the picture was the fastest, the device the slowest."""
    found = cell(0.05, 0.1, 0.15)
    assert (found.chosen.name, found.fastest.name) == ("cut native", "image png")
    assert found.regret == pytest.approx(0.5)
    (row,) = summary_rows([found])
    assert (row["slower %"], row["regret %"], row["charged MB"]) == ("100.0", "50.00", "")
    said = list(lines([found], {"net-160": 160}))
    assert said[0] == "net-160, 4g: full: the picture (image png)"
    assert "the fastest way in 0 of 1 cells, one at most 5% slower in 0" in said[1]


def test_the_documents_finding_stands_beside_ours() -> None:
    """Where papers/002 measured the same size over the same kind of link, it is named."""
    said = next(lines([cell(None, None, None)], {"net-160": 224}))
    assert said.endswith("[papers/002 at 224²: the device alone]")


def test_a_cell_with_a_way_missing_is_no_cell() -> None:
    """What was interrupted is not judged."""
    assert cells({"net-160": WAYS}, [ran(PICTURE), ran(CUT)]) == []


def test_tables_hold_together() -> None:
    """Ways, links, works and whole networks, from the same rows."""
    found = [cell(None, None, None), cell(None, None, None, device="quarter")]
    rows = way_rows(found)
    assert len(rows) == 6
    assert {row["way"] for row in rows if row["fastest"]} == {one.fastest.name for one in found}
    assert link_rows(found)[0]["measured round trip ms"] == "35.30"
    assert wholes_s(found) == {"net-160": {WORKER: 0.03, "full": 0.06, "quarter": 0.06}}
    (work,) = work_rows({"net-160": [CutCost("cut", "t", (1,), "int8", 9, 2_000_000, 500)]})
    assert (work["device MMAdds"], work["worker MMAdds"]) == ("2.000", "0.001")


def test_what_it_will_take_is_known_before() -> None:
    """Short ways take as long as their repetitions, long ones travel once; nothing missing takes nothing."""
    link, device = LINKS["luger"], DEVICES["full"]
    assert row_s(CUT, link, device, 3) == pytest.approx(3 * 0.5 + 1.1 * 0.5)
    long = replace(CUT, payload_bytes=9e6)
    assert row_s(long, link, device, 3) == pytest.approx(3 * 0.5 + 1.1 * (10 + 0.03138 + 0.01), rel=1e-3)
    assert row_s(replace(CUT, head_s=2.0), link, DEVICES["quarter"], 1) > 8
    assert expected_s([], link, device, 3) == 0
    assert expected_s([CUT], link, device, 3) > row_s(CUT, link, device, 3)


def test_records_go_on_where_they_stopped(tmp_path: Path) -> None:
    """Rows are read back to the last bit, one that was cut off is measured again, another link only adds."""
    before = Records(tmp_path, 3)
    before.keep("net-160", Tried("abc", WAYS))
    for way in (PICTURE, CUT):
        before.add(ran(way))
    with (tmp_path / MEASURED).open("a") as file:
        file.write("net-160,4g,full,device,no")
    after = Records(tmp_path, 3)
    assert after.rows == before.rows
    assert after.known == before.known
    assert after.missing("net-160", LINKS["4g"], DEVICES["full"]) == [DEVICE]
    assert after.missing("net-160", LINKS["lan"], DEVICES["full"]) == WAYS
    assert after.of(["net-160"], ["lan"], ["full"]) == []


def test_records_of_something_else_are_not_mixed(tmp_path: Path) -> None:
    """Other runs, another model file or a broken file are refused in one line that says what to do."""
    records = Records(tmp_path, 3)
    records.keep("net-160", Tried("abc", WAYS))
    with pytest.raises(PlanError, match=r"--runs 3, asked for is --runs 2"):
        Records(tmp_path, 2)
    with pytest.raises(PlanError, match="another digest"):
        records.check("net-160", "def")
    (tmp_path / BENCH).write_text("{")
    with pytest.raises(PlanError, match="give another --output"):
        Records(tmp_path, 3)


@pytest.mark.parametrize("unified", [True, False])
def test_both_kinds_of_control_group_limit_memory(tmp_path: Path, unified: bool) -> None:
    """The limit is written before anything runs, the peak read where the kernel keeps it."""
    base = tmp_path if unified else tmp_path / "memory"
    base.mkdir(exist_ok=True)
    if unified:
        (tmp_path / "cgroup.controllers").write_text("cpu memory")
    memory = SmallMemory(1 << 28, tmp_path)
    (group,) = base.glob(f"headwater-{os.getpid()}-memory-*")
    assert (group / ("memory.max" if unified else "memory.limit_in_bytes")).read_text() == str(1 << 28)
    assert memory.inside(["true"])[-2:] == [str(group / "cgroup.procs"), "true"]
    assert memory.peak_bytes == 0
    (group / ("memory.peak" if unified else "memory.max_usage_in_bytes")).write_text("77\n")
    assert memory.peak_bytes == 77


def test_no_control_group_is_said(tmp_path: Path) -> None:
    """Where nothing is mounted, one line says what is needed."""
    with pytest.raises(SettingsError, match="run as root on a Linux with the memory control group"):
        SmallMemory(1 << 28, tmp_path)


def test_only_fast_links_let_more_than_a_packet_pass_at_once() -> None:
    """One packet up to 60 Mbit/s and more, 0.2 ms of a fast link."""
    assert [burst_packets(rate) for rate in (1e6, 7.2e6, 50e6)] == [1, 1, 1]
    assert burst_packets(1356e6) * PACKET_BYTES * 8 / 1356e6 == pytest.approx(2e-4, rel=0.05)
