"""The image's worker, in which each tail takes a while longer, without using the processor: others are not slowed."""

from __future__ import annotations

import time
from typing import Any

from cloud_worker.tail import Finisher
from headwater.cli import main

LONGER_S = 0.1
run = Finisher.run


def slowly(finisher: Finisher, work: Any) -> None:
    """Run what is left of a frame's model, after a while."""
    time.sleep(LONGER_S)
    run(finisher, work)


if __name__ == "__main__":
    Finisher.run = slowly  # type: ignore[method-assign]
    main(["worker", "--processes", "1"])
