"""A worker knows how long it has worked, also while it works."""

from __future__ import annotations

from contextlib import suppress

from cloud_worker.progress import Progress


def test_the_time_worked_goes_on_while_a_batch_is_in_hand() -> None:
    """It stands still between batches, and an error ends one as well."""
    now_ns = 0
    progress = Progress(lambda: now_ns)
    with progress.busy():
        now_ns = 7
        assert progress.busy_ns == 7
        now_ns = 10
    now_ns = 50
    assert progress.busy_ns == 10
    with suppress(ValueError), progress.busy():
        now_ns = 55
        raise ValueError
    now_ns = 90
    assert progress.busy_ns == 15
