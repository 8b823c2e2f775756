"""What the peer of the drills says and saves; the rest of it is a paho client."""

from __future__ import annotations

import json
from pathlib import Path

from evaluation.drill_peer import VALUES, captured_in, image_of, message, saved


def test_a_message_is_json_with_an_activation() -> None:
    """As papers/002 sends it: picture, place, and the tensor as numbers."""
    said = json.loads(message("b1", 3))
    assert (said["image"], len(said["activation"])) == ("b1-3", VALUES)
    assert message("b1", 4) != message("b1", 3)


def test_what_is_saved_names_its_picture() -> None:
    """So that it can be counted."""
    assert image_of(saved(message("b1", 3).encode()).encode()) == "b1-3"


def test_pictures_are_counted_over_all_starts(tmp_path: Path) -> None:
    """Each start has a file of its own; one that has taken none yet counts none."""
    for name, text in (("a", "7"), ("b", "12"), ("c", "")):
        (tmp_path / f"{name}.count").write_text(text)
    assert captured_in(tmp_path) == 19
