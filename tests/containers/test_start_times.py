"""From the start of a container to its first frame, for the three images of ours."""

from __future__ import annotations

import pytest

from tests.containers.engine import BUILD_S, run

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(BUILD_S + 1000)]
PARTS = ("edge", "worker", "visualizer")
LONGEST_S = 2.0
"""What is promised, on the machine of docs/containers.md, where the slowest of the three takes 1.54."""
YARDSTICK_S = 1.3
"""Where the yardstick of compose/test/start-times takes no longer, beside the site, the promise holds as it stands."""
RUNS = 3


def test_a_first_frame_comes_soon() -> None:
    """Device, worker and site: at best within two seconds, as others may use the machine meanwhile; nothing is left.

    Where the yardstick, a container that runs nothing of ours, takes longer than that, the machine is slower than the
    documented one, and each may take longer by the same factor.
    """
    said = run("compose/test/start-times", str(RUNS), "test", deadline_s=900).stdout
    best_s = {words[0]: min(map(float, words[1 : 1 + RUNS])) for words in map(str.split, said.splitlines())}
    assert set(best_s) == {*PARTS, *(f"{part}-yardstick" for part in PARTS)}
    longest_s = {part: LONGEST_S * max(1.0, best_s[f"{part}-yardstick"] / YARDSTICK_S) for part in PARTS}
    assert {part: best_s[part] for part in PARTS if best_s[part] > longest_s[part]} == {}, said
    assert run("docker", "ps", "--all", "--quiet", "--filter", "name=headwater-start-times").stdout == ""
