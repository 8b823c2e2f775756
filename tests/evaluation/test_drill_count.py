"""Captured = finished + dropped + lost, whoever was killed when."""

from __future__ import annotations

from typing import Any

from evaluation.drill_count import MOST_IN_HAND, Counts, Run, Stored, count, count_peer


def figures(captured: int, finished: int, *, in_flight: int = 0, **dropped: int) -> dict[str, Any]:
    """Return what a device prints at its end."""
    by = {"device": finished, "worker": 0}
    return {"captured": captured, "finished": by, "dropped": dropped, "in_flight": in_flight}


def stored(boot: str, *sequences: int, at_ns: int) -> list[Stored]:
    """Return records of one start of a device, captured from a moment on."""
    return [Stored(boot, sequence, at_ns + sequence) for sequence in sequences]


def test_a_device_that_ended_tells_all() -> None:
    """What it captured and did not drop is in the store."""
    runs = [Run(100, figures(10, 8, disk=2))]
    assert count(runs, stored("a", *range(8), at_ns=200)) == Counts(10, 8, {"disk": 2})


def test_a_gap_in_the_store_is_a_loss() -> None:
    """Of a device that ended, and of one that was killed: whatever came after it was committed, so it was, too."""
    whole = [Run(100, figures(10, 9, in_flight=1))]
    assert count(whole, stored("a", *range(9), at_ns=200)).lost == 1
    killed = [Run(100, None, 6), Run(300, figures(4, 4))]
    found = count(killed, [*stored("a", 0, 1, 3, 4, at_ns=200), *stored("b", *range(4), at_ns=400)])
    assert (found.captured, found.finished, found.lost, found.in_hand) == (9, 8, 1, 1)


def test_what_the_spool_held_must_come_to_the_store() -> None:
    """The frames at its end would leave no gap; the spool was seen to hold them."""
    killed = [Run(100, None, 7, frozenset({("a", 4), ("a", 5)})), Run(300, figures(2, 2))]
    after = stored("b", 0, 1, at_ns=400)
    assert count(killed, [*stored("a", *range(6), at_ns=200), *after]) == Counts(8, 8, {}, 0, 0, 1)
    assert count(killed, [*stored("a", *range(4), at_ns=200), *after]).lost == 2


def test_a_start_of_which_the_store_has_nothing_is_lost_as_a_whole() -> None:
    """Its spool names it."""
    killed = [Run(100, None, 3, frozenset({("a", 0), ("a", 1), ("a", 2)})), Run(300, figures(2, 2))]
    assert count(killed, stored("b", 0, 1, at_ns=400)) == Counts(5, 2, {}, 3)


def test_starts_are_told_apart_by_their_time() -> None:
    """Killed twice, then well: the frames of the last start are counted by its figures, not by their numbers."""
    runs = [
        Run(100, None, 5, frozenset({("a", 3)})),
        Run(300, None, 9, frozenset({("a", 3), ("b", 1)})),
        Run(500, figures(3, 7)),
    ]
    kept = [*stored("a", *range(4), at_ns=200), *stored("b", 0, 1, at_ns=400), *stored("c", *range(3), at_ns=600)]
    assert count(runs, kept) == Counts(9, 9, {}, 0, 0, 8)


def test_a_start_that_committed_nothing_has_all_in_hand() -> None:
    """Killed before the first commit: nothing was promised."""
    runs = [Run(100, None, 2), Run(300, figures(1, 1))]
    assert count(runs, stored("b", 0, at_ns=400)) == Counts(1, 1, {}, 0, 0, 2)


def test_no_more_is_in_hand_than_fits_there() -> None:
    """A killed start whose spool and store know less than it captured, but for what is in the head: that was lost."""
    runs = [Run(100, None, 60, frozenset({("a", 4)})), Run(300, figures(1, 1))]
    kept = [*stored("a", *range(5), at_ns=200), *stored("b", 0, at_ns=400)]
    assert count(runs, kept) == Counts(61 - MOST_IN_HAND, 6, {}, 55 - MOST_IN_HAND, 0, MOST_IN_HAND)


def test_a_record_that_is_there_twice_is_counted() -> None:
    """By the store's records, and by a device that counts more ends than frames."""
    runs = [Run(100, figures(2, 2))]
    assert count(runs, stored("a", 0, 1, 1, 1, at_ns=200)).twice == 2
    assert count([Run(100, figures(2, 3, in_flight=-1))], stored("a", 0, 1, at_ns=200)).twice == 1


def test_an_answer_without_a_record_is_a_loss() -> None:
    """A device that was told its frame is finished, and a store that does not have it."""
    assert count([Run(100, figures(3, 3))], stored("a", 0, 1, at_ns=200)).lost == 1
    dropped_and_stored = [Run(100, figures(3, 2, refused=1))]
    assert count(dropped_and_stored, stored("a", 0, at_ns=200)).lost == 1


def test_counts_add_up() -> None:
    """Over drills, drops by their reasons."""
    both = Counts(5, 3, {"disk": 1}, 1) + Counts(7, 4, {"disk": 1, "stale": 2}, 0, 1, 3)
    assert both == Counts(12, 7, {"disk": 2, "stale": 2}, 1, 1, 3)
    assert not both.is_well
    assert Counts(1, 1).is_well


def test_the_peer_is_counted_by_what_it_saved() -> None:
    """It says how many it made; what is saved twice counts once as saved."""
    assert count_peer(5, ["a-0", "a-1", "a-1", "a-4"]) == Counts(5, 3, {}, 2, 1)
