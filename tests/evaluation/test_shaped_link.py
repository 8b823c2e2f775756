"""A link between namespaces is taken away whatever comes in between."""

from __future__ import annotations

import os

import pytest

from evaluation import shaped_link
from evaluation.shaped_link import ShapedLink
from tests.evaluation.test_regret_bench import namespaces, need_root


@pytest.mark.parametrize("at", [1, 2])
def test_a_removal_that_is_interrupted_is_completed(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Ctrl-C before the first or the second namespace is gone: both are, and the interrupt goes on."""
    need_root()
    link, call, calls = ShapedLink(), shaped_link._call, []

    def interrupted(*command: str) -> None:
        calls.append(command)
        if len(calls) == at:
            raise KeyboardInterrupt
        call(*command)

    monkeypatch.setattr(shaped_link, "_call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        link.remove()
    assert not any(f"-{os.getpid()}-" in name for name in namespaces())
