"""The file of the Grafana dashboard; `python -m tests.compose.dashboard` writes it.

What it shows is said in tests/compose/panels.py; ids, places, and what all panels have in common are worked out here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.compose.panels import ROWS, Panel

FILE: Final = Path(__file__).parents[2] / "compose/observability/grafana/dashboards/headwater.json"
SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
WIDTH: Final = 24
"""Of Grafana's grid."""


def written() -> str:
    """Return the dashboard's file: one line for each panel."""
    head = json.dumps(_head(), indent=1).removesuffix("\n}")
    lines = ",\n".join(json.dumps(panel, separators=(",", ":")) for panel in _placed())
    return f'{head},\n "panels": [\n{lines}\n ]\n}}\n'


def _head() -> dict[str, Any]:
    every = "label_values(headwater_edge_frames_captured_total, instance)"
    device = {
        **{"name": "device", "label": "Device", "type": "query", "datasource": SOURCE, "definition": every},
        **{"query": {"query": every, "refId": "device"}, "refresh": 2, "sort": 1},
        **{"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}},
    }
    return {
        **{"uid": "headwater", "title": "Headwater", "tags": ["headwater"], "schemaVersion": 39, "version": 1},
        **{"editable": False, "refresh": "5s", "time": {"from": "now-15m", "to": "now"}, "timezone": "browser"},
        **{"graphTooltip": 1, "templating": {"list": [device]}, "annotations": {"list": []}},
    }


def _placed() -> Iterator[dict[str, Any]]:
    """Return the panels, row by row, from left to right as they fit."""
    number, top = 0, 0
    for title, panels in ROWS.items():
        number, left, tallest = number + 1, 0, 0
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        top += 1
        for panel in panels:
            number += 1
            if left + panel.width > WIDTH:
                left, top, tallest = 0, top + tallest, 0
            yield _panel(panel, number, {"x": left, "y": top, "w": panel.width, "h": panel.height})
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    drawn = {"timeseries": _lines, "stat": _number, "table": _table}[panel.kind](panel)
    text = {"description": panel.text} if panel.text else {}
    common = {"id": number, "type": panel.kind, "title": panel.title, **text, "datasource": SOURCE, "gridPos": place}
    return {**common, **drawn, "targets": list(_targets(panel))}


def _targets(panel: Panel) -> Iterator[dict[str, Any]]:
    now = {"instant": True, "format": "table"} if panel.kind == "table" else {}
    for place, (expression, legend) in enumerate(panel.asked):
        called = {"legendFormat": legend} if legend else {}
        yield {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expression, **called, **now}


def _lines(panel: Panel) -> dict[str, Any]:
    stacked = {"fillOpacity": 60, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}}
    custom = stacked if panel.stacked else {"fillOpacity": 10}
    lowest = {} if panel.signed else {"min": 0}
    return {
        "fieldConfig": {"defaults": {"unit": panel.unit, **lowest, "custom": custom}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }


def _number(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [] if panel.red_from is None else [{"color": "red", "value": panel.red_from}]
    defaults = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"},
    }


def _table(_: Panel) -> dict[str, Any]:
    left_out = dict.fromkeys(("Time", "Value", "__name__", "alertstate"), True)
    return {
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {"showHeader": True},
        "transformations": [{"id": "organize", "options": {"excludeByName": left_out}}],
    }


if __name__ == "__main__":
    FILE.write_text(written())
