"""All that is known of one frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from dash import dcc, html
from dash.development.base_component import Component

from headwater.messages import Box, Prediction, Record, StoredJourney
from visualizer.figures import STAGE_COLOURS, frame_timeline, stages_ms
from visualizer.pages import aria, words
from visualizer.palette import Palette

MOST_SCORES = 10


def details(record: Record, journey: StoredJourney | None, palette: Palette) -> list[Component]:
    """Return the panel of one frame: place, predictions, route, and every stage."""
    frame_id = f"{record.device}-{record.boot}-{record.sequence}"
    return [
        html.Div(
            [
                html.H2(record.name or f"Frame {record.sequence}"),
                html.Button("×", id="close-details", className="quiet close", type="button", title="Close"),
            ],
            className="details-head",
        ),
        html.P([html.Code(frame_id), html.Br(), words.moment(record.captured_ns)], className="note"),
        _place(record),
        *_predictions(record.predictions, palette),
        _facts(record),
        html.H3("Stages"),
        dcc.Graph(
            figure=frame_timeline(record, journey),
            config={"displayModeBar": False, "responsive": True},
            style={"height": "92px"},
        ),
        _stages(record, journey),
        _journey(journey),
    ]


def gone(frame_id: str, why: str) -> list[Component]:
    """Return the panel when a frame cannot be shown."""
    return [html.H2("Not to be had"), html.P([html.Code(frame_id), html.Br(), why], className="note")]


def _place(record: Record) -> Component:
    position = record.position
    parts: list[Component | str] = [words.place(position)]
    if position is not None:
        kind = "badge warning" if words.is_made_up(position) else "badge"
        text = "made-up position, nobody measured it" if words.is_made_up(position) else f"from {position.source}"
        parts.append(html.Span(text, className=kind))
    return html.P(parts, className="place")


def _predictions(predictions: Sequence[Prediction], palette: Palette) -> Iterator[Component]:
    """Yield what is said of the picture, under a line for each box of it that something is said of."""
    for number, (box, said) in enumerate(groupby(predictions, lambda prediction: prediction.box), 1):
        if isinstance(box, Box):
            yield html.H3([f"Box {number} ", html.Span(words.box(box), className="note")])
        yield from (_prediction(prediction, palette.names(prediction.task)) for prediction in said)


def _prediction(prediction: Prediction, names: Mapping[int, str]) -> Component:
    sure = "" if prediction.confidence is None else f" {prediction.confidence:.1%}"
    return html.Div(
        [
            html.P([f"{prediction.task}: ", html.Strong(words.outcome(prediction)), sure]),
            html.Div(list(_scores(prediction, names)), className="scores"),
        ],
        className="prediction",
    )


def _scores(prediction: Prediction, names: Mapping[int, str]) -> Iterator[Component]:
    """Yield a bar per score of a classification, best first; a value's raw score says nothing more."""
    if prediction.label is None:
        return
    ranked = sorted(enumerate(prediction.scores), key=lambda item: -item[1])[:MOST_SCORES]
    for number, score in ranked:
        width = f"{100 * min(1.0, max(0.0, score)):.1f}%"
        yield html.Span(names.get(number, f"class {number}"), className="score-name")
        yield html.Span(html.I(style={"width": width}), className="score-bar", **aria.HIDDEN)
        yield html.Span(f"{score:.3f}", className="score-value")


def _facts(record: Record) -> Component:
    who = f"worker {record.worker}" if record.finished_by == "worker" and record.worker else f"the {record.finished_by}"
    facts = {
        "device": record.device,
        "split": record.split,
        "codec": record.codec,
        "sent": words.size(record.payload_bytes),
        "finished by": who if record.exit is None else f"{who}, exit {record.exit}",
        "model": f"{record.bundle} {record.digest[:8]}",
        "stored": words.moment(record.stored_ns),
    }
    return html.Dl([cell for name, text in facts.items() for cell in (html.Dt(name), html.Dd(text))])


def _stages(record: Record, journey: StoredJourney | None) -> Component:
    rows = []
    for stage, duration_ms in stages_ms(record, journey).items():
        way = journey is not None and stage in ("uplink", "downlink")
        sure = f" ± {journey.uncertainty_ns / 1e6:.2f}" if way and journey is not None else ""
        swatch = html.I(className="swatch", style={"background": STAGE_COLOURS[stage]}, **aria.HIDDEN)
        rows.append(html.Tr([html.Th([swatch, stage], scope="row"), html.Td(f"{duration_ms:,.2f}{sure} ms")]))
    return html.Table(html.Tbody(rows), className="figures stages-of-frame")


def _journey(journey: StoredJourney | None) -> Component:
    if journey is None:
        return html.P("round trip not yet reported", className="note pending")
    return html.P(
        ["capture to result ", html.Strong(f"{journey.total_ns / 1e6:,.1f} ms"), " by the device's clock"],
        className="note",
    )
