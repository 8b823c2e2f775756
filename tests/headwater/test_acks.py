"""Acknowledgements leave in the order in which their messages came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.acks import AckOrder


@given(st.permutations(list(range(1, 12))))
def test_acknowledgements_keep_the_order_of_arrival(finished: list[int]) -> None:
    """In whatever order messages are finished, each is acknowledged once and never before an earlier one."""
    order = AckOrder()
    for mid in range(1, 12):
        order.came(mid)
    sent = [mid for done in finished for mid in order.done(done)]
    assert sent == list(range(1, 12))


def test_a_message_is_acknowledged_as_soon_as_all_before_it_are() -> None:
    """Finishing the first message releases those behind it that were finished already."""
    order = AckOrder()
    for mid in (7, 3, 9):
        order.came(mid)
    assert order.done(3) == []
    assert order.done(7) == [7, 3]
    assert order.done(9) == [9]


def test_a_new_connection_begins_anew() -> None:
    """Messages of a lost connection hold back nothing on the next."""
    order = AckOrder()
    order.came(1)
    order.forget()
    order.came(2)
    assert order.done(2) == [2]
