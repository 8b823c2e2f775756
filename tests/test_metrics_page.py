"""docs/metrics.md tells of the figures that there are."""

from __future__ import annotations

import re

import pytest

from tests.metrics_page import FILE, PAGES, told, written


def test_the_page_is_written_from_the_code() -> None:
    """`python -m tests.metrics_page` would change nothing."""
    assert FILE.read_text() == written()


@pytest.mark.parametrize("part", PAGES)
def test_names_say_what_and_in_which_unit(part: str) -> None:
    """Each once, of its process, in small letters; counters end in _total and nothing else does; labels are few."""
    figures = PAGES[part]
    names = [one.name for one in figures]
    assert len(set(names)) == len(names) == len(told(part)) > 5
    for one in figures:
        assert re.fullmatch(r"headwater_(edge|worker|http|site)_[a-z_]+", one.name)
        assert one.name.endswith("_total") == (one.kind == "counter")
        assert not one.name.endswith(("_ms", "_ns", "_kb", "_mb"))
        assert bool(one.bounds) == (one.kind == "histogram")
        assert set(one.labels) <= {
            "at", "body", "bundle", "codec", "kind", "reason", "release", "route", "split", "stage", "state", "status",
            "why",
        }  # fmt: skip
        assert one.text.endswith(".")
