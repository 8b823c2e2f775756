"""A `headwater` command in which one function waits while a file is there: what hangs, hangs like this.

python -m tests.integration.held_up MODULE:FUNCTION FILE COMMAND ...
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

from headwater.cli import main


def hold_up(where: str, while_there: Path) -> None:
    """Make a function, or a class's method, wait before it begins."""
    module, _, steps = where.partition(":")
    owner: Any = importlib.import_module(module)
    *way, name = steps.split(".")
    for step in way:
        owner = getattr(owner, step)
    real = getattr(owner, name)

    def held_up(*arguments: Any, **named: Any) -> Any:
        while while_there.exists():
            time.sleep(0.02)
        return real(*arguments, **named)

    setattr(owner, name, held_up)


hold_up(sys.argv[1], Path(sys.argv[2]))  # also in a worker's own process, which imports this
if __name__ == "__main__":
    main(sys.argv[3:])
