"""Choosing again while frames flow: steady under noise, quick when it matters, never without an answer."""

import itertools
import random
from dataclasses import replace

import pytest

from planning.decide import Limits, Rates
from planning.live import Policy, Scheduler, Seen, Smoothed, smoothed
from planning.ways import Conditions, Way

ASSUMED = Conditions(bandwidth_bits_per_s=50e6, round_trip_s=0.02)
PICTURE = Way("image", "jpeg:90", 0, 0.0, 500, 40_000, 40_000, tail_s=0.020, shows_picture=True)
MIDDLE = Way("block3", "native+zstd", 3, 0.020, 500, 8_000, 8_000, tail_s=0.012)
DEVICE = Way("device", "none", 9, 0.080, 500, finishes=True)
WAYS = (PICTURE, MIDDLE, DEVICE)


def scheduler(policy: Policy | None = None) -> Scheduler:
    """Return one that has decided nothing yet."""
    return Scheduler(WAYS, Rates(), policy or Policy(), ASSUMED)


def link(bandwidth_bits_per_s: float, now_s: float = 0.0) -> Seen:
    """Return what was seen of a link with that bandwidth."""
    known = Smoothed(1.0, 0.0, now_s)
    return Seen(Smoothed(1 / bandwidth_bits_per_s, 0.0, now_s), device_slowdown=known, worker_slowdown=known)


def test_a_smoothed_value_forgets() -> None:
    """The first stands as it is; a jump is mostly there after ten; the variance falls when nothing moves."""
    value = smoothed(None, 10.0, 0.0)
    assert (value.mean, value.variance) == (10.0, 0.0)
    for second in range(1, 11):
        value = smoothed(value, 20.0, float(second))
    assert 18.5 < value.mean < 20
    spread = value.variance
    for second in range(11, 40):
        value = smoothed(value, 20.0, float(second))
    assert value.variance < spread / 10
    assert value.at_s == 39


def test_a_smoothed_value_has_the_spread_of_its_values() -> None:
    """Over many drawn values the variance is near that of the values."""
    draw, value, found = random.Random(0), None, []
    for number in range(4000):
        value = smoothed(value, draw.gauss(5, 2), number)
        found.append(value.variance)
    assert 3.0 < sum(found) / len(found) < 4.5


def test_the_first_decision_is_by_what_is_assumed() -> None:
    """Nothing was measured: the assumed link decides, and the reason says that it is the first."""
    first = scheduler().decide(Seen(), 0.0)
    assert (first.way, first.why) == (PICTURE, "first")
    assert first.conditions == ASSUMED


def test_a_link_that_falls_moves_the_split_at_once() -> None:
    """From 50 to 2 Mbit/s the picture takes 160 ms more: no patience is asked for so much."""
    auto = scheduler()
    assert auto.decide(link(50e6), 0.0).way is PICTURE
    moved = auto.decide(link(2e6), 0.1)
    assert (moved.way, moved.why) == (MIDDLE, "better")


def test_a_small_gain_needs_patience() -> None:
    """A way that is a sixth better must be so three times in a row; once the other way begins the count anew."""
    auto = scheduler()
    auto.decide(link(50e6), 0.0)
    slower, same = link(12e6), link(50e6)
    assert [auto.decide(seen, 0.1).why for seen in (slower, slower, same, slower, slower, slower)] == [
        "stays", "stays", "stays", "stays", "stays", "better",
    ]  # fmt: skip
    assert auto.current is MIDDLE


def test_noise_about_the_border_changes_nothing() -> None:
    """Where two ways are equal within the margin, a link that trembles moves the split at most once."""
    draw, auto = random.Random(1), scheduler()
    border = (40_000 - 8_000) * 8 / (MIDDLE.head_s + MIDDLE.tail_s - PICTURE.tail_s)
    ways = [auto.decide(link(border * draw.uniform(0.9, 1.1), second), second).way for second in range(300)]
    assert sum(one is not other for one, other in itertools.pairwise(ways)) <= 1


def test_a_device_that_slows_down_hands_over() -> None:
    """With a quarter of its processor the device sends the picture instead of computing."""
    auto, seen = scheduler(), link(6e6)
    assert auto.decide(seen, 0.0).way is MIDDLE
    slow = replace(seen, device_slowdown=Smoothed(4.0))
    assert {auto.decide(slow, 1.0 + step).way.name for step in range(3)} >= {PICTURE.name}


def test_a_busy_worker_keeps_frames_on_the_device() -> None:
    """A second in the worker's queue is a term of its own."""
    seen = replace(link(50e6), worker_wait_s=Smoothed(1.0))
    assert scheduler().decide(seen, 0.0).way is DEVICE


def test_without_a_link_the_device_answers() -> None:
    """After the time that is allowed, and back to the way before when the link is back."""
    auto = scheduler(Policy(lost_after_s=5.0))
    auto.decide(link(50e6), 0.0)
    gone = replace(link(50e6), link_lost_s=10.0)
    assert auto.decide(gone, 14.9).way is PICTURE
    assert (auto.decide(gone, 15.0).way, auto.decide(gone, 15.0).why) == (DEVICE, "no link")
    assert auto.decide(link(50e6), 16.0).way is PICTURE


def test_what_nobody_measures_is_probed_now_and_then() -> None:
    """On the device only short messages travel: a frame now and then tells of link and workers, soon at first."""
    auto = scheduler()
    auto.decide(link(1e5), 0.0)
    assert auto.current is DEVICE
    decisions = [auto.decide(link(1e5), float(second)) for second in range(1, 100)]
    probes = [one for one in decisions if one.why == "probe"]
    assert [one.at_s for one in probes] == [1, 5, 13, 29, 59, 89]
    assert all(one.way is MIDDLE for one in probes)
    assert auto.current is DEVICE


def test_who_has_just_left_the_link_looks_back_soon() -> None:
    """What made the device leave it may have been a moment's: the first probes come soon, whatever is known."""
    auto = scheduler()
    auto.decide(link(50e6), 0.0)
    slow = replace(link(50e6), worker_wait_s=Smoothed(5.0, 0.0, 0.0))
    assert auto.decide(slow, 100.0).way is DEVICE
    found = [auto.decide(slow, 100.0 + second).why for second in range(1, 40)]
    assert [second for second, why in enumerate(found, 1) if why == "probe"] == [1, 5, 13, 29]


def test_a_worker_that_does_next_to_nothing_is_tried_with_more() -> None:
    """On a way that leaves it a small tail nobody learns how fast it is: a frame that does tell goes soon, and wins."""
    late = Way("block8", "native", 8, 0.060, 500, 16_000, 16_000, tail_s=0.0005)
    whole = replace(PICTURE, tail_s=0.095)
    auto = Scheduler((whole, late, DEVICE), Rates(), Policy(), ASSUMED)
    blind = replace(link(50e6), worker_slowdown=None)
    assert auto.decide(blind, 0.0).way is late
    probe = auto.decide(blind, 0.25)
    assert (probe.way, probe.why) == (whole, "probe")
    found = [
        auto.decide(replace(link(50e6, 1.0), worker_slowdown=Smoothed(0.4, 0.0, 1.0)), 1 + step / 4).way
        for step in range(4)
    ]
    assert found[-1] is whole


def test_a_device_that_only_sends_computes_a_frame_now_and_then() -> None:
    """Whether it has recovered from what made it hand over shows in no other way."""
    auto = scheduler()
    seen = replace(link(50e6), device_slowdown=Smoothed(9.0, 0.0, 10.0))
    auto.decide(seen, 10.0)
    found = [auto.decide(replace(link(50e6, float(at)), device_slowdown=seen.device_slowdown), float(at))
             for at in range(11, 100)]  # fmt: skip
    assert [(one.at_s, one.way) for one in found if one.why == "probe"] == [(40, DEVICE), (70, DEVICE)]


def test_a_way_of_short_messages_does_not_blind_the_device() -> None:
    """Where what travels is too short to tell the bandwidth, a longer message is sent now and then."""
    short = Way("block9", "native", 9, 0.010, 500, 3_000, 3_000, tail_s=0.010)
    auto = Scheduler((PICTURE, short, DEVICE), Rates(), Policy(), Conditions(5e6, 0.02))
    auto.decide(Seen(), 0.0)
    assert auto.current is short
    busy = Seen(worker_wait_s=Smoothed(0.0, 0.0, 1.0))
    assert (auto.decide(busy, 1.0).why, auto.decide(busy, 1.25).way) == ("probe", short)
    told = replace(link(5e6, 2.0), worker_wait_s=Smoothed(0.0, 0.0, 2.0))
    assert {auto.decide(told, second / 2).why for second in range(4, 60)} == {"stays"}


def test_a_probe_goes_where_there_is_hope() -> None:
    """Not the way that seems second best now, but the one that a faster link and worker would make the best."""
    late = Way("block8", "native", 8, 0.079, 500, 16_000, 16_000, tail_s=0.0005)
    auto = Scheduler((PICTURE, late, DEVICE), Rates(), Policy(), ASSUMED)
    seen = replace(link(4e6), worker_slowdown=Smoothed(2.0))
    first, second = auto.decide(seen, 0.0), auto.decide(seen, 1.0)
    by_now = {one.way.name: one.journey.total_s for one in first.judged}
    assert by_now["device"] < by_now[late.name] < by_now[PICTURE.name]
    assert (second.why, second.way) == ("probe", PICTURE)


def test_no_probe_breaks_a_limit() -> None:
    """Where no picture may leave and the activation is too long, nothing is sent to find out."""
    auto = scheduler(Policy(limits=Limits(keeps_pictures=True, message_bytes=1_000)))
    assert all(auto.decide(Seen(), float(second)).way is DEVICE for second in range(100))


def test_a_limit_that_is_broken_moves_the_split() -> None:
    """The way in use is left at once when it takes longer than allowed."""
    auto = scheduler(Policy(limits=Limits(deadline_s=0.050)))
    assert auto.decide(link(50e6), 0.0).way is PICTURE
    moved = auto.decide(link(12e6), 0.1)
    assert (moved.way, moved.why) == (MIDDLE, "limit")


def test_nothing_allowed_still_gives_a_way_that_keeps_pictures() -> None:
    """A deadline that no way meets is missed by as little as possible; what must not leave still does not."""
    auto = scheduler(Policy(limits=Limits(deadline_s=0.001, keeps_pictures=True)))
    found = auto.decide(link(50e6), 0.0)
    assert (found.way, found.why) == (MIDDLE, "nothing allowed")
    assert "the limits allow none of the 3 ways" in found.note


def test_what_leaks_does_not_leave_because_there_is_haste() -> None:
    """A deadline that no way meets opens nothing that the limit of leaks closes."""
    ways = (replace(PICTURE, leak_ssim=1.0), replace(MIDDLE, leak_ssim=0.6), DEVICE)
    auto = Scheduler(ways, Rates(), Policy(limits=Limits(deadline_s=0.001, leak_ssim_at_most=0.1)), ASSUMED)
    assert {auto.decide(link(50e6, float(second)), float(second)).way.name for second in range(90)} == {"device"}


def test_haste_is_no_reason_to_flap() -> None:
    """Where nothing is allowed the way changes as slowly as otherwise."""
    draw, auto = random.Random(2), scheduler(Policy(limits=Limits(deadline_s=0.001)))
    border = (40_000 - 8_000) * 8 / (MIDDLE.head_s + MIDDLE.tail_s - PICTURE.tail_s)
    seen = [replace(link(border * draw.uniform(0.95, 1.05), step / 4), worker_wait_s=Smoothed(0.0, 0.0, step / 4))
            for step in range(400)]  # fmt: skip
    ways = [auto.decide(one, step / 4).way for step, one in enumerate(seen)]
    assert sum(one is not other for one, other in itertools.pairwise(ways)) <= 1


@pytest.mark.parametrize(
    ("limits", "rate"), [(Limits(), 30.0), (Limits(deadline_s=0.05), 0.0), (Limits(frame_bytes=600), 10.0)]
)
def test_a_link_that_recovers_is_noticed(limits: Limits, rate: float) -> None:
    """However bad it looked, whatever it broke: probes go on, and what they measure is believed."""
    auto = scheduler(Policy(limits=limits))
    bad = replace(link(2e5), frames_per_s=rate)
    auto.decide(bad, 0.0)
    probes = [step for step in range(1, 120) if auto.decide(bad, float(step)).why == "probe"]
    assert len(probes) >= 4
    assert probes[-1] - probes[-2] == 30


def test_workers_that_refuse_are_asked_seldom() -> None:
    """Frames are finished on the device; one a minute is risked; once it is taken all is as before."""
    auto = scheduler()
    auto.decide(link(50e6), 0.0)
    refusing = [auto.decide(replace(link(50e6), refused_s=10.0), 10.0 + second) for second in range(150)]
    assert [one.at_s for one in refusing if one.why == "probe"] == [70.0, 130.0]
    assert {one.way.name for one in refusing if one.why != "probe"} == {"device"}
    assert auto.decide(link(50e6, 200.0), 200.0).way is PICTURE


def test_without_prices_the_weight_says_nothing() -> None:
    """What a device is told when it is told nothing, weight 0.5 and no costs: latency alone counts, and at once."""
    auto = scheduler(Policy(weight=0.5))
    auto.decide(link(50e6), 0.0)
    assert auto.decide(link(2e6), 0.1).why == "better"


def test_money_holds_no_way_that_is_far_too_slow() -> None:
    """The picture costs a hundredth and takes thirty times as long: with a weight of a tenth it is left."""
    rates = Rates("USD", device_per_s=1e-4, worker_per_s=1e-6)
    auto = Scheduler(WAYS, rates, Policy(weight=0.1), ASSUMED)
    auto.current = PICTURE
    assert auto.decide(link(1e5), 0.0).why == "better"
    assert auto.current is not PICTURE


def test_nothing_allowed_and_too_many_pictures_still_gives_a_way() -> None:
    """Where nothing keeps up the fastest is taken; where not even a message passes, the device's own."""
    auto = scheduler(Policy(limits=Limits(keeps_pictures=True)))
    many = replace(link(1e6), frames_per_s=1000.0, worker_wait_s=Smoothed(0.0))
    assert auto.decide(many, 0.0).why == "nothing allowed"
    assert auto.current is not PICTURE
    silent = scheduler(Policy(limits=Limits(message_bytes=10)))
    found = silent.decide(link(50e6), 0.0)
    assert (found.way, found.why) == (DEVICE, "nothing allowed")


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_cheaper_counts_where_money_does(weight: float) -> None:
    """A rented device that is fast and dear is left for the picture with weight 1, not with 0."""
    auto = Scheduler(WAYS, Rates("USD", device_per_s=1e-3, worker_per_s=1e-5), Policy(weight=weight), ASSUMED)
    assert auto.decide(link(2e6), 0.0).way is (MIDDLE if weight == 0 else PICTURE)


def test_a_link_that_trembles_is_not_trusted_with_more() -> None:
    """A way by a link that varies must be better at a deviation worse; nobody moves to it for its mean alone."""
    steady = Seen(s_per_bit=Smoothed(1 / 9e6, 0.0, 0.0))
    trembling = Seen(s_per_bit=Smoothed(1 / 9e6, (1 / 9e6) ** 2, 0.0))
    for seen, expected in ((steady, PICTURE), (trembling, DEVICE)):
        auto = Scheduler((PICTURE, DEVICE), Rates(), Policy(), ASSUMED)
        auto.decide(replace(seen, s_per_bit=Smoothed(1 / 1e6)), 0.0)
        assert auto.current is DEVICE
        for second in range(1, 6):
            auto.decide(seen, float(second))
        assert auto.current is expected


def test_what_cannot_keep_up_is_left() -> None:
    """Forty pictures a second of 40 kB are 12.8 Mbit/s: over a link of 12 another way is taken, slower though it is."""
    auto = Scheduler((PICTURE, MIDDLE, DEVICE), Rates(), Policy(), ASSUMED)
    assert auto.decide(link(50e6), 0.0).way is PICTURE
    moved = auto.decide(replace(link(12e6), frames_per_s=40.0), 1.0)
    assert (moved.way, moved.why) == (MIDDLE, "limit")
    lost = next(one for one in moved.judged if one.way is PICTURE)
    assert lost.reason == "the link would carry 12.8 Mbit/s of 12 Mbit/s"
    assert next(one for one in moved.judged if one.way is DEVICE).reason == "the device would be 320% busy"
