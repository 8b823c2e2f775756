"""The site in a real browser: pushed, steady, and alone in the world (no internet)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from headwater.messages import Prediction
from tests.servers import BrokerUnderTest, StoreUnderTest, eventually, holds_in_one_of, need
from tests.visualizer.door.asking import PASSWORD, write
from tests.visualizer.fake_fleet import FakeDevice, add, broker_session, say

FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1280,800",
    "--host-resolver-rules=MAP tile.openstreetmap.org ~NOTFOUND",
)  # fmt: skip
MAP_SHOWS = "return window.headwater?.map?.markers.size ?? 0"

NOTE_WHAT_IS_ASKED = """
const set = headwater.setProps;
headwater.setProps = (id, props) => {
  if (id === "archive-wanted") headwater.lastAsked = props.data.token;
  set(id, props);
};
"""
ANSWER_LATE = """
dash_clientside.headwater.archive({token: headwater.lastAsked, rows: arguments[0]});
return headwater.frames.past.size;
"""
OLD_ROW = ["1-0", "cam1-9f3c2a1b-9999", "cam1", 0, 43.0, 11.0, "exif", "late.jpg", []]


class Site:
    """The site's process."""

    def __init__(self, store: str, broker: str, *flags: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "headwater", "visualizer", "--store", store, "--broker", broker]
        self.process = subprocess.Popen(
            [*command, "--port", str(port), *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.address = self.process.stdout.readline().split()[-1]
        self.port = int(self.address.rpartition(":")[2])

    def stop(self) -> None:
        """End it in order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=15)


class Page:
    """What a person sees and does."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self.driver.execute_script(script, *arguments)

    def text(self, css: str) -> str:
        """Return the visible text of an element."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", css)

    def open(self, address: str) -> None:
        """Load the site with all its scripts and wait for the first push."""
        self.driver.get(address)
        assert eventually(lambda: self.run("return window.Plotly && (window.headwater?.live?.messages ?? 0)"), 30)

    def go(self, page: str) -> None:
        """Follow a link of the navigation."""
        self.run("document.querySelector(`nav .tab-${arguments[0]}`).click()", page)

    def click_frame(self, name: str) -> None:
        """Click with the mouse where the frame's point is."""
        x, y = self.run(
            "const map = headwater.map.map, box = map.getContainer().getBoundingClientRect();"
            "const p = map.latLngToContainerPoint(headwater.map.markers.get(arguments[0]).getLatLng());"
            "return [Math.round(box.left + p.x), Math.round(box.top + p.y)]",
            name,
        )
        self.drag((x, y), (x, y))

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Press the mouse at one point of the window and let go at another."""
        from selenium.webdriver.common.action_chains import ActionChains

        actions = ActionChains(self.driver)
        pointer = actions.w3c_actions.pointer_action
        pointer.move_to_location(*start)
        pointer.pointer_down()
        pointer.move_to_location(*end)
        pointer.pointer_up()
        actions.perform()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A browser with an empty profile."""
    need(package="selenium")
    chromium, chromedriver = need("chromium"), need("chromedriver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *(["--no-sandbox"] if os.getuid() == 0 else [])):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    yield Page(driver)
    driver.quit()


@pytest.fixture
def store(valkey: StoreUnderTest) -> Iterator[redis.Redis]:
    """A client of the store that the site reads."""
    client = redis.Redis.from_url(valkey.url)
    yield client
    client.close()


@pytest.fixture
def site(valkey: StoreUnderTest, mosquitto: BrokerUnderTest) -> Iterator[Site]:
    """The site on real servers."""
    running = Site(valkey.url, mosquitto.url)
    yield running
    running.stop()


def stored(store: redis.Redis, device: FakeDevice, count: int) -> list[str]:
    """Store frames of one device and return their ids."""
    records = [device.record(time.time_ns()) for _ in range(count)]
    for record in records:
        add(store, record)
    return [f"{r.device}-{r.boot}-{r.sequence}" for r in records]


def view(page: Page) -> list[float]:
    """Return where the map looks and how near."""
    return page.run("const m = headwater.map.map, c = m.getCenter(); return [c.lat, c.lng, m.getZoom()]")


def test_a_new_frame_is_on_the_map_within_a_second(page: Page, site: Site, store: redis.Redis) -> None:
    """Twenty times: from the moment it is stored to the moment it is drawn, both on this machine's clock."""
    device = FakeDevice("cam1")
    stored(store, device, 5)
    page.open(site.address)
    assert eventually(lambda: page.run(MAP_SHOWS) == 5, 15)
    holds_in_one_of(3, lambda: assert_drawn_within_a_second(page, store, device))
    assert page.run("return document.querySelectorAll('#list-newest button').length") > 0


def assert_drawn_within_a_second(page: Page, store: redis.Redis, device: FakeDevice) -> None:
    """Store twenty frames, one after the other, and look when each is drawn."""
    late_ms = []
    for _ in range(20):
        record = device.record(time.time_ns())
        add(store, record)
        name = f"cam1-{record.boot}-{record.sequence}"
        drawn_ms = eventually(lambda name=name: page.run("return headwater.map.drawn.get(arguments[0]) ?? 0", name))
        assert drawn_ms, "never drawn"
        late_ms.append(drawn_ms - record.stored_ns / 1e6)
    assert max(late_ms) < 1000, sorted(late_ms)


def test_zoom_and_selection_survive_updates(page: Page, site: Site, store: redis.Redis) -> None:
    """The view is fitted once; from then on only people move it. A click shows all stages, later the journey."""
    device = FakeDevice("cam1")
    first = stored(store, device, 8)
    page.open(site.address)
    assert eventually(lambda: page.run(MAP_SHOWS) == 8, 15)
    assert view(page)[2] > 10  # fitted to the points, not the world
    page.run(
        "headwater.map.map.setView(headwater.map.markers.get(arguments[0]).getLatLng(), 19, {animate: false})", first[3]
    )
    page.click_frame(first[3])
    assert eventually(lambda: "round trip not yet reported" in page.text("#details"))
    shown, before = page.text("#details"), view(page)
    for word in ("DSCN0003.jpg", "from exif", "block_5_add", "int8+zstd", "capture", "head", "spool", "tail", "store"):
        assert word in shown
    stored(store, device, 30)
    assert eventually(lambda: page.run(MAP_SHOWS) == 38)
    assert view(page) == before
    assert "DSCN0003.jpg" in page.text("#details")
    add(store, journey_of(device, 3))
    assert eventually(lambda: "capture to result" in page.text("#details"))
    assert "±" in page.text("#details")


def journey_of(device: FakeDevice, sequence: int) -> Any:
    """Return the journey of an earlier frame."""
    return device.journey(msgspec.structs.replace(device.record(1), sequence=sequence))


def test_following_moves_the_map_only_when_asked(page: Page, site: Site, store: redis.Redis) -> None:
    """With "follow" on, the newest point is brought into the view."""
    device = FakeDevice("cam1")
    stored(store, device, 3)
    page.open(site.address)
    assert eventually(lambda: page.run(MAP_SHOWS) == 3, 15)
    page.run("document.querySelector('#follow input').click()")
    device.place = (45.8, 15.97)
    stored(store, device, 1)
    assert eventually(lambda: abs(view(page)[0] - 45.8) < 0.01)


def test_filters_and_frames_without_a_place(page: Page, site: Site, store: redis.Redis) -> None:
    """A class pressed away leaves the map; a frame without a position is listed and opens like every other."""
    stored(store, FakeDevice("cam1"), 40)
    lost = stored(store, FakeDevice("cam2", placed=False), 3)
    page.open(site.address)
    assert eventually(lambda: page.run(MAP_SHOWS) == 40, 15)
    assert eventually(lambda: page.text("#unplaced-count") == "3")
    clean = page.run(
        "return [...headwater.frames.live.values()].filter((f) => f.placed && f.predictions[0][1] === 'clean').length"
    )
    page.run("document.querySelector('#legend [data-label=dirty]').click()")
    assert eventually(lambda: page.run(MAP_SHOWS) == clean)
    page.run("document.querySelector('#legend [data-label=dirty]').click()")
    page.run("document.querySelector('#list-unplaced button').click()")
    assert eventually(lambda: lost[-1] in page.text("#details"))
    assert "no position" in page.text("#details")
    page.run("headwater.setProps('device-filter', {value: ['cam2']})")
    assert eventually(lambda: page.run(MAP_SHOWS) == 0 and page.text("#shown-count") == "3 shown")


def test_older_frames_come_from_the_store(
    page: Page, valkey: StoreUnderTest, mosquitto: BrokerUnderTest, store: redis.Redis
) -> None:
    """The site remembers 50 frames; a filter that reaches further back is filled from the store, tasks and all."""
    old = FakeDevice("cam0").record(time.time_ns())
    add(store, msgspec.structs.replace(old, predictions=[Prediction("species", "owl", None, 0.9, [0.1, 0.9])]))
    names = stored(store, FakeDevice("cam1"), 120)
    site = Site(valkey.url, mosquitto.url, "--window-frames", "50")
    try:
        page.open(site.address)
        assert eventually(lambda: page.run(MAP_SHOWS) == 50, 15)
        page.run(NOTE_WHAT_IS_ASKED)
        page.run("document.querySelector('#time-filter input[value=\"3600\"]').click()")
        assert eventually(lambda: page.run(MAP_SHOWS) == 121, 15)
        tasks = "return headwater.frames.known.tasks.map((one) => one.task)"
        assert eventually(lambda: page.run(tasks) == ["litter", "species"])
        assert "cam0" in page.run("return [...headwater.frames.known.devices]")
        page.run("headwater.map.select(headwater.frames.find(arguments[0]))", names[2])
        assert eventually(lambda: "DSCN0002.jpg" in page.text("#details"))
        page.run("document.querySelector('#time-filter input[value=all]').click()")
        assert eventually(lambda: page.run(MAP_SHOWS) == 50)
        assert page.run("return headwater.lastAsked") > 0
        assert page.run(ANSWER_LATE, [OLD_ROW]) == 0
    finally:
        site.stop()


def test_frames_that_leave_the_newest_stay_while_their_time_is_shown(
    page: Page, valkey: StoreUnderTest, mosquitto: BrokerUnderTest, store: redis.Redis
) -> None:
    """With "last hour" chosen, what is pushed out of the newest 20 stays on the map, up to twice as many again."""
    device = FakeDevice("cam1")
    stored(store, device, 20)
    site = Site(valkey.url, mosquitto.url, "--window-frames", "20")
    try:
        page.open(site.address)
        assert eventually(lambda: page.run(MAP_SHOWS) == 20, 15)
        page.run("document.querySelector('#time-filter input[value=\"3600\"]').click()")
        assert eventually(lambda: page.run("return headwater.frames.filter.time") == "3600")
        assert eventually(lambda: page.text("#time-note") == "")
        for count in (30, 40, 50, 60, 60):
            newest = stored(store, device, 10)[-1]
            assert eventually(lambda newest=newest: page.run("return headwater.map.markers.has(arguments[0])", newest))
            assert page.run(MAP_SHOWS) == count
        page.run("headwater.frames.filter.time = '0'; headwater.frames.prune()")
        assert page.run("return headwater.frames.past.size") == 0
        page.run("document.querySelector('#time-filter input[value=all]').click()")
        assert eventually(lambda: page.run(MAP_SHOWS) == 20)
    finally:
        site.stop()


def test_stage_times_keep_their_zoom(page: Page, site: Site, store: redis.Redis) -> None:
    """Bars are made again when frames come, and the axis stays where it was put."""
    device = FakeDevice("cam1")
    stored(store, device, 20)
    page.open(site.address)
    page.go("stages")
    bars = "const bars = document.querySelector('#stages-bars .js-plotly-plot');"
    assert eventually(lambda: page.run(f"{bars} return bars?.data?.length ?? 0"), 20)
    left, top, width, height = page.run(
        f"{bars} const box = bars.querySelector('.nsewdrag').getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height]"
    )
    middle = int(top + height / 2)
    page.drag((int(left + 0.3 * width), middle), (int(left + 0.6 * width), middle))
    zoomed = f"{bars} return bars._fullLayout.xaxis.range"
    assert eventually(lambda: page.run(zoomed)[1] - page.run(zoomed)[0] < 8)
    before = page.run(zoomed)
    stored(store, device, 5)
    assert eventually(lambda: page.run(f"{bars} return bars.data[0].x.length") == 25)
    assert page.run(zoomed) == before
    assert "p99" in page.text("#stages-table")


def test_devices_speak_and_fall_silent(page: Page, site: Site, mosquitto: BrokerUnderTest) -> None:
    """A status is on the page a moment after it was published; so is the last will."""
    session = broker_session(mosquitto.url)
    device = FakeDevice("cam7", sequence=28)
    page.open(site.address)
    page.go("devices")
    assert eventually(lambda: "No devices yet" in page.text("#devices-list"))
    say(session, device.status(time.time_ns()))
    assert eventually(lambda: "cam7" in page.text("#devices-list"), 10)
    shown = page.text("#devices-list")
    for word in ("online", "frames/s", "block_5_add", "Mbit/s", "spool", "in flight", "ago"):
        assert word in shown
    say(session, device.status(time.time_ns(), online=False))
    assert eventually(lambda: "offline" in page.text("#devices-list"), 10)
    session.stop()


def test_the_site_is_alone_and_makes_no_errors(page: Page, site: Site, store: redis.Redis) -> None:
    """Every page asks this site for everything, except street tiles; the console holds no other complaint."""
    stored(store, FakeDevice("cam1"), 10)
    page.open(site.address)
    assert eventually(lambda: page.run(MAP_SHOWS) == 10, 15)
    page.click_frame("cam1-9f3c2a1b-4")
    for name in ("stages", "devices", "map"):
        page.go(name)
        assert eventually(lambda name=name: page.run("return document.documentElement.dataset.page") == name)
    assert eventually(lambda: page.text("#stages-table") != "" or page.run("return headwater.page()") == "map")
    asked = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    addresses = {m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"}
    elsewhere = {a for a in addresses if a.startswith("http") and not a.startswith(site.address)}
    assert {a for a in elsewhere if not a.startswith("https://tile.openstreetmap.org/")} == set()
    assert len(elsewhere) <= 1  # one question whether there are tiles
    severe = [entry["message"] for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert [message for message in severe if "tile.openstreetmap.org" not in message] == []
    assert page.run("return Boolean(headwater.ground.outlines) && !headwater.ground.tiles")


def test_store_and_site_go_and_come_back(
    page: Page, site: Site, valkey: StoreUnderTest, mosquitto: BrokerUnderTest, store: redis.Redis
) -> None:
    """The header says since when; everything recovers by itself, and the browser only asks for what it missed."""
    device = FakeDevice("cam1")
    stored(store, device, 3)
    page.open(site.address)
    assert eventually(lambda: page.run(MAP_SHOWS) == 3, 15)
    valkey.stop()
    assert eventually(lambda: "store away since" in page.text("header"))
    valkey.start()
    assert eventually(lambda: "away" not in page.text("header"), 20)
    stored(store, device, 2)
    assert eventually(lambda: page.run(MAP_SHOWS) == 5, 15)
    site.stop()
    assert eventually(lambda: "site away since" in page.text("header"))
    again = Site(valkey.url, mosquitto.url, port=site.port)
    try:
        stored(store, device, 2)
        assert eventually(lambda: page.run(MAP_SHOWS) == 7, 20)
        assert eventually(lambda: "away" not in page.text("header"))
    finally:
        again.stop()


@pytest.fixture
def login(valkey: StoreUnderTest, mosquitto: BrokerUnderTest, tmp_path: Path) -> Iterator[tuple[Site, Path]]:
    """A site that asks who looks, at which operators may set devices, and its password file."""
    users, secret = write(tmp_path / "users", camille="viewer", sam="operator"), tmp_path / "operator"
    secret.write_text("any\n")  # this broker asks nobody
    flags = ("--users", str(users), "--operator-username", "operator", "--operator-password-file", str(secret))
    running = Site(valkey.url, mosquitto.url, *flags)
    yield running, users
    running.stop()


def sign_in(page: Page, name: str, password: str) -> None:
    """Fill in the form with the keyboard alone, from where the page has put the cursor, and send it with Enter."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    assert eventually(lambda: page.run("return document.activeElement.tagName") == "INPUT")
    ActionChains(page.driver).send_keys(name, Keys.TAB, password, Keys.ENTER).perform()


def test_people_sign_in_look_and_sign_out(page: Page, login: tuple[Site, Path], store: redis.Redis) -> None:
    """The page that was asked for comes after the name and password; who is removed is asked again within moments."""
    (site, users), path = login, "return location.pathname"
    stored(store, FakeDevice("cam1"), 5)
    page.driver.get(f"{site.address}/stages")
    assert page.run(path) == "/sign-in"
    sign_in(page, "camille", "wrong")
    assert eventually(lambda: "do not belong together" in page.text("[role=alert]"))
    assert eventually(lambda: page.run("return document.activeElement.id") == "password")
    assert page.run("return document.querySelector('#name').value") == "camille"
    page.run("document.querySelector('#name').select()")
    page.run("document.querySelector('#name').focus()")
    sign_in(page, "camille", PASSWORD)
    assert eventually(lambda: page.run(path) == "/stages")
    assert eventually(lambda: page.text("#visitor") == "camille", 30)
    assert page.run("return document.cookie") == ""
    page.go("map")
    assert eventually(lambda: page.run(MAP_SHOWS) == 5, 15)
    assert page.run("return getComputedStyle(document.documentElement).colorScheme") in ("light", "dark")
    users.write_text(users.read_text().replace("camille:", "claire:"))
    assert eventually(lambda: page.run(path) == "/sign-in", 15)
    sign_in(page, "claire", PASSWORD)
    assert eventually(lambda: page.text("#visitor") == "claire", 30)
    page.run("document.querySelector('#visitor').click()")
    assert eventually(lambda: page.text("h1") == "claire")
    page.run("document.querySelector('button').click()")
    assert eventually(lambda: page.run(path) == "/sign-in")
    page.driver.back()
    assert eventually(lambda: page.run(path) == "/sign-in")
    severe = [entry["message"] for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    expected = ("tile.openstreetmap.org", "403 (Forbidden)", "401 (Unauthorized)", "WebSocket connection to")
    assert [message for message in severe if not any(word in message for word in expected)] == []


def test_an_operator_sets_a_device_in_the_browser(
    page: Page, login: tuple[Site, Path], mosquitto: BrokerUnderTest
) -> None:
    """A viewer is shown no way there; an operator fills in the form, and the broker has the settings."""
    site, _ = login
    session = broker_session(mosquitto.url)
    say(session, FakeDevice("cam7").status(time.time_ns()))
    for name, shown in (("camille", "none"), ("sam", "block")):
        page.driver.get(f"{site.address}/devices")
        sign_in(page, name, PASSWORD)
        assert eventually(lambda: "cam7" in page.text("#devices-list"), 30)
        assert eventually(lambda name=name: page.text("#visitor") == name)
        way = "return getComputedStyle(document.querySelector('.operators')).display"
        assert page.run(way) == shown
        if name == "camille":
            page.driver.delete_all_cookies()
    page.run("document.querySelector('.operators a').click()")
    assert eventually(lambda: page.text("h1") == "cam7")
    assert page.run("return [...document.querySelectorAll('#splits option')].map((one) => one.value)")[:3] == [
        "auto", "image", "device",
    ]  # fmt: skip
    page.run("document.querySelector('#split').value = 'image'; document.querySelector('button').click()")
    assert eventually(lambda: "has not answered yet" in page.text("[role=status]"), 10)
    assert "asked for" in page.text("dl")
    session.stop()
