"""A simulated fleet: what must hold of its frames, of its resources, of its workers and of its day."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from planning.capacity import Figure, figure, frame_s, full, least_workers, percentiles, uses, windows
from planning.errors import PlanError
from planning.fleet import Names
from planning.outcome import Case, Money, first_used_up, over_devices, simulated
from planning.prices import load_book
from planning.simulation import Load, Plant, arrivals, window
from planning.times import load_times, save_times
from tests.planning.measured import TIMES

LINK = Plant(8e6, 0.04)
FLEET = Load(500, 1.0)
ALL_DAY = (1.0,) * 24


def case(**changes: object) -> Case:
    """Return a fleet of 500 on a link of 8 Mbit/s and 40 ms."""
    return replace(Case(FLEET, LINK, TIMES, ALL_DAY, 24.0, None, 1.0, 1), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", ["regular", "random"])
def test_every_frame_is_followed_to_its_end(pattern: str) -> None:
    """None is lost and none is made; each takes at least what nobody can save it: device, link, way, worker."""
    found = window(replace(FLEET, pattern=pattern), LINK, TIMES, 3, 40.0, 7)
    assert len(found.latency_s) == pytest.approx(18_000, rel=0.03)
    assert found.counted_s == pytest.approx(36)
    assert found.latency_s.min() >= 0.02 + 0.01 + 0.04 + 0.002 + 0.0024
    assert all((wait >= 0).all() and len(wait) == len(found.latency_s) for wait in found.waits_s.values())


def test_regular_pictures_come_at_their_pace_and_random_ones_as_often() -> None:
    """Regular: the same distance always, other phases. Random: as many in the mean, and sorted for each device."""
    at, owner = arrivals(Load(20, 2.0), 100.0, np.random.default_rng(1))
    assert all(np.allclose(np.diff(at[owner == one]), 0.5) for one in range(20))
    assert len(set(np.round(at[:: len(at) // 20] % 0.5, 6))) > 15
    at, owner = arrivals(Load(20, 2.0, pattern="random"), 100.0, np.random.default_rng(1))
    assert len(at) == pytest.approx(4000, abs=200)
    assert all((np.diff(at[owner == one]) >= 0).all() for one in range(20))


def test_the_same_seed_gives_the_same_and_another_one_not() -> None:
    """What is drawn depends on the seed alone."""
    first, again, other = (window(FLEET, LINK, TIMES, 3, 20.0, seed).latency_s for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_more_of_anything_never_makes_frames_later() -> None:
    """More workers, a wider link, a faster broker, a faster worker: p50 and p99 fall or stay."""
    base = window(FLEET, replace(LINK, worker_slowdown=1.2), TIMES, 3, 30.0, 1)
    for plant, workers in ((replace(LINK, worker_slowdown=1.2), 6), (LINK, 3), (replace(LINK, worker_slowdown=0.5), 3)):
        better = window(FLEET, plant, TIMES, workers, 30.0, 1)
        assert (np.percentile(better.latency_s, (50, 99)) <= np.percentile(base.latency_s, (50, 99))).all()
    narrow, wide = (window(FLEET, replace(LINK, shared_bits_per_s=bits), TIMES, 6, 30.0, 1) for bits in (5e7, 5e8))
    assert wide.waits_s["shared link"].mean() < narrow.waits_s["shared link"].mean()
    slow, quick = (window(FLEET, replace(LINK, broker_per_s=rate), TIMES, 6, 30.0, 1) for rate in (600.0, 6000.0))
    assert np.median(quick.latency_s) < np.median(slow.latency_s)


def test_frames_that_leave_early_spare_the_worker() -> None:
    """Their share weighs in with what a record of theirs takes; nothing is drawn of the other kind at 100 %."""
    all_on, half, all_left = (frame_s(TIMES, LINK, leave) for leave in (0.0, 0.5, 1.0))
    assert all_on["worker"] > half["worker"] > all_left["worker"]
    assert half["link"] == pytest.approx((all_on["link"] + all_left["link"]) / 2)
    assert all_left["link"] == pytest.approx(500 * 8 / 8e6)
    left = window(Load(100, 1.0, leave=1.0), LINK, TIMES, 1, 20.0, 1)
    assert np.allclose(left.latency_s, 0.02), "answered on the device, before anything travels"
    mixed = window(Load(100, 1.0, leave=0.5), LINK, TIMES, 1, 20.0, 1)
    assert np.isclose(mixed.latency_s, 0.02).mean() == pytest.approx(0.5, abs=0.05)
    assert mixed.latency_s[~np.isclose(mixed.latency_s, 0.02)].min() > 0.07


def test_a_resource_is_used_up_where_it_says() -> None:
    """With as many devices as a resource bears its load is 1; each device's own bears any number of devices."""
    for use in uses(FLEET, LINK, TIMES, 2):
        if use.devices is None:
            assert use.name in {"device", "link"}
            assert use.share * 2 == pytest.approx(
                next(
                    one.share for one in uses(replace(FLEET, frames_per_s=2.0), LINK, TIMES, 2) if one.name == use.name
                )
            )
        else:
            more = uses(replace(FLEET, devices=round(use.devices)), LINK, TIMES, 2)
            assert next(one.share for one in more if one.name == use.name) == pytest.approx(1, rel=0.01)


def test_the_load_of_full_batches_is_where_the_queue_begins_to_grow() -> None:
    """Just under it the last tenth waits no longer than the middle; over it, the wait grows through the window."""
    bears = next(use.devices for use in uses(FLEET, LINK, TIMES, 1) if use.name == "worker")
    assert bears is not None

    def growth(devices: float) -> float:
        waits = window(Load(round(devices), 1.0), LINK, TIMES, 1, 60.0, 1).waits_s["worker"]
        tenth = len(waits) // 10
        return float(waits[-tenth:].mean() - waits[4 * tenth : 5 * tenth].mean())

    assert abs(growth(0.93 * bears)) < 0.05
    assert growth(1.1 * bears) > 1.0


def test_the_fewest_workers_keep_the_deadline_and_one_less_does_not() -> None:
    """A tight deadline asks for more than the load alone."""
    load_alone = least_workers(FLEET, LINK, TIMES, 1.0, 1)
    tight_s = 0.0905
    found = least_workers(FLEET, LINK, TIMES, tight_s, 1)
    assert found > load_alone
    p99 = [np.percentile(window(FLEET, LINK, TIMES, n, 100.0, 1).latency_s, 99) for n in (found, found - 1)]
    assert p99[0] <= tight_s < p99[1]


def test_a_deadline_that_no_worker_can_keep_is_one_line() -> None:
    """40 ms of round trip cannot be bought with workers."""
    with pytest.raises(PlanError, match="over the deadline of 50 ms: it is not the workers"):
        least_workers(FLEET, LINK, TIMES, 0.05, 1)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_an_own_processor_waits_as_pollaczek_and_khinchine_say(share: float) -> None:
    """M/D/1 at each device, its windows long enough to forget that they began empty; within 3 % and the margin."""
    load, times = Load(1000, 1.0, pattern="random"), msgspec.structs.replace(TIMES, device_s=(share,))
    found = windows(load, LINK, times, 30, 1)
    mean = figure([float(one.waits_s["device"].mean()) for one in found])
    theory = share * share / (2 * (1 - share))
    assert abs(mean.value - theory) < 0.03 * theory + mean.margin
    assert mean.margin < 0.1 * theory


def test_what_settles_too_late_is_too_full_to_say() -> None:
    """5,000 devices at 97 % of their own processors would take millions of frames to forget their beginning."""
    times = msgspec.structs.replace(TIMES, device_s=(0.97,))
    busy = simulated(case(times=times, load=Load(5000, 1.0, pattern="random"), workers=40))
    assert busy.too_full is not None
    assert (busy.look, busy.too_full.name) == (None, "device")
    with pytest.raises(PlanError, match=r"device: its load of 97.0% is too full to say"):
        windows(Load(5000, 1.0, pattern="random"), LINK, times, 40, 1)
    regular = simulated(case(times=times, load=Load(500, 1.0), workers=40, deadline_s=2.0))
    assert regular.look is not None, "at a fixed pace nothing waits"


def test_workers_are_added_until_all_windows_agree() -> None:
    """What auto gives keeps the deadline by value and margin, or says that it is too close."""
    for deadline_s in (0.0905, 0.1, 0.2):
        found = simulated(case(deadline_s=deadline_s))
        assert found.look is not None
        assert found.look.latency["p99"].keeps(deadline_s)
    assert Figure(1.0, 0.1).keeps(1.05) is None
    assert Figure(1.0, 0.1).keeps(0.8) is False


def test_a_queue_that_grows_has_no_latency() -> None:
    """It is named instead, with the devices that it bears; workers are still counted."""
    found = simulated(case(plant=replace(LINK, broker_per_s=400.0)))
    assert found.look is None
    growing = full(found.uses)
    assert growing is not None
    assert (growing.name, growing.share, growing.devices) == ("broker", 1.25, 400)
    assert first_used_up(found.uses).name == "broker"
    with pytest.raises(PlanError, match="broker: its load is 125%"):
        windows(FLEET, replace(LINK, broker_per_s=400.0), TIMES, 9, 1)


def test_a_device_that_is_too_slow_ends_the_fleet() -> None:
    """However few devices there are."""
    found = simulated(case(load=Load(2, 1.0), plant=replace(LINK, device_slowdown=100.0)))
    assert first_used_up(found.uses).name == "device"
    assert (found.look, found.day, found.bill) == (None, None, None), "these frames cannot pass"


def test_a_day_adds_up() -> None:
    """Frames and bytes of the hours asked for; a backlog where the busy hours are too much, gone by night."""
    steady = simulated(case(workers=9)).day
    assert (steady.frames, steady.bytes_up, steady.backlog_frames) == (43_200_000, 432e9, 0)
    daylight = (0.0,) * 6 + (1.0,) * 12 + (0.0,) * 6
    busy = simulated(case(workers=1, curve=daylight)).day
    bears = 500 / next(use.share for use in uses(FLEET, LINK, TIMES, 1) if use.name == "worker")
    assert busy.frames == 500 * 12 * 3600
    assert busy.backlog_frames == pytest.approx((500 - bears) * 12 * 3600)
    assert busy.backlog_at_h == 18
    assert busy.left_frames == pytest.approx(max(0.0, busy.backlog_frames - bears * 6 * 3600))
    assert simulated(case(workers=9, hours=1.5)).day.frames == 500 * 5400


def test_the_bill_pays_for_the_simulated_workers() -> None:
    """Servers hold as many workers as they have cores; a day of half the hours sends half the messages."""
    book = load_book("thesis-2025-list")
    names = Names(server="region", messages="aws-iot")
    found = simulated(case(workers=9, money=Money(book, names, 4)))
    assert found.bill is not None
    assert [(what, count) for what, count, _ in found.bill.lines] == [("region", 3), ("aws-iot", 1)]
    daylight = (0.0,) * 6 + (1.0,) * 12 + (0.0,) * 6
    half = simulated(case(workers=9, money=Money(book, names, 4), curve=daylight))
    assert half.bill is not None
    assert half.bill.lines[1][2] == pytest.approx(found.bill.lines[1][2] / 2)


def test_messages_are_metered_one_by_one() -> None:
    """Of 1,000 and 9,000 B the second is two pieces of 5 kB: 1.5 in the mean, where their mean of 5,000 B is one."""
    names = Names(server="region", messages="aws-iot")
    money = Money(load_book("thesis-2025-list"), names, 4)

    def per_frame(sizes: tuple[float, ...], leave: float = 0.0) -> float:
        assert TIMES.going is not None
        going = msgspec.structs.replace(TIMES.going, payload_bytes=sizes)
        times = msgspec.structs.replace(TIMES, going=going)
        bill = simulated(case(workers=9, money=money, times=times, load=replace(FLEET, leave=leave))).bill
        assert bill is not None
        return bill.lines[1][2] / bill.frames

    piece = 2 * 1e-6
    assert per_frame((5000.0,)) == pytest.approx(piece * (1 + 1))
    assert per_frame((1000.0, 9000.0)) == pytest.approx(piece * (1.5 + 1))
    assert per_frame((1000.0, 9000.0), 0.5) == pytest.approx(piece * (0.5 * 1.5 + 0.5 + 1)), "records are one piece"


def test_the_margin_holds_the_mean_as_often_as_it_says() -> None:
    """Of 2,000 times five normal values, 95 % of the intervals hold the true mean."""
    rng = np.random.default_rng(3)
    found = [figure(list(rng.normal(10, 2, 5))) for _ in range(2000)]
    held = np.mean([abs(one.value - 10) <= one.margin for one in found])
    assert held == pytest.approx(0.95, abs=0.015)
    assert figure([1.0]).margin == float("inf")
    with pytest.raises(PlanError, match="got 0 windows"):
        figure([])


def test_fleets_for_a_plot_stay_under_what_ends_them() -> None:
    """They grow, and so does their p99."""
    shown = over_devices(case(), 2)
    counts = [count for count, _ in shown]
    assert counts == sorted(counts)
    assert counts[-1] < first_used_up(uses(FLEET, LINK, TIMES, 2)).devices  # type: ignore[operator]
    assert shown[-1][1].latency["p99"].value > shown[0][1].latency["p99"].value


def test_a_plot_of_a_fleet_that_anything_bears_is_bounded() -> None:
    """However little each device asks for."""
    shown = over_devices(case(load=Load(5, 1e-6)), 10)
    assert max(count for count, _ in shown) <= 1_000_000


def test_percentiles_rise() -> None:
    """p50, p95, p99 in this order, of latency and of each wait."""
    found = windows(FLEET, LINK, TIMES, 3, 1, 2)
    for place in (None, *found[0].waits_s):
        values = [one.value for one in percentiles(found, place).values()]
        assert values == sorted(values)


def test_times_are_read_as_they_were_written(tmp_path: Path) -> None:
    """To the last digit."""
    save_times(tmp_path / "new" / "times.json", TIMES)
    assert load_times(tmp_path / "new" / "times.json") == TIMES


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format": 9}, "has format 9, expected 1"),
        ({"device_s": []}, "length >= 1"),
        ({"device_s": [-1.0]}, ">= 0"),
        ({"device_s": [1e9]}, "<= 3600"),
        ({"inbox_s": "long"}, "array"),
        ({"left": 1.5}, "<= 1"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_file_of_times_is_one_line(change: dict[str, object], match: str, tmp_path: Path) -> None:
    """What is wrong in it, and what to do."""
    path = tmp_path / "times.json"
    path.write_text(json.dumps({**msgspec.to_builtins(TIMES), **change}))
    with pytest.raises(PlanError, match=match) as caught:
        load_times(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    """A folder, bytes that are no JSON, and one that is far too long."""
    with pytest.raises(PlanError, match="cannot be read"):
        load_times(tmp_path)
    path = tmp_path / "times.json"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(PlanError, match="not a file of measured times"):
        load_times(path)
    path.write_bytes(b" " * 4_000_001)
    with pytest.raises(PlanError, match="is over 4000000 B"):
        load_times(path)
