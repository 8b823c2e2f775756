"""Stage times: bars of recent frames, percentiles per stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]
from dash import dcc, html
from dash.development.base_component import Component

from visualizer import ids
from visualizer.figures import stage_bars, stage_percentiles
from visualizer.pages import aria
from visualizer.percentiles import Percentiles

GRAPH_CONFIG: Any = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}


HEIGHTS = {"bars": "22rem", "percentiles": "25rem"}


def layout() -> Component:
    """Return the page; its figures come with the first frame."""
    return html.Section(
        [
            html.Div(
                [
                    dcc.Dropdown(id=ids.STAGES_DEVICE, options=[], placeholder="All devices", className="wide-filter"),
                    dcc.Dropdown(id=ids.STAGES_SPLIT, options=[], placeholder="All splits", className="wide-filter"),
                    html.Span(
                        "Uplink and downlink follow a moment later, when the device reports them.", className="note"
                    ),
                ],
                className="filters",
            ),
            _card("The last 100 frames, newest right", ids.STAGES_BARS, "bars", stage_bars([], {})),
            html.Div(
                [
                    _card("Percentiles per stage", ids.STAGES_PERCENTILES, "percentiles", stage_percentiles({})),
                    html.Div([html.H2("In milliseconds"), html.Div(id=ids.STAGES_TABLE)], className="card"),
                ],
                className="pair",
            ),
        ],
        className="page page-stages",
        **aria.named("Stage times"),
    )


def _card(title: str, graph: str, kind: str, figure: go.Figure) -> Component:
    return html.Div(
        [html.H2(title), dcc.Graph(id=graph, figure=figure, config=GRAPH_CONFIG, style={"height": HEIGHTS[kind]})],
        className="card",
    )


def table(percentiles: Mapping[str, Percentiles]) -> Component:
    """Return the percentiles as a table, or a word when there are none."""
    if not percentiles:
        return html.P("No frames yet.", className="note")
    head = html.Tr([html.Th(text, scope="col") for text in ("stage", "p50", "p95", "p99", "frames")])
    return html.Table([html.Thead(head), html.Tbody(list(_rows(percentiles)))], className="figures")


def _rows(percentiles: Mapping[str, Percentiles]) -> Iterable[Component]:
    for stage, known in percentiles.items():
        cells = [html.Td(f"{ms:,.2f}") for ms in (known.p50_ms, known.p95_ms, known.p99_ms)]
        yield html.Tr([html.Th(stage, scope="row"), *cells, html.Td(f"{known.frames:,}")])
