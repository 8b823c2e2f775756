"""A real device announces itself at a real broker; what Home Assistant would make of its messages is true."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

import pytest

from headwater.messages import SettingsApplied, decode_json
from headwater.probes import free_port
from headwater.session import Address, Callbacks, Received, Session
from tests.edge.home_assistant_rules import checked, command, rendered
from tests.edge.samples import exit_bundle
from tests.integration.test_device import Bench, wait_until
from tests.servers import BrokerUnderTest

CONFIG = "homeassistant/device/demo/cam1/config"


class HomeAssistant:
    """Keeps what the broker has retained, and the last word on every topic, as Home Assistant hears them."""

    def __init__(self, url: str, prefix: str = "homeassistant") -> None:
        self.last: dict[str, bytes] = {}
        self._heard: queue.SimpleQueue[Received] = queue.SimpleQueue()
        topics = [(f"{prefix}/device/+/+/config", 0), ("headwater/v1/+/+/#", 0)]
        callbacks = Callbacks(on_message=self._take)
        self.session = Session(Address.parse(url), f"homeassistant-{prefix}", callbacks, subscriptions=topics)
        self.session.start(10)

    def _take(self, message: Received) -> None:
        if message.payload:
            self.last[message.topic] = message.payload
        else:
            self.last.pop(message.topic, None)

    def components(self, topic: str = CONFIG) -> dict[str, dict[str, Any]]:
        """Return what is announced there; it keeps to the rules."""
        wait_until(lambda: topic in self.last)
        return checked(topic, self.last[topic])

    def state(self, key: str) -> str:
        """Return what a component shows now, unavailable and nothing included."""
        one = self.components()[key]
        availability = self.last.get(one["availability_topic"])
        if availability is None or rendered(one["availability_template"], availability) != "online":
            return "unavailable"
        payload = self.last.get(one["state_topic"])
        return "" if payload is None else rendered(one["value_template"], payload)

    def number(self, key: str) -> float:
        """Return what a component shows as a number, -1 while there is none."""
        state = self.state(key)
        return -1.0 if state in ("", "None", "unavailable") else float(state)

    def choose(self, key: str, option: str) -> None:
        """Choose one of a select's options."""
        one = self.components()[key]
        assert option in one["options"]
        payload = command(one["command_template"], option).encode()
        self.session.publish(one["command_topic"], payload, qos=one["qos"], retain=one["retain"])


@pytest.fixture
def at_home(mosquitto: BrokerUnderTest) -> Iterator[Callable[..., HomeAssistant]]:
    """Make listeners that go away at the end."""
    made: list[HomeAssistant] = []

    def one(prefix: str = "homeassistant") -> HomeAssistant:
        made.append(HomeAssistant(mosquitto.url, prefix))
        return made[-1]

    yield one
    for listener in made:
        listener.session.stop()


def test_every_template_reads_what_a_running_device_says(bench: Bench, at_home: Callable[..., HomeAssistant]) -> None:
    """Numbers are numbers, the last answer is of now, and all of it is retained: a later start finds the same."""
    worker, home, port = bench.worker(), at_home(), free_port()
    device = bench.device("--rate", "40", "--loop", "--home-assistant", "--metrics", str(port))
    wait_until(lambda: worker.different > 20 and home.state("connected") == "ON")
    wait_until(lambda: home.number("finished") > 20 and home.number("round_trip") > 0)
    for key in ("frames_per_s", "finished", "dropped", "in_flight", "spool", "round_trip"):
        assert home.number(key) >= 0, key
    assert abs(datetime.now(UTC) - datetime.fromisoformat(home.state("last_finished"))) < timedelta(minutes=2)
    assert (home.state("split"), home.state("set_split")) == ("add", "add")
    assert "left_early" not in home.components()
    later = at_home()
    assert later.components() == home.components()
    with urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
        assert answer.status == 200  # it tells others, too
    device.kill()
    wait_until(lambda: home.state("connected") == "OFF")
    assert home.state("finished") == "unavailable"


def test_frames_that_leave_early_are_told_where_the_model_has_exits(
    bench: Bench, at_home: Callable[..., HomeAssistant]
) -> None:
    """Every frame leaves at the one exit; both figures stand in one message."""
    bench.worker()
    home, folder = at_home(), exit_bundle(bench.folder / "early", threshold=99.0).folder
    bench.device("--bundle", str(folder), "--split", "conv_b", "--rate", "20", "--loop", "--home-assistant")
    wait_until(lambda: home.number("left_early") >= 10)
    wait_until(lambda: home.state("left_early") == home.state("finished"))


def test_a_split_is_chosen_in_home_assistant(bench: Bench, at_home: Callable[..., HomeAssistant]) -> None:
    """The device takes it, says so, runs it, and takes it again after a restart; what it refuses changes nothing."""
    bench.worker()
    home = at_home()
    device = bench.device("--rate", "20", "--loop", "--home-assistant")
    wait_until(lambda: home.state("set_split") == "add")
    assert {"auto", "image", "device", "conv_a", "add"} <= set(home.components()["set_split"]["options"])
    home.choose("set_split", "device")
    wait_until(lambda: home.state("set_split") == home.state("split") == "device")
    device.stop()
    wait_until(lambda: home.state("set_split") == "unavailable")
    bench.device("--rate", "20", "--loop", "--home-assistant", "--keep-pictures")
    wait_until(lambda: home.state("set_split") == "device")
    home.choose("set_split", "image")
    applied = "headwater/v1/demo/cam1/settings/applied"
    wait_until(lambda: decode_json(SettingsApplied, home.last[applied]).refused)
    assert home.state("set_split") == "device"


def test_without_being_asked_nothing_is_announced(bench: Bench, at_home: Callable[..., HomeAssistant]) -> None:
    """Off by default, and a device that was announced before stays so until somebody takes it back."""
    worker, home = bench.worker(), at_home()
    bench.device(pictures=5).wait(30)
    wait_until(lambda: worker.statuses and not worker.statuses[-1].online)
    assert CONFIG not in home.last
    bench.device("--home-assistant", pictures=5).wait(30)
    wait_until(lambda: CONFIG in home.last)
    bench.device(pictures=5).wait(30)
    wait_until(lambda: sum(not status.online for status in worker.statuses) >= 3)
    later = at_home()
    wait_until(lambda: CONFIG in later.last)


def test_an_announcement_is_taken_back(bench: Bench, at_home: Callable[..., HomeAssistant]) -> None:
    """--no-home-assistant clears what the broker had kept, and nothing else."""
    worker, home = bench.worker(), at_home()
    bench.device("--home-assistant", pictures=5).wait(30)
    wait_until(lambda: CONFIG in home.last)
    bench.device("--no-home-assistant", pictures=5).wait(30)
    wait_until(lambda: CONFIG not in home.last)
    later = at_home()
    wait_until(lambda: "headwater/v1/demo/cam1/status" in later.last)
    assert CONFIG not in later.last
    assert worker.statuses


def test_a_broker_that_forgot_is_told_again(
    bench: Bench, at_home: Callable[..., HomeAssistant], mosquitto: BrokerUnderTest
) -> None:
    """Under a prefix of one's own, with dots in the names, after a restart without what it had kept."""
    bench.worker()
    device = bench.device(
        "--rate", "10", "--loop", "--fleet", "f.1", "--home-assistant", "--home-assistant-prefix", "house/ha"
    )
    home = at_home("house/ha")

    def announced() -> list[str]:
        return [topic for topic in list(home.last) if topic.startswith("house/ha/device/f_1-")]

    wait_until(announced)
    (topic,) = announced()
    checked(topic, home.last[topic])
    mosquitto.kill()
    (mosquitto.folder / "mosquitto.db").unlink(missing_ok=True)
    home.last.clear()
    mosquitto.start()
    wait_until(announced)
    assert device.alive
    assert json.loads(home.last[topic])["device"]["name"] == "cam1"
