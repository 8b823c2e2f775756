"""What happens when something on the page changes; the work is done by pure functions elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go  # type: ignore[import-untyped]
from dash import ClientsideFunction, Dash, Input, Output, State, no_update
from dash.development.base_component import Component

from headwater.errors import StoreError
from visualizer import archive, ids
from visualizer.devices import Devices, device_rows
from visualizer.figures import stage_bars, stage_percentiles
from visualizer.fleet_map import rows
from visualizer.pages import details, stages
from visualizer.pages import devices as devices_page
from visualizer.percentiles import stage_times
from visualizer.reader import Store
from visualizer.window import Window

BARS: Final = 100
NAMESPACE: Final = "headwater"


@dataclass(frozen=True)
class Source:
    """Where the answers come from."""

    store: Store
    window: Window
    devices: Devices
    fleet: str
    wall_ns: Callable[[], int]
    on_learnt: Callable[[], None] = lambda: None
    """Called when older frames brought tasks or labels that every browser has to know."""
    can_set: bool = False
    """Whether operators may set devices here."""

    def details(self, selected: Any) -> list[Component]:
        """Return the panel of the selected frame, or nothing."""
        if not isinstance(selected, dict):
            return []
        frame_id, entry = str(selected.get("id", "")), str(selected.get("entry", ""))
        try:
            sighting, journey = archive.find(self.store, self.window, entry, frame_id)
        except StoreError:
            return details.gone(frame_id, "the store is away, and this frame is older than what the site remembers")
        if sighting is None:
            return details.gone(frame_id, "the store has it no more")
        return details.details(sighting.record, journey, self.window.palette)

    def stages(self, device: str | None, split: str | None) -> tuple[list[go.Figure], Component]:
        """Return the figures (bars, percentiles) and the table for one device and split."""
        device, split = device or None, split or None
        sightings = self.window.newest(self.window.capacity, device, split)
        journeys = self.window.journeys(sightings)
        times = stage_times(sightings, journeys)
        bars = stage_bars(sightings[-BARS:], journeys, device, split)
        return [bars, stage_percentiles(times, device, split)], stages.table(times)

    def choices(self) -> tuple[list[str], list[str]]:
        """Return the devices and splits in the window."""
        records = [sighting.record for sighting in self.window.newest(self.window.capacity)]
        return sorted({r.device for r in records}), sorted({r.split for r in records})

    def cards(self) -> Component | list[Component]:
        """Return the devices page's cards."""
        sightings = self.window.newest(self.window.capacity)
        rows_now = device_rows(self.devices.heard(), sightings, self.wall_ns())
        return devices_page.cards(rows_now, self.fleet, can_set=self.can_set)

    def past(self, wanted: Any) -> Any:
        """Return the rows of a span of time that reaches beyond the window."""
        if not isinstance(wanted, dict):
            return no_update
        now_ms = self.wall_ns() // 1_000_000
        try:
            start_ms, end_ms = int(wanted["from_ms"]), int(wanted["to_ms"])
            past = archive.between(self.store, start_ms, end_ms, now_ms)
        except StoreError:
            return {"token": wanted.get("token"), "away": True, "rows": []}
        except (KeyError, TypeError, ValueError, OverflowError):
            return no_update
        if self.window.learn(past.sightings):
            self.on_learnt()
        return {"token": wanted.get("token"), "thinned": past.thinned, "rows": rows(past.sightings)}


def register(app: Dash, source: Source) -> None:
    """Give the app its callbacks."""
    _in_the_browser(app)

    @app.callback(Output(ids.DETAILS, "children"), Input(ids.SELECTED, "data"), Input(ids.JOURNEY_SEEN, "data"))
    def show_details(selected: Any, _journey: Any) -> list[Component]:
        return source.details(selected)

    @app.callback(
        Output(ids.STAGES_FIGURES, "data"),
        Output(ids.STAGES_TABLE, "children"),
        Input(ids.STAGES_TICK, "data"),
        Input(ids.STAGES_DEVICE, "value"),
        Input(ids.STAGES_SPLIT, "value"),
        prevent_initial_call=True,
    )
    def show_stages(_tick: Any, device: str | None, split: str | None) -> tuple[list[go.Figure], Component]:
        return source.stages(device, split)

    @app.callback(
        Output(ids.STAGES_DEVICE, "options"),
        Output(ids.STAGES_SPLIT, "options"),
        Input(ids.STAGES_TICK, "data"),
        State(ids.STAGES_DEVICE, "options"),
        State(ids.STAGES_SPLIT, "options"),
        prevent_initial_call=True,
    )
    def show_choices(_tick: Any, devices: list[str], splits: list[str]) -> tuple[Any, Any]:
        return _changed(source.choices(), (devices, splits))

    @app.callback(Output(ids.DEVICES_LIST, "children"), Input(ids.DEVICES_TICK, "data"), prevent_initial_call=True)
    def show_devices(_tick: Any) -> Component | list[Component]:
        return source.cards()

    @app.callback(Output(ids.ARCHIVE, "data"), Input(ids.ARCHIVE_WANTED, "data"), prevent_initial_call=True)
    def read_archive(wanted: Any) -> Any:
        return source.past(wanted)


def _in_the_browser(app: Dash) -> None:
    """Name what assets/7_callbacks.js does; these reach the scripts and set nothing on the page by themselves."""
    filters = (
        (ids.DEVICE_FILTER, "value"),
        (ids.TASK_FILTER, "value"),
        (ids.TIME_FILTER, "value"),
        (ids.TIME_BOUNDS, "data"),
    )
    reactions = {
        "show_page": [(ids.LOCATION, "pathname")],
        "filter": filters,
        "follow": [(ids.FOLLOW, "value")],
        "select": [(ids.SELECTED, "data")],
        "archive": [(ids.ARCHIVE, "data")],
    }
    for name, inputs in reactions.items():
        app.clientside_callback(ClientsideFunction(NAMESPACE, name), *(Input(*one) for one in inputs))  # type: ignore[no-untyped-call]

    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction(NAMESPACE, "draw_stages"),
        Output(ids.STAGES_BARS, "figure"),
        Output(ids.STAGES_PERCENTILES, "figure"),
        Input(ids.STAGES_FIGURES, "data"),
        prevent_initial_call=True,
    )


def _changed(new: Iterable[Any], old: Iterable[Any]) -> tuple[Any, ...]:
    """Return what differs, and no_update for what does not: a menu that is open stays as it is."""
    return tuple(no_update if after == before else after for after, before in zip(new, old, strict=True))
