"""What a way takes, what limits forbid, what is chosen, and why the others lost."""

from dataclasses import replace

import pytest

from planning.decide import Judged, Limits, Rates, chosen, decide, rates_of
from planning.errors import PlanError
from planning.monotone import falling, rising
from planning.prices import Messages, load_book
from planning.ways import Conditions, ExitChance, Way, journey, uplink_s

LINK = Conditions(bandwidth_bits_per_s=8e6, round_trip_s=0.04)
SHORT = 500
PICTURE = Way(
    "image", "jpeg:90", 0, 0.0, SHORT, 10_000, 12_000, tail_s=0.010, shows_picture=True, accuracy=0.9, leak_ssim=1.0
)
MIDDLE = Way(
    "block3", "native+zstd", 3, 0.020, SHORT, 4_000, 4_500, encode_s=0.001, decode_s=0.001, tail_s=0.006, accuracy=0.92
)
DEVICE = Way("device", "none", 9, 0.050, SHORT, finishes=True, accuracy=0.92)
WAYS = (PICTURE, MIDDLE, DEVICE)


def test_a_payload_takes_its_bits_and_half_the_round_trip() -> None:
    """As in Luger 2023, equation 4.3, in its units: 10 kB at 1000 kbit/s and 40 ms of ping are 0.1 s."""
    assert uplink_s(10_000, 1e6, 0.04) == pytest.approx(10_000 * 8 / (1000 * 1000) + 40 / (2 * 1000))


def test_a_journey_is_the_sum_of_its_stages() -> None:
    """Device, link and worker add up, each scaled by its own slowdown."""
    at = replace(LINK, device_slowdown=2.0, worker_slowdown=3.0, worker_wait_s=0.005)
    taken = journey(MIDDLE, at)
    assert taken.device_s == pytest.approx(2 * 0.021)
    assert taken.worker_s == pytest.approx(3 * 0.007)
    assert taken.total_s == pytest.approx(0.042 + 0.004 + 0.02 + 0.005 + 0.021)


def test_who_finishes_on_the_device_still_tells_the_answer() -> None:
    """Nothing is encoded or waits at the worker; a short message travels."""
    taken = journey(DEVICE, replace(LINK, worker_wait_s=1.0))
    assert taken.total_s == pytest.approx(0.050 + SHORT * 8 / 8e6 + 0.02)
    assert taken.payload_bytes == SHORT


def test_early_exits_weigh_in_with_their_share() -> None:
    """Of 100 frames 75 leave after 8 ms and send a short message; 25 cost all of it."""
    way = replace(MIDDLE, exits=(ExitChance("exit1", 0.75, 0.008),))
    taken = journey(way, LINK)
    assert taken.head_s == pytest.approx(0.75 * 0.008 + 0.25 * 0.020)
    assert taken.payload_bytes == pytest.approx(0.25 * 4_000 + 0.75 * SHORT)
    assert taken.tail_s == pytest.approx(0.25 * 0.006)
    assert taken.uplink_s == pytest.approx(0.02 + taken.payload_bytes * 8 / 8e6)


def test_exactly_one_way_has_nothing_against_it() -> None:
    """It is the fastest with weight 0; the others say by how much they are slower."""
    judged = decide(WAYS, LINK, Rates(), 0.0)
    assert chosen(judged).way is PICTURE
    assert [one.reason is None for one in judged] == [True, False, False]
    assert "slower" in str(judged[1].reason)


@pytest.mark.parametrize(("bandwidth", "best"), [(80e6, "image"), (2e6, "block3"), (2e5, "device")])
def test_a_slower_link_moves_the_split_towards_the_device(bandwidth: float, best: str) -> None:
    """The same three ways, three links, three answers."""
    assert chosen(decide(WAYS, replace(LINK, bandwidth_bits_per_s=bandwidth), Rates(), 0.0)).way.split == best


def test_money_counts_where_the_weight_says_so() -> None:
    """A rented device is dear: with weight 1 the picture is sent though the link is slow."""
    rates, slow = Rates("USD", device_per_s=1e-3, worker_per_s=1e-4), replace(LINK, bandwidth_bits_per_s=2e5)
    assert chosen(decide(WAYS, slow, rates, 0.0)).way is DEVICE
    assert chosen(decide(WAYS, slow, rates, 1.0)).way is PICTURE
    judged = decide(WAYS, slow, rates, 0.0)
    assert judged[0].cost == pytest.approx(0.010 * 1e-4)
    assert "cheaper" in str(judged[0].reason)


def test_messages_are_paid_by_what_travels() -> None:
    """10 kB make two metered pieces of 5 kB, in and out, a short message and the result one each."""
    rates = Rates(messages=Messages(1.0, 5_120))
    assert [one.cost for one in decide(WAYS, LINK, rates, 0.5)] == [6.0, 4.0, 4.0]


def test_the_mean_fee_is_the_mean_of_whole_pieces() -> None:
    """Of frames that weigh 20 kB 80 % leave early: 0.2 times four pieces and 0.8 times one, not those of the mean."""
    way = replace(PICTURE, payload_bytes=20_000, exits=(ExitChance("exit1", 0.8, 0.001),))
    (found,) = decide((way,), LINK, Rates(messages=Messages(1.0, 5_120)), 0.5)
    assert found.cost == pytest.approx(2 * (0.2 * 4 + 0.8 * 1) + 2)


def test_what_leaves_the_cloud_is_paid_by_the_byte() -> None:
    """The result of each frame, whoever finished it."""
    judged = decide(WAYS, LINK, Rates(transfer_per_byte=1e-3), 0.5)
    assert [one.cost for one in judged] == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("limits", "forbidden", "words"),
    [
        (Limits(message_bytes=11_000), {"image"}, "a message has 12,000 B, over 11,000 B"),
        (Limits(message_bytes=4_200), {"image", "block3"}, "a message has 4,500 B, over 4,200 B"),
        (Limits(frame_bytes=600), {"image", "block3"}, "its mean frame has"),
        (Limits(deadline_s=0.055), {"device"}, "it takes 70.50 ms, over 55.00 ms"),
        (Limits(accuracy_at_least=0.91), {"image"}, "90.00% of its answers are right, under 91.00%"),
        (Limits(leak_ssim_at_most=0.5), {"image", "block3"}, "nobody measured what it leaks"),
        (Limits(keeps_pictures=True), {"image"}, "the picture would leave the device"),
        (Limits(energy_j_at_most=0.2), {"device"}, "it takes the device 0.25 J"),
    ],
)
def test_a_limit_takes_ways_out_and_says_why(limits: Limits, forbidden: set[str], words: str) -> None:
    """What breaks it is not chosen, whatever the weight, and keeps its reason; the rest is allowed."""
    judged = decide(WAYS, LINK, Rates(watts=5.0), 0.0, limits)
    assert {one.way.split for one in judged if not one.is_allowed} == forbidden
    assert any(words in str(one.reason) for one in judged if not one.is_allowed)
    assert chosen(judged).is_allowed


def test_an_unknown_accuracy_does_not_pass_a_floor() -> None:
    """What nobody measured is not taken for good."""
    judged = decide((replace(PICTURE, accuracy=None), MIDDLE), LINK, Rates(), 0.0, Limits(accuracy_at_least=0.5))
    assert "nobody measured its accuracy" in str(judged[0].reason)


def test_a_message_that_none_may_send_is_refused_for_the_device_too() -> None:
    """Finished predictions travel as well: under their size nothing is allowed."""
    with pytest.raises(PlanError, match="device: a message has 500 B, over 400 B"):
        decide(WAYS, LINK, Rates(), 0.0, Limits(message_bytes=400))


def test_an_energy_limit_needs_watts() -> None:
    """Without them every way would pass."""
    with pytest.raises(PlanError, match="watts are not known"):
        decide(WAYS, LINK, Rates(), 0.0, Limits(energy_j_at_most=1e-9))


def test_why_not_says_what_is_known() -> None:
    """Only the time where nothing costs anything, money as such where the best is free, and shares else."""
    assert decide(WAYS, LINK, Rates(), 0.0)[1].reason == "12.00 ms slower"
    free = decide(WAYS, replace(LINK, bandwidth_bits_per_s=2e5), Rates(worker_per_s=1e-3), 0.0)
    assert free[2].reason is None
    assert str(free[0].reason).endswith("ms slower, 10 a million frames dearer; another is no worse in either")


def test_nothing_allowed_is_one_line_with_the_nearest() -> None:
    """It names what the fastest ways break, and what to do."""
    with pytest.raises(PlanError, match=r"none of the 3 ways.*image jpeg:90: it takes .* over 1.00 ms.*loosen a limit"):
        decide(WAYS, LINK, Rates(), 0.5, Limits(deadline_s=0.001))
    with pytest.raises(PlanError, match="no way to choose from"):
        decide((), LINK, Rates(), 0.5)


def test_the_dominated_are_told_from_the_front() -> None:
    """Who loses in both says so; who is on the Pareto front is marked."""
    rates = Rates(worker_per_s=1.0)
    judged = decide(WAYS, LINK, rates, 0.0)
    assert [one.is_on_front for one in judged] == [True, True, True]
    worse = replace(MIDDLE, split="block4", tail_s=0.02)
    judged = decide((*WAYS, worse), LINK, rates, 0.0)
    assert "another is no worse in either" in str(judged[3].reason)
    assert isinstance(judged[3], Judged)


def test_rates_follow_from_a_book() -> None:
    """Rent and power of the device, the hour of the server with its disk, by name or the first of the book."""
    rented = rates_of(load_book("luger-2023"), "rent", None)
    assert rented.device_per_s * 3600 == pytest.approx(0.224)
    assert rented.worker_per_s * 3600 == pytest.approx(0.1664)
    assert rates_of(load_book("luger-2023"), None, None).device_per_s == 0
    powered = rates_of(load_book("leroy-2021"), "jetson-nano", None)
    assert powered.device_per_s * 3600 == pytest.approx(0.01 * 0.20)
    assert powered.watts == 10
    with pytest.raises(PlanError, match="did you mean rent"):
        rates_of(load_book("luger-2023"), "rented", None)


def test_measured_times_are_made_to_rise() -> None:
    """Neighbours that contradict each other share their mean; what rises already stays."""
    assert rising([1, 3, 2, 4]) == [1, 2.5, 2.5, 4]
    assert rising([3, 2, 1]) == [2, 2, 2]
    assert rising([1, 2, 2, 5]) == [1, 2, 2, 5]
    assert falling([4, 2, 3, 1]) == [4, 2.5, 2.5, 1]
    assert rising([]) == []
