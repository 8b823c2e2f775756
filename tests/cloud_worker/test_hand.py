"""What a process had in hand when it ended is known to the next."""

from __future__ import annotations

import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from cloud_worker.hand import HELD, REFUSED, STRUCK, SUSPECT, Hand, key_of
from cloud_worker.process import hand_of
from cloud_worker.settings import WorkerSettings
from headwater.errors import SettingsError
from tests.cloud_worker.fleet import deliver


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.mark.parametrize(
    ("held", "crashed", "hung", "strikes"),
    [
        ([1], True, False, {key(1): REFUSED}),
        ([1], False, True, {key(1): REFUSED}),
        ([1], False, False, {key(1): SUSPECT}),
        ([1, 2, 3], True, False, {key(1): SUSPECT, key(2): SUSPECT, key(3): SUSPECT}),
        ([], True, True, {}),
    ],
)
def test_what_was_in_hand_is_blamed(
    tmp_path: Path, held: list[int], crashed: bool, hung: bool, strikes: dict[bytes, int]
) -> None:
    """Refused, when it was alone and the process hung or crashed at it; else suspect; and it is said once."""
    Hand(tmp_path / "hand").hold([key(one) for one in held])
    if hung:
        Hand(tmp_path / "hand").note_hang()
    after = Hand(tmp_path / "hand")
    assert after.ended(crashed=crashed) == strikes
    assert after.ended(crashed=True) == {}


def test_an_empty_hand_blames_nothing(tmp_path: Path) -> None:
    """What was finished before the end is nobody's fault."""
    hand = Hand(tmp_path / "hand")
    hand.hold([key(1)])
    hand.empty()
    assert Hand(tmp_path / "hand").ended(crashed=True) == {}


def test_what_hung_stays_blamed(tmp_path: Path) -> None:
    """The thread may go on until its process has ended: the next frame that it takes is not the one."""
    hand = Hand(tmp_path / "hand")
    hand.hold([key(1)])
    hand.note_hang()
    hand.empty()
    hand.hold([key(2)])
    assert Hand(tmp_path / "hand").ended() == {key(1): REFUSED}
    hand.hold([key(3)])
    assert hand.ended() == {key(3): SUSPECT}


def test_more_than_can_be_held_is_cut(tmp_path: Path) -> None:
    """Of a large batch the first are suspect, and the strikes stay as they were."""
    hand = Hand(tmp_path / "hand")
    hand.strike({key(900): 1})
    hand.hold([key(one) for one in range(HELD + 5)])
    assert list(hand.ended()) == [key(one) for one in range(HELD)]
    assert hand.strikes(key(900)) == 1


def test_strikes_add_up_and_are_seen_by_all_who_have_the_file(tmp_path: Path) -> None:
    """One of a killed process is a suspect; the second time it is refused; others have none."""
    first, second = Hand(tmp_path / "hand"), Hand(tmp_path / "hand")
    assert second.strikes(key(7)) == 0
    first.strike({key(7): SUSPECT})
    assert second.strikes(key(7)) == SUSPECT
    first.strike({key(7): SUSPECT})
    assert second.strikes(key(7)) == REFUSED
    for _ in range(300):
        first.strike({key(7): SUSPECT})
    assert (second.strikes(key(7)), second.strikes(key(8))) == (255, 0)


def test_the_oldest_of_many_is_forgotten(tmp_path: Path) -> None:
    """The file never grows."""
    hand = Hand(tmp_path / "hand")
    size = (tmp_path / "hand").stat().st_size
    for one in range(1, STRUCK + 2):
        hand.strike({key(one): REFUSED})
    assert [hand.strikes(key(one)) for one in (1, 2, STRUCK + 1)] == [0, REFUSED, REFUSED]
    assert (tmp_path / "hand").stat().st_size == size


def test_a_watchdog_that_runs_is_seen_to(tmp_path: Path) -> None:
    """Its ticks change and are never nought, until it or its process ends."""
    own, parent = Hand(tmp_path / "hand"), Hand(tmp_path / "hand")
    found = []
    for _ in range(600):
        own.tick()
        found.append(parent.ticks)
    assert 0 not in found
    assert all(one != other for one, other in pairwise(found))
    own.tick_no_more()
    assert parent.ticks == 0
    own.tick()
    parent.ended()
    assert own.ticks == 0


def test_a_resent_message_has_the_same_key() -> None:
    """By its frame id, whatever else is new in it; without an id by its bytes; never another device's."""
    first = deliver(b"sent at 1", correlation=b"cam1-9f3c2a1b-7").message
    assert key_of(first) == key_of(replace(first, payload=b"sent at 2", mid=9))
    assert key_of(first) != key_of(replace(first, correlation=b"cam1-9f3c2a1b-8"))
    assert key_of(first) != key_of(replace(first, topic="headwater/v1/demo/cam2/frame"))
    assert key_of(deliver(b"x").message) == key_of(deliver(b"x", mid=9).message) != key_of(deliver(b"y").message)


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """One that holds other things, a folder, one that is a link: said, and not written to."""
    notes, link = tmp_path / "notes", tmp_path / "link"
    notes.write_text("remember the milk")
    link.symlink_to(tmp_path / "hand")
    for path in (notes, link, tmp_path, tmp_path / "no folder" / "hand"):
        with pytest.raises(SettingsError, match="--in-hand-file"):
            Hand(path)
    assert notes.read_text() == "remember the milk"


def test_a_process_without_a_parent_takes_over_what_the_last_one_left(tmp_path: Path) -> None:
    """After a hang its frame is refused at once; after somebody's kill the second time."""
    settings = WorkerSettings(in_hand_file=tmp_path / "hand")
    first = hand_of(settings)
    first.hold([key(1)])
    first.note_hang()
    second = hand_of(settings)
    assert second.strikes(key(1)) == REFUSED
    second.hold([key(2)])
    assert hand_of(settings).strikes(key(2)) == SUSPECT
    second.hold([key(2)])
    assert hand_of(settings).strikes(key(2)) == REFUSED


def test_a_kill_is_no_crash() -> None:
    """Whoever ends a process from outside meets a frame by chance."""
    from cloud_worker.several import CRASHES

    assert signal.SIGSEGV in CRASHES
    assert not {signal.SIGKILL, signal.SIGTERM, signal.SIGINT} & set(CRASHES)
