"""Which figures and labels an expression of Prometheus names; enough for ours, no parser of the whole language."""

from __future__ import annotations

import re
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from tests.metrics_page import PAGES

SELECTOR: Final = re.compile(r"\b((?:headwater|process)[_:][\w:]+|up|ALERTS)\b(?:\{([^}]*)\})?")
MATCHED: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPED: Final = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
TARGET: Final = {"job", "instance"}
"""What Prometheus adds to each figure."""
OWN: Final = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity"}}
"""What Prometheus tells itself."""


def known() -> dict[str, set[str]]:
    """Return the labels of every figure of every process, by the names under which Prometheus has them."""
    found = {name: set(labels) for name, labels in OWN.items()}
    for figure in (figure for figures in PAGES.values() for figure in figures):
        if figure.kind == "histogram":
            found[f"{figure.name}_bucket"] = {*figure.labels, "le"}
            found |= {f"{figure.name}_{part}": set(figure.labels) for part in ("sum", "count")}
        else:
            found[figure.name] = set(figure.labels)
    of_process = ProcessCollector(registry=CollectorRegistry()).collect()
    return found | {sample.name: set() for family in of_process for sample in family.samples}


def named(expression: str) -> dict[str, set[str]]:
    """Return the figures of an expression, each with the labels by which it is chosen."""
    found: dict[str, set[str]] = {}
    for name, matchers in SELECTOR.findall(expression):
        found.setdefault(name, set()).update(MATCHED.findall(matchers))
    return found


def grouped(expression: str) -> set[str]:
    """Return the labels by which an expression sums or joins."""
    return {label.strip() for labels in GROUPED.findall(expression) for label in labels.split(",")}


def unknown(expression: str, figures: dict[str, set[str]]) -> list[str]:
    """Return what an expression names that none of these figures has."""
    here = named(expression)
    wrong = [name for name in here if name not in figures]
    there = {name: figures.get(name, set()) | TARGET for name in here}
    wrong += [f"{name}{{{label}}}" for name, labels in here.items() for label in labels - there[name]]
    return wrong + sorted(grouped(expression) - set().union(*there.values()))


def answer_labels(expression: str, figures: dict[str, set[str]]) -> set[str]:
    """Return the labels that an answer to an expression has, at most."""
    if re.search(r"\bby\s*\(", expression):
        return grouped(expression) - {"le"}
    return set().union(TARGET, *(figures[name] for name in named(expression)))
