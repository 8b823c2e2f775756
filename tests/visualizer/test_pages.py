"""Pages as trees of components."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from dash.development.base_component import Component

from headwater.errors import SettingsError
from headwater.messages import Box, FinishedCounts, Position, Prediction, Record
from tests.headwater.samples import DECISION
from tests.visualizer.fake_fleet import FakeDevice
from tests.visualizer.listed_store import ListedStore
from visualizer import ids
from visualizer.app import HERE, create_app
from visualizer.callbacks import Source
from visualizer.devices import Heard, NoBroker, device_rows
from visualizer.pages import devices as devices_page
from visualizer.pages import words
from visualizer.pages.details import details
from visualizer.palette import Palette
from visualizer.security import content_policy, tile_origin
from visualizer.window import Window

NOW_NS = 1_790_000_000 * 10**9


def text_of(tree: Any) -> str:
    """Return all text in a tree of components."""
    if isinstance(tree, Component):
        return text_of(getattr(tree, "children", None))
    if isinstance(tree, list | tuple):
        return " ".join(text_of(one) for one in tree)
    return "" if tree is None else str(tree)


def record(**changes: Any) -> Record:
    return msgspec.structs.replace(FakeDevice("cam1").record(NOW_NS), **changes)


def test_details_tell_all_of_a_frame() -> None:
    """Name, place and its source, prediction, split, codec, bytes, who finished it, and every stage."""
    device = FakeDevice("cam1")
    known = device.record(NOW_NS)
    palette = Palette()
    palette.add(known.predictions)
    text = text_of(details(known, device.journey(known), palette))
    for word in ("DSCN0000.jpg", "43.46", "from exif", "litter", "block_5_add", "int8+zstd", "worker tower-1234", "KB"):
        assert word in text
    for stage in ("capture", "head", "uplink", "tail", "downlink", "±", "capture to result"):
        assert stage in text


def test_a_value_is_told_without_scores() -> None:
    """A regression has one number, not a class with a bar."""
    text = text_of(details(record(predictions=[Prediction("age", None, 31.25, None, [31.25])]), None, Palette()))
    assert "age:  31.25" in text
    assert "class 0" not in text


def test_what_is_said_of_a_box_stands_below_it() -> None:
    """Each face of a picture has a line with its place, and its predictions; a whole picture has no such line."""
    first, second = Box(230, 57, 174, 174), Box(784, 88, 170, 171)
    said = [
        Prediction("gender", "female", None, 0.9, [0.1, 0.9], first),
        Prediction("age", None, 31.0, None, [], first),
        Prediction("age", None, 44.5, None, [], second),
    ]
    text = text_of(details(record(predictions=said), None, Palette()))
    words = ["Box 1", "174 × 174 pixels at 230, 57", "female", "31", "Box 2", "170 × 171 pixels at 784, 88", "44.5"]
    places = [text.index(word) for word in words]
    assert places == sorted(places)
    assert text.count("Box 1") == 1
    assert "Box" not in text_of(details(record(), None, Palette()))


def test_details_before_the_journey_say_so() -> None:
    """The round trip is not shown as nought."""
    text = text_of(details(record(), None, Palette()))
    assert "round trip not yet reported" in text
    assert "uplink" not in text


def test_a_made_up_position_is_called_one() -> None:
    """Nobody mistakes the demo's walk for a measurement."""
    assert "made-up position, nobody measured it" in text_of(
        details(record(position=Position(1.0, 2.0, "made-up")), None, Palette())
    )


def test_names_from_the_network_stay_text() -> None:
    """Nothing on the pages is rendered as HTML or Markdown, so a name cannot become markup."""
    spoiled = "<img src=x onerror=alert(1)>"
    tree = json.dumps([part.to_plotly_json() for part in details(record(name=spoiled), None, Palette())], default=str)
    assert "Markdown" not in tree
    sources = [path.read_text() for path in HERE.rglob("*.py")] + [
        path.read_text() for path in HERE.glob("assets/*.js")
    ]
    for word in ("dangerously", "innerHTML", "insertAdjacentHTML", "outerHTML", "document.write", "eval("):
        assert not any(word in source for source in sources), word


def test_device_cards_show_state_spool_and_counters() -> None:
    """A stale device is called stale; counts are those of its status."""
    device = FakeDevice("cam1", sequence=28)
    status = msgspec.structs.replace(
        device.status(NOW_NS, captured_ago_s=500),
        finished=FinishedCounts(21, 7),
        exits={"exit1": 14, "exit2": 7},
        spool_bytes=200_000_000,
    )
    text = text_of(devices_page.cards(device_rows([Heard(status, NOW_NS, False)], [], NOW_NS), "demo"))
    for word in ("cam1", "stale", "frames/s", "200 MB of 268 MB", "51 Mbit/s", "28", "overflow 3"):
        assert word in text
    assert "21 on the device (exit1 50%, exit2 25%), 7 by workers" in text


def test_a_card_says_where_the_device_computes_and_why_not_elsewhere() -> None:
    """The way, the reason, what was measured, and every way with what it would take, the chosen one first."""
    status = FakeDevice("cam1").status(NOW_NS)
    row = device_rows([Heard(status, NOW_NS, False, DECISION)], [], NOW_NS)
    text = text_of(devices_page.cards(row, "demo"))
    for word in ("image jpeg:90", "better than the way before", "48 Mbit/s, 21.5 ms round trip", "20 pictures/s",
                 "1.5 GHz", "62 °C", "USD a million", "41.2", "0.21", "52 ms slower, 43% cheaper"):  # fmt: skip
        assert word in text
    assert text.index("chosen") < text.index("52 ms slower")
    assert "why not" not in text_of(devices_page.cards(device_rows([Heard(status, NOW_NS, False)], [], NOW_NS), "demo"))


def test_an_empty_installation_says_what_to_do() -> None:
    """Both pages name the command that starts a device."""
    assert "headwater edge --fleet street" in text_of(devices_page.cards([], "street"))
    site = create_app(ListedStore(), NoBroker(), fleet="street")
    assert "headwater edge --fleet street" in text_of(site.dash.layout)


def test_every_id_in_use_is_a_constant_of_the_page() -> None:
    """No callback hangs on an element that is not there."""
    layout = json.dumps(
        create_app(ListedStore(), NoBroker()).dash.layout.to_plotly_json(), default=lambda o: o.to_plotly_json()
    )
    names = [value for name, value in vars(ids).items() if name.isupper() and isinstance(value, str)]
    assert [name for name in names if f'"{name}"' not in layout] == []


def test_details_of_a_lost_store_are_a_sentence() -> None:
    """An old frame is asked for while the store is away: no error reaches the page."""
    store = ListedStore()
    store.away = True
    source = Source(store, Window(1), NoBroker(), "demo", lambda: NOW_NS)
    assert "store is away" in text_of(source.details({"id": "cam1-9f3c2a1b-0", "entry": "1-0"}))
    assert source.past({"from_ms": 0, "to_ms": 5, "token": 7}) == {"token": 7, "away": True, "rows": []}
    assert source.details(None) == []


@pytest.mark.parametrize("wanted", [None, [], {}, {"from_ms": "x", "to_ms": 1}, {"from_ms": 1e400, "to_ms": 1}])
def test_a_wrong_span_is_ignored(wanted: Any) -> None:
    """What a browser sends is checked."""
    source = Source(ListedStore(), Window(1), NoBroker(), "demo", lambda: NOW_NS)
    assert not isinstance(source.past(wanted), dict)


def test_the_policy_lets_in_nothing_but_tiles() -> None:
    """Scripts, styles and connections are the site's own; pictures may come from the tile server, if there is one."""
    policy = content_policy(["'sha256-x'"], "https://tile.openstreetmap.org/{z}/{x}/{y}.png")
    assert "script-src 'self' 'sha256-x';" in policy
    assert "img-src 'self' data: blob: https://tile.openstreetmap.org;" in policy
    assert "http" not in content_policy([], "")
    assert tile_origin("https://{s}.tiles.example/{z}") == "https://*.tiles.example"


@pytest.mark.parametrize("tiles", ["ftp://x/{z}", "nothing", "https:// ;script-src *", "https://a;b/{z}"])
def test_a_tile_address_cannot_widen_the_policy(tiles: str) -> None:
    """It is refused with what was expected."""
    with pytest.raises(SettingsError, match="tiles: got"):
        tile_origin(tiles)


def test_the_outlines_are_small_and_of_one_world() -> None:
    """Land and borders, within the map, under 300 kB, with their source stated."""
    assets = Path(HERE, "assets")
    outlines = json.loads((assets / "outlines.json").read_text())
    assert [feature["properties"]["kind"] for feature in outlines["features"]] == ["land", "borders"]
    assert (assets / "outlines.json").stat().st_size < 300_000
    rings = [ring for polygon in outlines["features"][0]["geometry"]["coordinates"] for ring in polygon]
    assert all(-180 <= x <= 180 and -90 <= y <= 90 for ring in rings for x, y in ring)
    assert "Natural Earth" in (assets / "SOURCES.md").read_text()


def test_numbers_are_written_for_people() -> None:
    """Three digits, a unit, and UTC."""
    assert [words.size(n) for n in (0, 999, 4711, 268_435_456)] == ["0 B", "999 B", "4.71 KB", "268 MB"]
    assert [words.bandwidth(n) for n in (None, 5.1e7)] == ["–", "51 Mbit/s"]
    assert words.moment(1_790_000_000 * 10**9) == "2026-09-21 14:13:20 UTC"
    assert words.moment(2**62) == "2116-02-20 23:53:38 UTC"
    assert words.place(Position(-1.5, 2.0, "gpsd", 4.0)) == "1.50000° S, 2.00000° E ± 4 m"
