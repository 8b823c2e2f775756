"""Rows of text in columns."""

from models.columns import in_columns


def test_columns_are_as_wide_as_their_widest_text() -> None:
    """Words stand to the left, figures to the right, and no line ends in spaces."""
    assert in_columns(["way", "ms", "why"], [["device", "7", "chosen"], ["image", "12.5", ""]], {"ms"}) == (
        "way       ms  why\ndevice     7  chosen\nimage   12.5"
    )


def test_a_header_alone_is_a_line() -> None:
    """No rows, no fault."""
    assert in_columns(["book", "currency"], []) == "book  currency"
