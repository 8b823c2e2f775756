"""The devices of the fleet, one card each."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from headwater.messages import Status
from visualizer import ids
from visualizer.devices import DeviceRow, is_will
from visualizer.pages import aria, words
from visualizer.pages.decision import decided

STATES = {
    "online": "online",
    "stale": "stale: online, but captures nothing new",
    "offline": "offline",
    "seen": "seen in the store",
}


def layout(fleet: str) -> Component:
    """Return the page; the cards come with the first status."""
    return html.Section(
        html.Div(nothing(fleet), id=ids.DEVICES_LIST, className="cards"),
        className="page page-devices",
        **aria.named("Devices"),
    )


def nothing(fleet: str) -> Component:
    """Return what stands there when no device is known."""
    return html.Div(
        [
            html.H2("No devices yet"),
            html.P("A device appears here as soon as it speaks to the broker or a frame of it is stored."),
            html.Pre(f"headwater edge --fleet {fleet} --source FOLDER"),
        ],
        className="empty inline",
    )


def cards(rows: Sequence[DeviceRow], fleet: str, *, can_set: bool = False) -> Component | list[Component]:
    """Return one card per device; where devices can be set, with the way to it, which operators alone see."""
    return [_card(row, can_set=can_set) for row in rows] if rows else nothing(fleet)


def _card(row: DeviceRow, *, can_set: bool) -> Component:
    return html.Article(
        [
            html.Header(
                [
                    html.I(className=f"lamp lamp-{row.state}", **aria.HIDDEN),
                    html.H2(row.name),
                    html.Span(STATES[row.state], className=f"state-word state-{row.state}"),
                ]
            ),
            html.Div(
                [
                    _big(f"{row.frames_per_s:.1f}", "frames/s"),
                    _big(words.size(row.bytes_per_frame), "per frame"),
                    _big(_since(row.last_captured_ns), "last capture"),
                ],
                className="bigs",
            ),
            _facts(row),
            *([decided(row.decision)] if row.decision else []),
            *([_spool(row.status), _counters(row.status)] if row.status else [_no_status(row)]),
            *([_way_to_set(row)] if can_set and row.status else []),
        ],
        className=f"card device device-{row.state}",
        key=row.name,
    )


def _way_to_set(row: DeviceRow) -> Component:
    return html.P(html.A("Set split and thresholds", href=f"/devices/{row.name}"), className="operators")


def _big(value: str | Component, unit: str) -> Component:
    return html.Div([html.B(value), html.Span(unit)])


def _since(wall_ns: int | None) -> Component | str:
    """Return a time that the browser rewrites every second as "12 s ago"."""
    if wall_ns is None:
        return words.UNKNOWN
    return html.Time(words.moment(wall_ns)[11:19], title=words.moment(wall_ns), **aria.since(wall_ns // 1_000_000))


def _facts(row: DeviceRow) -> Component:
    facts: dict[str, str | Component] = {
        "split": row.split or words.UNKNOWN,
        "codec": row.codec or words.UNKNOWN,
    }
    if row.status is not None:
        facts |= {
            "link": _link(row.status),
            "model": f"{row.status.bundle} {row.status.digest[:8]}".strip() or words.UNKNOWN,
            "source": row.status.source or words.UNKNOWN,
            "place": _place(row.status),
            "last word": _since(None if is_will(row.status) else row.status.sent_ns),
        }
    return html.Dl([cell for name, text in facts.items() for cell in (html.Dt(name), html.Dd(text))])


def _place(status: Status) -> str:
    if status.position is None:
        return "no position"
    return f"{words.place(status.position)} ({status.position.source})"


def _link(status: Status) -> str:
    if status.link is None:
        return "not measured yet"
    return f"{words.bandwidth(status.link.bandwidth_bits_per_s)}, {status.link.round_trip_ms:.3g} ms round trip"


def _spool(status: Status) -> Component:
    limit = status.spool_limit_bytes
    share = min(1.0, status.spool_bytes / limit) if limit else 0.0
    text = f"{words.size(status.spool_bytes)} of {words.size(limit)}" if limit else words.size(status.spool_bytes)
    level = "high" if share > 0.8 else "middle" if share > 0.5 else "low"
    return html.Div(
        [
            html.Span("spool"),
            html.Span(
                html.I(style={"width": f"{100 * share:.1f}%"}, className=f"fill-{level}"),
                className="meter",
                role="meter",
                **aria.named("spool", valuenow=f"{100 * share:.0f}", valuetext=text),
            ),
            html.Span(text),
        ],
        className="spool",
    )


def _where(status: Status) -> str:
    """Return where frames were finished, with the shares of early exits."""
    finished = status.finished
    total = max(finished.device + finished.worker, 1)
    exits = ", ".join(f"{name} {count / total:.0%}" for name, count in sorted(status.exits.items()))
    return f"{finished.device:,} on the device{f' ({exits})' if exits else ''}, {finished.worker:,} by workers"


def _counters(status: Status) -> Component:
    finished = status.finished.device + status.finished.worker
    dropped = sum(status.dropped.values())
    why = ", ".join(f"{name} {count:,}" for name, count in status.dropped.items() if count)
    counters = [
        ("captured", status.captured, ""),
        ("finished", finished, _where(status)),
        ("dropped", dropped, why),
        ("in flight", status.in_flight, ""),
    ]
    return html.Div(
        [
            html.Div([html.B(f"{count:,}"), html.Span(name), html.Small(note)], className=f"counter counter-{name[:4]}")
            for name, count, note in counters
        ],
        className="counters",
    )


def _no_status(row: DeviceRow) -> Component:
    return html.P(f"{row.frames:,} frames in the window; it says nothing over MQTT here.", className="note")
