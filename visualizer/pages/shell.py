"""What is around the pages: header, navigation, and the places where state lives."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from visualizer import ids
from visualizer.pages import aria, devices, live_map, stages

PAGES = (("/", "map", "Live map"), ("/stages", "stages", "Stage times"), ("/devices", "devices", "Devices"))


def layout(fleet: str) -> Component:
    """Return the whole site; the three pages stay loaded, so that the map keeps its view."""
    return html.Div(
        [
            dcc.Location(id=ids.LOCATION),
            html.A("Skip to the content", href="#content", className="skip"),
            _header(fleet),
            html.Main([live_map.layout(fleet), stages.layout(), devices.layout(fleet)], id="content", tabIndex=-1),
            *(dcc.Store(id=name) for name in _STORES),
        ],
        id=ids.SHELL,
        className="shell",
    )


_STORES = (
    ids.SELECTED,
    ids.JOURNEY_SEEN,
    ids.STAGES_TICK,
    ids.STAGES_FIGURES,
    ids.DEVICES_TICK,
    ids.TIME_BOUNDS,
    ids.ARCHIVE_WANTED,
    ids.ARCHIVE,
)


def _header(fleet: str) -> Component:
    return html.Header(
        [
            html.Div(
                [html.Span(className="mark", **aria.HIDDEN), html.Strong("Headwater"), html.Span(fleet)],
                className="brand",
            ),
            html.Nav(
                [dcc.Link(text, href=path, className=f"tab tab-{name}") for path, name, text in PAGES],
                **aria.named("Pages"),
            ),
            html.Div(
                [
                    _count("frames"),
                    _count("devices"),
                    _lamp("site"),
                    _lamp("store"),
                    _lamp("broker"),
                    html.A("", id="visitor", href="/sign-out", className="visitor", hidden=True),
                    html.Button("Dark", id="theme", className="quiet", title="Light or dark", type="button"),
                ],
                className="state",
            ),
        ]
    )


def _count(name: str) -> Component:
    return html.Span([html.B("0", id=f"count-{name}"), f" {name}"], className="count")


def _lamp(name: str) -> Component:
    return html.Span(
        [html.I(className="lamp", **aria.HIDDEN), html.Span(name, id=f"lamp-text-{name}")],
        id=f"lamp-{name}",
        className="connection",
        role="status",
    )
