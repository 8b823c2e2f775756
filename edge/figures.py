"""What a device tells of itself: which figures, where each comes from, and its health."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from edge.health import Seen, reasons
from edge.ledger import DROPS, Counts
from edge.parts import InSight, Parts
from edge.spool import Spool
from headwater.prometheus import SECONDS, Figure, Figures, Reading
from headwater.sight import Sight, served
from headwater.verdict import Verdict

FIGURES: Final = (
    Figure("headwater_edge_frames_captured_total", "counter", "Pictures taken."),
    Figure("headwater_edge_frames_recovered_total", "counter", "Frames that an earlier run left in the spool."),
    Figure(
        "headwater_edge_frames_finished_total",
        "counter",
        "Frames with their answer, by where: exit (an early exit of the device), device (its whole model), worker.",
        ("at",),
    ),
    Figure(
        "headwater_edge_frames_dropped_total",
        "counter",
        "Frames that ended without an answer, by why, as in overflow, expired, refused, too_large, stale.",
        ("reason",),
    ),
    Figure("headwater_edge_frames_unreported_total", "counter", "Of those finished here: not sent (--report)."),
    Figure("headwater_edge_frames_in_flight", "gauge", "Captured, and neither finished nor dropped yet."),
    Figure(
        "headwater_edge_stage_seconds",
        "histogram",
        "Time of each stage of a finished frame, those at the worker included.",
        ("stage",),
        SECONDS,
    ),
    Figure(
        "headwater_edge_journey_seconds",
        "histogram",
        "A finished frame, from the start of its capture until its answer is here.",
        (),
        SECONDS,
    ),
    Figure("headwater_edge_sent_bytes_total", "counter", "Bytes of frame messages handed to the link, resends too."),
    Figure("headwater_edge_frames_resent_total", "counter", "Messages sent again because no result came in time."),
    Figure("headwater_edge_results_unreadable_total", "counter", "Results that could not be read."),
    Figure(
        "headwater_edge_results_again_total", "counter", "Results of frames that were not waited for: late, or twice."
    ),
    Figure("headwater_edge_frames_late_total", "counter", "Frames past --expire that an early exit answered (--late)."),
    Figure("headwater_edge_window_frames", "gauge", "How many frames may be sent and not answered now."),
    Figure("headwater_edge_spool_frames", "gauge", "Frames in the spool."),
    Figure("headwater_edge_spool_bytes", "gauge", "Bytes of the frames in the spool."),
    Figure("headwater_edge_spool_limit_bytes", "gauge", "The most bytes of frames that the spool may hold."),
    Figure("headwater_edge_spool_mended_total", "counter", "Times that the spool was damaged, or gone, and made anew."),
    Figure("headwater_edge_connected", "gauge", "1 while there is a connection to the broker, else 0."),
    Figure("headwater_edge_link_round_trip_seconds", "gauge", "To the broker and back, smoothed, as messages show it."),
    Figure("headwater_edge_link_bits_per_second", "gauge", "Bandwidth, smoothed, as messages show it."),
    Figure("headwater_edge_clock_offset_seconds", "gauge", "How far the clock of the last worker is ahead of ours."),
    Figure("headwater_edge_clock_uncertainty_seconds", "gauge", "By how much that may be wrong, either way."),
    Figure("headwater_edge_way_info", "gauge", "Always 1: what runs now.", ("bundle", "split", "codec")),
    Figure(
        "headwater_edge_decisions_total",
        "counter",
        "Decisions of --split auto, by why: first, stays, better, probe, limit, no link, refused, nothing allowed.",
        ("why",),
    ),
    Figure("headwater_edge_in_hand_seconds", "gauge", "How long the head has worked on one picture; 0: it does not."),
    Figure(
        "headwater_edge_same_picture_seconds",
        "gauge",
        "How long a camera has given the very same picture; 0: it does not.",
    ),
    Figure("headwater_edge_last_finished_timestamp_seconds", "gauge", "When the last frame was finished."),
    Figure("headwater_edge_well", "gauge", "1 where /health says well, else 0."),
)


class DeviceSight:
    """Looks at a device from other threads; nothing here waits for what it looks at."""

    def __init__(self, parts: Parts, unwell_after_s: float) -> None:
        self._parts, self._unwell_after_s = parts, unwell_after_s
        self._figures = Figures(FIGURES, self.reading)
        self.sight = Sight(self._figures.exposition, self.verdict)
        parts.ledger.on_journey = self._journey

    def _journey(self, stages_ns: Mapping[str, int], total_ns: int) -> None:
        self._figures.observe_stages("headwater_edge_stage_seconds", stages_ns)
        self._figures.observe("headwater_edge_journey_seconds", total_ns / 1e9)

    def verdict(self) -> Verdict:
        """Return how the device is."""
        parts, seen, counts = self._parts, self._parts.seen(), self._parts.ledger.counts()
        return Verdict(
            "edge",
            parts.name,
            tuple(reasons(seen, self._unwell_after_s)),
            seen.finished_s,
            time.monotonic() - parts.progress.began_s,
            {
                "captured": counts.captured,
                "recovered": counts.recovered,
                "finished": sum(counts.finished.values()),
                "dropped": sum(counts.dropped.values()),
                "in_flight": counts.in_flight,
            },
            _link(seen) | _kept(parts.spool),
        )

    def reading(self) -> Reading:
        """Return the figures as they are now."""
        parts, verdict, seen = self._parts, self.verdict(), self._parts.seen()
        tally, head = parts.ledger.tally, parts.control.head
        ago_s = verdict.last_finished_s_ago
        return {
            **_frames(parts.ledger.counts()),
            **self._way_there(),
            "headwater_edge_sent_bytes_total": tally["sent_bytes"],
            "headwater_edge_frames_resent_total": tally["resent"],
            "headwater_edge_results_unreadable_total": tally["results_unreadable"],
            "headwater_edge_results_again_total": tally["results_again"],
            "headwater_edge_frames_late_total": tally["late"],
            "headwater_edge_window_frames": parts.sender.window,
            "headwater_edge_spool_frames": len(parts.spool),
            "headwater_edge_spool_bytes": parts.spool.size_bytes,
            "headwater_edge_spool_limit_bytes": parts.spool.limit_bytes,
            "headwater_edge_spool_mended_total": parts.spool.mended,
            "headwater_edge_connected": float(seen.broker_away_s is None),
            "headwater_edge_way_info": {(parts.bundle, head.split, head.codec): 1},
            "headwater_edge_decisions_total": parts.auto.decisions.snapshot() if parts.auto else {},
            "headwater_edge_in_hand_seconds": seen.in_hand_s or 0.0,
            "headwater_edge_same_picture_seconds": seen.same_s or 0.0,
            "headwater_edge_last_finished_timestamp_seconds": {} if ago_s is None else time.time() - ago_s,
            "headwater_edge_well": float(verdict.is_well),
        }

    def _way_there(self) -> Reading:
        """Return what is known of the link and of the workers' clock; nothing before anything is."""
        link, clock = self._parts.sender.link_seen(), self._parts.ledger.clock
        pace, trip = link.s_per_bit, link.round_trip_s
        return {
            "headwater_edge_link_round_trip_seconds": {} if trip is None else trip.mean,
            "headwater_edge_link_bits_per_second": {} if pace is None or not pace.mean else 1 / pace.mean,
            "headwater_edge_clock_offset_seconds": {} if clock is None else clock.offset_ns / 1e9,
            "headwater_edge_clock_uncertainty_seconds": {} if clock is None else clock.uncertainty_ns / 1e9,
        }


def _frames(counts: Counts) -> Reading:
    """Return the frames by state: captured + recovered = finished + dropped + in flight, always."""
    at_exits = sum(counts.exits.values())
    by = counts.finished
    return {
        "headwater_edge_frames_captured_total": counts.captured,
        "headwater_edge_frames_recovered_total": counts.recovered,
        "headwater_edge_frames_finished_total": {
            "exit": at_exits,
            "device": by["device"] - at_exits,
            "worker": by["worker"],
        },
        "headwater_edge_frames_dropped_total": {why: counts.dropped.get(why, 0) for why in DROPS},
        "headwater_edge_frames_unreported_total": counts.unreported,
        "headwater_edge_frames_in_flight": counts.in_flight,
    }


def _link(seen: Seen) -> dict[str, bool | float | None]:
    """Return what is said of a link, broken or not: it makes no device unwell."""
    away_s = seen.broker_away_s
    return {"connected": away_s is None, "broker_away_s": None if away_s is None else round(away_s, 3)}


def _kept(spool: Spool) -> dict[str, int]:
    return {
        "spool_bytes": spool.size_bytes,
        "spool_limit_bytes": spool.limit_bytes,
        "spool_mended": spool.mended,
    }


def in_sight(metrics: str, unwell_after_s: float) -> InSight:
    """Return what tells of a device at an address."""

    @contextmanager
    def telling(parts: Parts) -> Iterator[None]:
        with served(metrics, DeviceSight(parts, unwell_after_s).sight):
            yield

    return telling
