"""A `headwater worker` that hangs, crashes or takes long at frames whose names say so; `seize` stops all its threads.

python -m tests.integration.poisoned_worker FLAG ...
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

from cloud_worker.tail import Finisher, Work
from headwater.cli import main

SLOW_S = 0.5
real_finish = Finisher.run


def poisoned_finish(self: Finisher, work: Work) -> None:
    """Finish a frame, but for those of certain names."""
    if work.frame.name == "hang":
        threading.Event().wait()
    if work.frame.name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if work.frame.name == "seize":
        ctypes.PyDLL(None).pause()  # keeps Python's one lock while it waits
    if work.frame.name == "slow":
        time.sleep(SLOW_S)
    real_finish(self, work)


Finisher.run = poisoned_finish  # type: ignore[method-assign]  # in each process: a worker's own imports this, too
if __name__ == "__main__":
    main(["worker", *sys.argv[1:]])
