"""Where a device computes by its own decision, why, and what every other way would have taken."""

from __future__ import annotations

from typing import Final

from dash import html
from dash.development.base_component import Component

from headwater.messages import Considered, Decision
from visualizer.pages import aria, words

WHY: Final = {
    "first": "the first choice, by what is known so far",
    "stays": "still the best",
    "better": "better than the way before",
    "limit": "the way before broke a limit",
    "no link": "nothing comes back: frames are answered on the device",
    "refused": "workers refuse what is not finished: frames are answered on the device",
    "nothing allowed": "the limits allow no way; this is the fastest",
}


def decided(decision: Decision) -> Component:
    """Return what the card of a device says of its decision; the table of all ways opens on a click."""
    return html.Details(
        [
            html.Summary([html.B(_way(decision.split, decision.codec)), f" {WHY.get(decision.why, decision.why)}"]),
            html.P(_conditions(decision), className="note"),
            html.Table(
                [html.Thead(_header(decision)), html.Tbody([_row(one, decision) for one in _by_time(decision)])],
                className="figures ways",
            ),
        ],
        className="decision",
        **aria.of_device(decision.device),
    )


def _way(split: str, codec: str) -> str:
    return split if codec == "none" else f"{split} {codec}"


def _conditions(decision: Decision) -> str:
    found = [
        f"{words.bandwidth(decision.bandwidth_bits_per_s)}, {decision.round_trip_ms:.3g} ms round trip",
        f"device at {decision.device_slowdown:.3g} times its measured times",
        f"workers at {decision.worker_slowdown:.3g} times, {decision.worker_wait_ms:.3g} ms waiting",
    ]
    if decision.frames_per_s:
        found.append(f"{decision.frames_per_s:.3g} pictures/s to keep up with")
    if decision.clock_hz is not None:
        found.append(f"{decision.clock_hz / 1e9:.3g} GHz")
    if decision.temperature_c is not None:
        found.append(f"{decision.temperature_c:.0f} °C")
    return f"{words.moment(decision.at_ns)}: {'; '.join(found)}"


def _header(decision: Decision) -> Component:
    cost = [f"{decision.currency} a million"] if decision.currency else []
    return html.Tr([html.Th(text, scope="col") for text in ("way", "ms", *cost, "why not")])


def _by_time(decision: Decision) -> list[Considered]:
    return sorted(decision.considered, key=lambda one: (one.lost is not None, one.total_ms))


def _row(one: Considered, decision: Decision) -> Component:
    cost = [html.Td(f"{one.cost * 1e6:,.3g}")] if decision.currency else []
    cells = [html.Th(_way(one.split, one.codec), scope="row"), html.Td(f"{one.total_ms:,.1f}"), *cost]
    return html.Tr([*cells, html.Td(one.lost or "chosen")], className="" if one.lost else "chosen")
