"""What a worker tells of itself: which figures, where each comes from, and its health."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from cloud_worker.health import Seen, StoreWatch, reasons, waits_for_others
from cloud_worker.parts import Parts
from cloud_worker.refusals import FailedFrame, PoisonFrame, UnfitFrame, UnknownModel
from cloud_worker.tail import Work
from headwater.errors import BadTensor, Malformed, TooLarge, UnknownVersion
from headwater.prometheus import SECONDS, Figure, Figures, Reading
from headwater.sight import Sight
from headwater.verdict import Verdict
from models.errors import BadInput, NotInTensorFlow, RunError
from models.pictures import DataError

BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
REFUSED: Final = "refused_"
_OF_MESSAGES = (Malformed, UnknownVersion, TooLarge, BadTensor)
_OF_MODELS = (RunError, BadInput, NotInTensorFlow)
_REFUSALS = (*_OF_MESSAGES, UnknownModel, UnfitFrame, DataError, *_OF_MODELS, PoisonFrame, FailedFrame)
KINDS: Final = tuple(error.__name__ for error in _REFUSALS)
"""Why frames are refused, as a rule; told as nought from the start, so that a first one is seen as a rise."""
FIGURES: Final = (
    Figure("headwater_worker_frames_received_total", "counter", "Frames taken out of the inbox."),
    Figure(
        "headwater_worker_frames_answered_total",
        "counter",
        "Frames finished, stored and answered, by what they brought: picture, activation, exit, device.",
        ("body",),
    ),
    Figure("headwater_worker_frames_stored_total", "counter", "Of those answered: new in the store."),
    Figure("headwater_worker_frames_duplicate_total", "counter", "Of those answered: the store had them already."),
    Figure("headwater_worker_frames_refused_total", "counter", "Frames refused, by the name of the error.", ("kind",)),
    Figure(
        "headwater_worker_refusals_untold_total",
        "counter",
        "Refused messages that neither the topic dead nor the log tells of: beyond ten a second of each kind.",
    ),
    Figure("headwater_worker_stage_seconds", "histogram", "Time of each stage of a frame.", ("stage",), SECONDS),
    Figure("headwater_worker_inbox_frames", "gauge", "Frames in the inbox."),
    Figure("headwater_worker_inbox_bytes", "gauge", "Their payloads."),
    Figure("headwater_worker_inbox_limit_frames", "gauge", "The most frames that the inbox holds."),
    Figure("headwater_worker_inbox_limit_bytes", "gauge", "The most bytes that the inbox holds."),
    Figure("headwater_worker_inbox_oldest_seconds", "gauge", "How long the oldest frame there has waited; 0: none."),
    Figure("headwater_worker_inbox_full_total", "counter", "Frames for which the inbox had no room."),
    Figure("headwater_worker_batch_frames", "histogram", "Frames of a batch.", (), BATCH_SIZES),
    Figure(
        "headwater_worker_batches_total",
        "counter",
        "Batches, by why no more frames were waited for: full, waited (--batch-wait-ms was over), emptied (no wait"
        " was wanted and no more were there).",
        ("release",),
    ),
    Figure("headwater_worker_busy_seconds_total", "counter", "Time spent on batches, not on waiting for them."),
    Figure("headwater_worker_in_hand_seconds", "gauge", "How long one frame has been in hand; 0: none is."),
    Figure("headwater_worker_last_finished_timestamp_seconds", "gauge", "When the last frame was answered."),
    Figure("headwater_worker_connected", "gauge", "1 while there is a connection to the broker, else 0."),
    Figure("headwater_worker_store_up", "gauge", "1 while the store takes what is finished, else 0."),
    Figure("headwater_worker_store_outages_total", "counter", "How often the store was away when it was needed."),
    Figure("headwater_worker_journeys_total", "counter", "Journeys stored."),
    Figure("headwater_worker_journeys_dropped_total", "counter", "Journeys for which there was no room or no store."),
    Figure("headwater_worker_journeys_refused_total", "counter", "Messages of journeys that could not be read."),
    Figure("headwater_worker_results_too_large_total", "counter", "Results that did not fit through the broker."),
    Figure("headwater_worker_dead_too_large_total", "counter", "Reports of refusals that did not fit through it."),
    Figure("headwater_worker_well", "gauge", "1 where /health says well, else 0."),
)
COUNTED: Final = {
    "headwater_worker_frames_received_total": "received",
    "headwater_worker_frames_stored_total": "stored",
    "headwater_worker_frames_duplicate_total": "duplicates",
    "headwater_worker_refusals_untold_total": "refusals_untold",
    "headwater_worker_inbox_full_total": "inbox_full",
    "headwater_worker_store_outages_total": "store_outages",
    "headwater_worker_journeys_total": "journeys",
    "headwater_worker_journeys_dropped_total": "journeys_dropped",
    "headwater_worker_journeys_refused_total": "journeys_refused",
    "headwater_worker_results_too_large_total": "results_too_large",
    "headwater_worker_dead_too_large_total": "dead_too_large",
}
"""Which of the worker's counters each is."""


class WorkerSight:
    """Looks at a worker from other threads; nothing here waits for what it looks at."""

    def __init__(self, parts: Parts, unwell_after_s: float) -> None:
        self._parts, self._unwell_after_s = parts, unwell_after_s
        self._since_ns = parts.clock.now_ns()
        self._watch = StoreWatch(parts.store.ping, parts.clock.now_ns)
        self._figures = Figures(FIGURES, self.reading)
        parts.progress.on_finished = self._finished
        parts.progress.on_batch = lambda size: self._figures.observe("headwater_worker_batch_frames", size)

    @contextmanager
    def watching(self) -> Iterator[Sight]:
        """Yield what there is to see, and look after the store meanwhile."""
        over = threading.Event()
        watch = threading.Thread(target=self._watch.run, args=(over,), name="store-watch", daemon=True)
        watch.start()
        try:
            yield Sight(self._figures.exposition, self.verdict)
        finally:
            over.set()

    def _finished(self, work: Work) -> None:
        self._figures.observe_stages("headwater_worker_stage_seconds", work.stages_ns)

    def seen(self) -> Seen:
        """Return the worker as it is now."""
        return self._parts.seen(self._watch.away_since_ns)

    def verdict(self) -> Verdict:
        """Return how the worker is."""
        parts, seen = self._parts, self.seen()
        counts = parts.counters.snapshot()
        return Verdict(
            "worker",
            parts.name,
            tuple(reasons(seen, self._unwell_after_s)),
            seen.finished_s,
            parts.lasts_s(self._since_ns) or 0.0,
            {name: counts.get(name, 0) for name in ("received", "answered", "refused")}
            | {"waiting": parts.inbox.waiting().messages},
            {"connected": seen.broker_away_s is None, "store_up": seen.store_away_s is None},
            waits_for_others(seen),
        )

    def reading(self) -> Reading:
        """Return the figures as they are now."""
        parts, verdict, seen = self._parts, self.verdict(), self.seen()
        counts, waiting = parts.counters.snapshot(), parts.inbox.waiting()
        ago_s = verdict.last_finished_s_ago
        return {
            **{figure: counts.get(counter, 0) for figure, counter in COUNTED.items()},
            "headwater_worker_frames_answered_total": dict(parts.progress.answered),
            "headwater_worker_frames_refused_total": _refused(counts),
            "headwater_worker_inbox_frames": waiting.messages,
            "headwater_worker_inbox_bytes": waiting.size_bytes,
            "headwater_worker_inbox_limit_frames": parts.inbox.max_messages,
            "headwater_worker_inbox_limit_bytes": parts.inbox.max_bytes,
            "headwater_worker_inbox_oldest_seconds": seen.waiting_s or 0.0,
            "headwater_worker_busy_seconds_total": parts.progress.busy_ns / 1e9,
            "headwater_worker_batches_total": dict(parts.progress.batches),
            "headwater_worker_in_hand_seconds": seen.in_hand_s or 0.0,
            "headwater_worker_last_finished_timestamp_seconds": {} if ago_s is None else time.time() - ago_s,
            "headwater_worker_connected": float(seen.broker_away_s is None),
            "headwater_worker_store_up": float(seen.store_away_s is None),
            "headwater_worker_well": float(verdict.is_well),
        }


def _refused(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the refused frames by kind."""
    found = {name.removeprefix(REFUSED): n for name, n in counts.items() if name.startswith(REFUSED)}
    return dict.fromkeys(KINDS, 0) | found
