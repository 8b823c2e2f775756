"""The names of the page's elements, shared by layout, callbacks, scripts and tests."""

from __future__ import annotations

from typing import Final

LOCATION: Final = "location"
SHELL: Final = "shell"
MAP: Final = "map"
MAP_EMPTY: Final = "map-empty"

DEVICE_FILTER: Final = "device-filter"
TASK_FILTER: Final = "task-filter"
TIME_FILTER: Final = "time-filter"
TIME_BOUNDS: Final = "time-bounds"
FOLLOW: Final = "follow"
ARCHIVE_WANTED: Final = "archive-wanted"
ARCHIVE: Final = "archive"

SELECTED: Final = "selected"
JOURNEY_SEEN: Final = "journey-seen"
DETAILS: Final = "details"

STAGES_FIGURES: Final = "stages-figures"
STAGES_TICK: Final = "stages-tick"
STAGES_DEVICE: Final = "stages-device"
STAGES_SPLIT: Final = "stages-split"
STAGES_BARS: Final = "stages-bars"
STAGES_PERCENTILES: Final = "stages-percentiles"
STAGES_TABLE: Final = "stages-table"

DEVICES_TICK: Final = "devices-tick"
DEVICES_LIST: Final = "devices-list"
