"""From the start of a container to its first frame, for the three images of ours."""

from __future__ import annotations

import pytest

from tests.containers.engine import BUILD_S, run

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(BUILD_S + 600)]
LONGEST_S = 2.0
RUNS = 3


def test_a_first_frame_comes_soon() -> None:
    """Device, worker and site: at best within two seconds, as others may use the machine meanwhile; nothing is left."""
    said = run("compose/test/start-times", str(RUNS), "test", deadline_s=500).stdout
    times = {line.split()[0]: [float(word) for word in line.split()[1 : 1 + RUNS]] for line in said.splitlines()}
    assert set(times) == {"edge", "worker", "visualizer"}
    assert {part: best for part, all_s in times.items() if (best := min(all_s)) > LONGEST_S} == {}, said
    assert run("docker", "ps", "--all", "--quiet", "--filter", "name=headwater-start-times").stdout == ""
