"""Spans are made of times that are known, and nothing of OpenTelemetry is loaded where nobody is told."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import count

import pytest

from headwater.errors import MissingPart, SettingsError
from headwater.traces import (
    Span,
    Teller,
    below,
    check_share,
    check_traces,
    collected,
    in_a_row,
    new_span_id,
    traces_address,
)

TELLER = Teller("edge", "cam1")


def test_stages_stand_in_a_row() -> None:
    """Each begins where the one before it ended, the first where it is told."""
    assert in_a_row([("capture", 3), ("head", 0), ("encode", 2)], 100) == [
        ("capture", 100, 103),
        ("head", 103, 103),
        ("encode", 103, 105),
    ]
    assert in_a_row([], 100) == []


def test_stages_are_children() -> None:
    """Of the same trace, with ids of their own."""
    parent, ids = Span("frame", "ab" * 16, "cd" * 8, None, 100, 105), count(1)
    found = below(parent, [("capture", 100, 103), ("head", 103, 105)], lambda: f"{next(ids):016x}")
    assert found == [
        Span("capture", "ab" * 16, f"{1:016x}", "cd" * 8, 100, 103),
        Span("head", "ab" * 16, f"{2:016x}", "cd" * 8, 103, 105),
    ]
    assert len({new_span_id() for _ in range(100)}) == 100
    assert len(new_span_id()) == 16


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://[::1]:4318", "https://[::1]:4318/v1/traces"),
        ("https://collector.example/team/a/", "https://collector.example/team/a/v1/traces"),
        ("http://collector.example:4318/v1/traces", "http://collector.example:4318/v1/traces"),
    ],
)
def test_a_collector_is_named_by_its_base_address(url: str, address: str) -> None:
    """Spans go to /v1/traces below it, which may also be written out."""
    assert traces_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        *("", "4318", "127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://", "http://:4318", "http://h:0", "http://h:x"),
        *("http://h:99999", "http://h/?a=b", "http://h/#a", "http://h /", "http://h\n", "http://[::1", "unix:///tmp/a"),
    ],
)
def test_an_address_that_is_none_is_refused_in_one_line(url: str) -> None:
    """It says what was given, and how one looks."""
    with pytest.raises(SettingsError, match=r"--traces: got .*, expected http://HOST\[:PORT\]") as refused:
        traces_address(url)
    assert "\n" not in str(refused.value)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    """It would be seen in process lists; the line says where it belongs instead."""
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        traces_address("https://me:hush@collector.example")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("share", [0, 0.01, 1])
def test_a_share_is_taken(share: float) -> None:
    """Both ends included."""
    assert check_share(share) is None


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf")])
def test_what_is_no_share_is_refused(share: float) -> None:
    """Not a number neither."""
    with pytest.raises(SettingsError, match=r"--trace-share: got .*, expected 0 to 1"):
        check_share(share)


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a collector is given; without one nobody asks."""

    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for find in (absent, lambda name: None):
        monkeypatch.setattr(importlib.util, "find_spec", find)
        check_traces(None)
        with pytest.raises(MissingPart, match=r"needed for --traces; install the extra traces"):
            check_traces("http://127.0.0.1:4318")


def test_nobody_is_told_without_a_collector() -> None:
    """There is nothing to call."""
    with collected(None, TELLER) as tell:
        assert tell is None


def test_nothing_is_loaded_without_a_collector() -> None:
    """Neither by what a device, a worker and the site are made of, nor by asking for no collector."""
    code = """
import sys
import cloud_worker.traces, edge.commands, edge.device, cloud_worker.tail, visualizer.traces, headwater.traces
with headwater.traces.collected(None, headwater.traces.Teller("edge", "cam1")):
    print(sorted(n for n in sys.modules if n.startswith(("opentelemetry", "google", "requests", "headwater.trace_e"))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
