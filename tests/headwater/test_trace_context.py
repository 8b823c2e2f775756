"""A traceparent from the network is read as W3C Trace Context has it, or passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.trace_context import LONGEST, TraceContext, read_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
KNOWN = f"00-{TRACE}-{SPAN}-01"


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


@given(hexadecimal(32), hexadecimal(16), st.booleans())
def test_what_is_written_is_read_again(trace: str, span: str, is_sampled: bool) -> None:
    """A round trip of 55 characters."""
    context = TraceContext(trace, span, is_sampled)
    assert read_traceparent(str(context)) == context
    assert len(str(context)) == 55


@pytest.mark.parametrize(
    ("text", "is_sampled"),
    [
        (KNOWN, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-ff", True),  # flags that this version does not know
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01", True),  # a later version
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
    ],
)
def test_other_flags_and_later_versions_are_read_as_far_as_this_one_goes(text: str, is_sampled: bool) -> None:
    """Section 3.2.4 of the source: what is behind the known part is not looked at."""
    assert read_traceparent(text) == TraceContext(TRACE, SPAN, is_sampled)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "t",
        "00-a-b-01",
        KNOWN.upper(),
        f" {KNOWN}",
        f"{KNOWN} ",
        f"{KNOWN}\n",
        f"{KNOWN}-",
        f"{KNOWN}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01-{'x' * LONGEST}",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        f"00-{TRACE[:-1]}\x00-{SPAN}-01",
    ],
)
def test_what_is_not_well_formed_is_none(text: str | None) -> None:
    """Cut short, too long, all nought, in capitals, with digits of another script, of the version that there is not."""
    assert read_traceparent(text) is None


@given(st.text(max_size=600) | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"))
def test_no_text_does_harm(text: str) -> None:
    """Whatever comes: None, or a context that this program may write itself."""
    found = read_traceparent(text)
    assert found is None or read_traceparent(str(found)) == found


@given(st.integers(0, 54), st.characters())
def test_a_character_changed_is_another_context_or_none(place: int, character: str) -> None:
    """No other text says the same."""
    changed = KNOWN[:place] + character + KNOWN[place + 1 :]
    found = read_traceparent(changed)
    assert changed == KNOWN or found is None or found != read_traceparent(KNOWN) or place < 2 or place > 52
