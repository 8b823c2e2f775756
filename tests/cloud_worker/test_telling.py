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
    assert told(telling, "Malformed", 1000) == 21  # the first of its kind, and 20 more
    watch.s = 1.0
    assert told(telling, "Malformed", 1000) == 10
    assert telling.untold == 979 + 990
    watch.s = 1000.0
    assert told(telling, "Malformed", 1000) == 20


def test_the_first_of_each_kind_is_always_told() -> None:
    """A flood of one kind does not hide that another has begun."""
    telling = Telling(Watch().now_ns, per_s=10, at_once=20)
    told(telling, "Malformed", 1000)
    assert [telling.tells(kind) for kind in ("UnknownModel", "UnknownModel", "TooLarge")] == [True, False, True]


def test_a_clock_that_goes_back_tells_of_no_more() -> None:
    """Nor of fewer, once it goes on."""
    watch = Watch()
    telling = Telling(watch.now_ns, per_s=10, at_once=5)
    told(telling, "Malformed", 100)
    watch.s = -50.0
    assert told(telling, "Malformed", 100) == 0
    watch.s = -49.0
    assert told(telling, "Malformed", 100) == 5
