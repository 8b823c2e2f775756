"""What the site tells of itself: which figures, where each comes from, and its health."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from headwater.prometheus import Figure, Figures, Reading
from headwater.sight import Sight
from headwater.verdict import Verdict, too_long
from visualizer.devices import Devices
from visualizer.reader import Follower
from visualizer.window import Window

FIGURES: Final = (
    Figure("headwater_site_browsers", "gauge", "Browsers that are pushed news."),
    Figure("headwater_site_frames_shown_total", "counter", "Frames taken from the store since the start."),
    Figure("headwater_site_frames_held", "gauge", "Frames in memory, for every browser."),
    Figure("headwater_site_entries_refused_total", "counter", "Entries of the store that are no record of ours."),
    Figure("headwater_site_store_up", "gauge", "1 while the store answers, else 0."),
    Figure("headwater_site_store_errors_total", "counter", "Reads of the store that failed."),
    Figure("headwater_site_store_read_age_seconds", "gauge", "Since the store has last answered."),
    Figure("headwater_site_broker_connected", "gauge", "1 while the broker is there, else 0; none without --broker."),
    Figure("headwater_site_devices", "gauge", "Devices heard of, by what they say they are.", ("state",)),
    Figure("headwater_site_last_finished_timestamp_seconds", "gauge", "When the newest frame was stored."),
    Figure("headwater_site_well", "gauge", "1 where /health says well, else 0."),
)


def reasons(store_read_s: float, limit_s: float) -> list[str]:
    """Return why a site is unwell, by how long ago the store has last answered; without frames it answers, too."""
    return too_long("the store has not been read", store_read_s, limit_s)


class SiteSight:
    """Looks at the site's parts."""

    def __init__(
        self, fleet: str, follower: Follower, devices: Devices, browsers: Callable[[], int], unwell_after_s: float
    ) -> None:
        self._fleet, self._follower, self._devices, self._browsers = fleet, follower, devices, browsers
        self._unwell_after_s, self._began_s = unwell_after_s, time.monotonic()
        self.sight = Sight(Figures(FIGURES, self.reading).exposition, self.verdict)

    @property
    def _window(self) -> Window:
        return self._follower.window

    def verdict(self) -> Verdict:
        """Return how the site is."""
        now_s, newest = time.monotonic(), self._window.newest(1)
        read_s, broker = max(0.0, now_s - self._follower.read_s), self._devices.connection
        return Verdict(
            "visualizer",
            self._fleet,
            tuple(reasons(read_s, self._unwell_after_s)),
            max(0.0, time.time() - newest[0].record.stored_ns / 1e9) if newest else None,
            now_s - self._began_s,
            {"frames": self._window.seen, "browsers": self._browsers(), "devices": len(self._devices.heard())},
            {
                "store_up": self._follower.connection.there,
                "store_read_s_ago": round(read_s, 3),
                "connected": broker.there if broker else None,
            },
            waits_for_others=True,  # the one reason against it is its store
        )

    def reading(self) -> Reading:
        """Return the figures as they are now."""
        verdict, window = self.verdict(), self._window
        heard, broker = self._devices.heard(), self._devices.connection
        online = sum(one.status.online for one in heard)
        ago_s = verdict.last_finished_s_ago
        return {
            "headwater_site_browsers": self._browsers(),
            "headwater_site_frames_shown_total": window.seen,
            "headwater_site_frames_held": window.count(),
            "headwater_site_entries_refused_total": window.refused,
            "headwater_site_store_up": float(self._follower.connection.there),
            "headwater_site_store_errors_total": self._follower.errors,
            "headwater_site_store_read_age_seconds": max(0.0, time.monotonic() - self._follower.read_s),
            "headwater_site_broker_connected": float(broker.there) if broker else {},
            "headwater_site_devices": {"online": online, "offline": len(heard) - online},
            "headwater_site_last_finished_timestamp_seconds": {} if ago_s is None else time.time() - ago_s,
            "headwater_site_well": float(verdict.is_well),
        }
