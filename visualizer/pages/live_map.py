"""The live map: filters, the map itself, and a panel with details and lists."""

from __future__ import annotations

import dash_leaflet as dl  # type: ignore[import-untyped]
from dash import dcc, html
from dash.development.base_component import Component

from visualizer import ids
from visualizer.pages import aria

TIMES = (("5 min", "300"), ("hour", "3600"), ("day", "86400"), ("all", "all"), ("custom", "custom"))


def layout(fleet: str) -> Component:
    """Return the page; points, legend and lists are drawn by the scripts in assets/."""
    return html.Section(
        [
            _filters(),
            html.Div([html.Div([_map(), _empty(fleet)], className="map-box"), _panel()], className="map-and-panel"),
        ],
        className="page page-map",
        **aria.named("Live map"),
    )


def _filters() -> Component:
    return html.Div(
        [
            dcc.Dropdown(
                id=ids.DEVICE_FILTER, options=[], multi=True, placeholder="All devices", className="wide-filter"
            ),
            dcc.Dropdown(id=ids.TASK_FILTER, options=[], clearable=False, placeholder="Task", className="task-filter"),
            html.Div(id="legend", className="legend", role="group", **aria.named("Classes, press to hide or show")),
            dcc.RadioItems(
                id=ids.TIME_FILTER,
                options=[{"label": label, "value": value} for label, value in TIMES],
                value="all",
                inline=True,
                className="segments",
            ),
            html.Div(id="time-inputs", className="time-inputs", hidden=True),
            html.Span(id="time-note", className="note", role="status"),
        ],
        className="filters",
        role="search",
        **aria.named("Filters"),
    )


def _map() -> Component:
    leaflet: Component = dl.Map(
        [
            dl.ScaleControl(imperial=False, position="bottomleft", maxWidth=160),
            dl.ZoomControl(position="topright"),
        ],
        id=ids.MAP,
        center=[30, 8],
        zoom=2,
        minZoom=2,
        maxZoom=19,
        zoomSnap=0.5,
        preferCanvas=True,
        worldCopyJump=True,
        zoomControl=False,
        attributionControl=True,
        trackViewport=False,
        className="map",
    )
    return leaflet


def _empty(fleet: str) -> Component:
    return html.Div(
        [
            html.H2("No frames yet"),
            html.P("Start a device, or the whole system on this machine. The first frame appears here by itself."),
            html.Pre(f"headwater edge --fleet {fleet} --source FOLDER\nheadwater demo"),
        ],
        id=ids.MAP_EMPTY,
        className="empty",
        hidden=True,
    )


def _panel() -> Component:
    return html.Aside(
        [
            html.Div(
                [
                    html.Button("Show all points", id="fit", className="quiet", type="button"),
                    dcc.Checklist(
                        id=ids.FOLLOW,
                        options=[{"label": "Follow the latest", "value": "follow"}],
                        value=[],
                        className="follow",
                    ),
                ],
                className="map-buttons",
            ),
            html.Div(id=ids.DETAILS, className="details", **aria.POLITE),
            html.Div(
                [
                    html.H2(["Newest ", html.Span(id="shown-count", className="note")]),
                    html.Div(id="list-newest", className="frame-list"),
                ]
            ),
            html.Div(
                [
                    html.H2(["Without a position ", html.Span("0", id="unplaced-count", className="badge")]),
                    html.Div(id="list-unplaced", className="frame-list"),
                ]
            ),
        ],
        className="panel",
        **aria.named("Frames"),
    )
