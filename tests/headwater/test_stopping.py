"""Being told to stop by a signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from headwater.stopping import interrupt_on_signals

ENDS = signal.SIGTERM, signal.SIGHUP


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Begin as a process that nobody told to ignore them, and put back who hears the signals."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDS}
    yield
    for number, heard in before.items():
        signal.signal(number, heard)


@pytest.mark.parametrize("number", ENDS)
def test_an_end_is_an_interrupt(number: signal.Signals) -> None:
    """So that what a `with` block holds is taken away."""
    interrupt_on_signals()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_nohup_holds() -> None:
    """A closed terminal that was to be ignored is."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt_on_signals()
    os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
