"""The image's worker, in which each tail takes a while longer, without using the processor: others are not slowed."""

from __future__ import annotations

import time
from typing import Any

from cloud_worker import tail
from headwater.cli import main

LONGER_S = 0.1
answers = tail.answers


def slow_answers(ready: Any) -> Any:
    """Run what is left of a frame's model, after a while."""
    time.sleep(LONGER_S)
    return answers(ready)


tail.answers = slow_answers  # also where a worker's own process imports this
if __name__ == "__main__":
    main(["worker", "--processes", "1"])
