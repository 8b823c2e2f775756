"""A flood of garbage is counted, and reported at a bounded rate."""

from __future__ import annotations

from cloud_worker.telling import Telling


class Watch:
    """A clock that is set."""

    def __init__(self) -> None:
        self.s = 0.0

    def now_ns(self) -> int:
        return round(self.s * 1e9)


def told(telling: Telling, kind: str, count: int) -> int:
    return sum(telling.tells(kind) for _ in range(count))


def test_a_flood_is_told_of_at_a_rate() -> None:
    """Some at once, then so many a second; what is left out is counted."""
    watch = Watch()
    telling = Telling(watch.now_ns, per_s=10, at_once=20)
    assert told(telling, "Malformed", 1000) == 20
    watch.s = 1.0
    assert told(telling, "Malformed", 1000) == 10
    assert telling.untold == 980 + 990
    watch.s = 1000.0
    assert told(telling, "Malformed", 1000) == 20


def test_a_flood_of_one_kind_hides_no_other() -> None:
    """Faults of the worker's own are told as if there were no garbage, at once and from then on."""
    watch = Watch()
    telling = Telling(watch.now_ns, per_s=10, at_once=20)
    told(telling, "Malformed", 1000)
    assert told(telling, "FailedFrame", 1000) == 20
    watch.s = 0.5
    assert [told(telling, kind, 1000) for kind in ("Malformed", "FailedFrame", "TooLarge")] == [5, 5, 20]


def test_a_clock_that_goes_back_tells_of_no_more() -> None:
    """Nor of fewer, once it goes on."""
    watch = Watch()
    telling = Telling(watch.now_ns, per_s=10, at_once=5)
    told(telling, "Malformed", 100)
    watch.s = -50.0
    assert told(telling, "Malformed", 100) == 0
    watch.s = -49.0
    assert told(telling, "Malformed", 100) == 5
