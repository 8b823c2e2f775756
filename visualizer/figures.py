"""Figures of stage times, pure: frames in, figure out. Colours of text and grid come from the style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import plotly.graph_objects as go  # type: ignore[import-untyped]

from headwater.clock import STAGES, Stage
from headwater.messages import Record, StoredJourney
from visualizer.percentiles import Percentiles
from visualizer.window import Sighting

STAGE_COLOURS: Final[dict[Stage, str]] = {
    "capture": "#3d56b2",
    "crop": "#7a93ea",
    "head": "#0072b2",
    "encode": "#56b4e9",
    "spool": "#9ecae1",
    "uplink": "#e0c000",
    "inbox": "#f4a582",
    "decode": "#e69f00",
    "batch": "#d55e00",
    "tail": "#b5450b",
    "store": "#a5705c",
    "downlink": "#b8a13a",
}
"""Blue on the device, yellow on the network, orange on the worker: told apart with every kind of colour blindness."""
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
TICKS: Final = 8
LEGEND: Final = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}


def stages_ms(record: Record, journey: StoredJourney | None) -> dict[Stage, float]:
    """Return the known stages of a frame from left to right, in milliseconds."""
    known = dict(record.stages_ns)
    if journey is not None:
        known["uplink"], known["downlink"] = journey.uplink_ns, journey.downlink_ns
    return {stage: known[stage] / 1e6 for stage in STAGES if stage in known}


def stage_bars(
    sightings: Sequence[Sighting],
    journeys: Mapping[str, StoredJourney],
    device: str | None = None,
    split: str | None = None,
) -> go.Figure:
    """Return one stacked bar per frame, newest right; a frame keeps its place on the axis when newer ones come."""
    places = [s.ordinal(device, split) for s in sightings]
    times = [stages_ms(s.record, journeys.get(s.frame_id)) for s in sightings]
    names = [
        [s.frame_id, _clock(s.record.captured_ns), round(sum(t.values()), 2)]
        for s, t in zip(sightings, times, strict=True)
    ]
    figure = go.Figure()
    for stage in STAGES:
        if any(stage in t for t in times):
            figure.add_bar(
                x=places,
                y=[round(t.get(stage, 0.0), 3) for t in times],
                name=stage,
                marker={"color": STAGE_COLOURS[stage], "line": {"width": 0}},
                customdata=names,
                hovertemplate=(
                    f"<b>{stage} %{{y:.2f}} ms</b><br>all stages %{{customdata[2]:.2f}} ms<br>"
                    "%{customdata[0]}<br>%{customdata[1]}<extra></extra>"
                ),
            )
    _dress(figure, f"bars {device} {split}")
    figure.update_layout(barmode="stack", bargap=0.15, legend=LEGEND | {"traceorder": "normal"})
    figure.update_xaxes(title="captured at (UTC)", **_ticks(places, sightings))
    figure.update_yaxes(title="ms", rangemode="tozero")
    if not sightings:
        figure.add_annotation(text="No frames yet", showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
        figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return figure


def stage_percentiles(
    percentiles: Mapping[str, Percentiles], device: str | None = None, split: str | None = None
) -> go.Figure:
    """Return p50, p95 and p99 of every stage on a logarithmic axis, the first stage on top."""
    stages = list(percentiles)
    figure = go.Figure()
    for stage in stages:
        known = percentiles[stage]
        figure.add_scatter(
            x=[known.p50_ms, known.p99_ms],
            y=[stage, stage],
            mode="lines",
            line={"color": _colour(stage), "width": 6},
            opacity=0.35,
            hoverinfo="skip",
            showlegend=False,
        )
    for name, symbol in (("p50", "circle"), ("p95", "diamond"), ("p99", "line-ns")):
        figure.add_scatter(
            x=[getattr(percentiles[stage], f"{name}_ms") for stage in stages],
            y=stages,
            mode="markers",
            name=name,
            marker={
                "symbol": symbol,
                "size": 11,
                "color": [_colour(s) for s in stages],
                "line": {"width": 2, "color": [_colour(s) for s in stages]},
            },
            hovertemplate=f"%{{y}} {name} %{{x:.2f}} ms<extra></extra>",
        )
    _dress(figure, f"percentiles {device} {split}")
    figure.update_layout(legend=LEGEND)
    figure.update_xaxes(type="log", title="ms, logarithmic", dtick=1)
    figure.update_yaxes(categoryorder="array", categoryarray=stages[::-1])
    return figure


def frame_timeline(record: Record, journey: StoredJourney | None) -> go.Figure:
    """Return one frame's stages end to end; the ends of uplink and downlink carry their uncertainty."""
    figure = go.Figure()
    for stage, duration_ms in stages_ms(record, journey).items():
        way = journey is not None and stage in ("uplink", "downlink")
        uncertainty_ms = journey.uncertainty_ns / 1e6 if way and journey is not None else 0.0
        figure.add_bar(
            x=[duration_ms],
            y=[""],
            orientation="h",
            name=stage,
            marker={"color": STAGE_COLOURS[stage], "line": {"width": 0}},
            error_x={"type": "data", "array": [uncertainty_ms], "visible": way, "thickness": 1.5, "color": "#777"},
            hovertemplate=f"{stage} %{{x:.2f}} ms{f' ± {uncertainty_ms:.2f} ms' if way else ''}<extra></extra>",
        )
    _dress(figure, record.device)
    figure.update_layout(
        barmode="stack", height=92, showlegend=False, margin={"l": 2, "r": 8, "t": 4, "b": 34}, bargap=0.2
    )
    figure.update_xaxes(title=None, ticksuffix=" ms", nticks=5)
    figure.update_yaxes(visible=False)
    return figure


def _dress(figure: go.Figure, revision: str) -> None:
    """Give a figure what all share; the browser keeps zoom and pan over updates of one `uirevision`."""
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13},
        margin={"l": 56, "r": 12, "t": 12, "b": 44},
        uirevision=revision,
        hovermode="closest",
    )
    figure.update_xaxes(gridcolor="rgba(128,128,128,.22)", zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor="rgba(128,128,128,.22)", zeroline=False, automargin=True)


def _ticks(places: Sequence[int], sightings: Sequence[Sighting]) -> dict[str, list[int] | list[str]]:
    step = max(1, -(-len(places) // TICKS))
    chosen = [n for n in range(len(places)) if n % step == 0]
    return {
        "tickvals": [places[n] for n in chosen],
        "ticktext": [_clock(sightings[n].record.captured_ns) for n in chosen],
    }


def _clock(wall_ns: int) -> str:
    """Return the time of day in UTC, or a dash for a time that no calendar holds."""
    try:
        return datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%H:%M:%S")
    except (ValueError, OSError, OverflowError):
        return "–"


def _colour(stage: str) -> str:
    return next((colour for name, colour in STAGE_COLOURS.items() if name == stage), "#8d939c")
