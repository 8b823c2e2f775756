"""How far a long command is, told to a log."""

from __future__ import annotations

from models.bars import _Lines


def test_a_log_gets_a_line_every_half_minute_and_none_of_short_work() -> None:
    """Lines come 30 s apart and say how far the work is and how long it has taken."""
    now_s, said = 100.0, list[str]()
    lines = _Lines("measuring", said.append, lambda: now_s)
    for now_s in (110.0, 129.0, 131.0, 160.0, 190.0):
        lines.show(int(now_s), 200)
    assert said == ["measuring: 131 of 200 after 0:00:31", "measuring: 190 of 200 after 0:01:30"]
