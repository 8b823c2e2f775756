"""What goes when a camera's spool is full."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edge.delivery import Delivery
from edge.keeping import Full
from edge.room import SPARSEST, Room
from tests.edge.samples import EARLIER_BOOT, key


def waiting(*numbers: int) -> Delivery:
    """Return frames that wait."""
    delivery = Delivery(10, 60, lambda: 0.0)
    delivery.add(map(key, numbers))
    return delivery


def test_the_oldest_goes_or_the_newest() -> None:
    """One at a time, or nobody: then it is the new one that finds no room."""
    assert Room("oldest").victims(waiting(4, 5, 6)) == ("overflow", [key(4)])
    assert Room("newest").victims(waiting(4, 5, 6)) == ("overflow", [])


@pytest.mark.parametrize("policy", ["oldest", "newest", "thin"])
def test_nobody_goes_where_nobody_waits(policy: Full) -> None:
    """What is sent stays."""
    assert Room(policy).victims(waiting()) == ("overflow", [])


def test_thinning_takes_every_second_frame_of_those_there_and_those_to_come() -> None:
    """Twice: every fourth is left; once the outage is over every frame is kept again."""
    room = Room("thin")
    assert room.victims(waiting(*range(8))) == ("thinned", [key(1), key(3), key(5), key(7)])
    assert [room.wants(key(n)) for n in range(8, 12)] == [True, False, True, False]
    assert room.victims(waiting(0, 2, 4, 6)) == ("thinned", [key(2), key(6)])
    assert [n for n in range(8, 20) if room.wants(key(n))] == [8, 12, 16]
    room.relax()
    assert all(room.wants(key(n)) for n in range(20))


def test_thinning_goes_on_until_somebody_goes() -> None:
    """Of frames whose numbers are all even it takes those that 4 does not divide, and so on; in the end the oldest."""
    assert Room("thin").victims(waiting(4, 8, 12)) == ("thinned", [key(4), key(12)])
    never = waiting(0, SPARSEST)
    never.add([key(0, EARLIER_BOOT)])
    assert Room("thin").victims(never) == ("overflow", [key(0)])


@pytest.mark.parametrize("frames", [100, 1000, 5000])
def test_what_is_left_of_an_outage_is_even_in_time(frames: int) -> None:
    """However long it lasts: the gaps between what is left are all the same, from its first frame to its last."""
    room, kept, room_for = Room("thin"), list[int](), 64
    for number in range(frames):
        while room.wants(key(number)) and len(kept) >= room_for:
            _, gone = room.victims(waiting(*kept))
            kept = [n for n in kept if key(n) not in gone]
        if room.wants(key(number)):
            kept.append(number)
    gaps = {after - before for before, after in pairwise(kept)}
    assert len(gaps) == 1
    assert room_for / 2 <= len(kept) <= room_for
    assert kept[0] == 0
    assert kept[-1] > frames - 1 - max(gaps)
