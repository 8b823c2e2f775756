"""Prometheus itself, with the overlay's settings and rules, on real processes: who is asked, and what queries give."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from headwater.children import Child, start
from headwater.probes import free_port
from models.pictures import encode_jpeg
from tests.compose.alerts_page import RULES, alerts
from tests.compose.panels import ROWS
from tests.end_to_end.stream import device, headwater
from tests.servers import BrokerUnderTest, StoreUnderTest, eventually, need

DONE_S, WAIT_S = 60.0, 10.0
FOLDER = RULES.parent
HOSTS = {"edge": "127.0.0.2", "worker": "127.0.0.3", "visualizer": "127.0.0.4"}
"""Each part has an address of its own, as a container has, and all have the same port."""
FAULTS = " > 0"
"""Behind what is shown only where there is any."""
NOTHING_TO_SHOW = {"Alerts that fire", "Decisions", "Link: bandwidth"}
"""Panels that are empty, too, while all is well, the split is fixed, and no large message travels alone."""


class Prometheus:
    """A Prometheus that asks three processes of this machine."""

    def __init__(self, folder: Path, port: int) -> None:
        settings, self._port = written(folder, port), free_port()
        kept = f"--storage.tsdb.path={folder / 'kept'}"
        listen = f"--web.listen-address=127.0.0.1:{self._port}"
        command = [need("prometheus"), f"--config.file={settings}", kept, listen, "--log.level=warn"]
        self.child: Child = start("prometheus", command, log=folder / "log", lines=False)

    def get(self, path: str, **asked: str) -> Any:
        """Return the data of an answer, None where nothing answers yet; fail where what is asked is no PromQL."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            pytest.fail(f"{asked}: {error.read().decode()}")
        except urllib.error.URLError:
            return None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return every sample of an answer."""
        found = self.get("query", query=expression)
        return found["result"] if found else []

    def values(self, expression: str) -> list[float]:
        """Return the values of an answer."""
        return [float(sample["value"][1]) for sample in self.query(expression)]

    def is_ready(self) -> bool:
        """Tell whether it has begun to ask."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=10) as answer:
                return answer.status == 200
        except urllib.error.URLError:
            return False


def written(folder: Path, port: int) -> Path:
    """Return a copy of the overlay's settings, with addresses in place of names, and short of breath.

    The device is named in a file of its own, as one elsewhere is.
    """
    said = yaml.safe_load((FOLDER / "prometheus.yaml").read_text().replace("9464", str(port)))
    said["global"] = {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "500ms"}
    for job in said["scrape_configs"]:
        del job["dns_sd_configs"]
        if job["job_name"] != "edge":
            job["static_configs"] = [{"targets": [f"{HOSTS[job['job_name']]}:{port}"]}]
    (folder / "targets").mkdir(parents=True)
    camera = [{"targets": [f"{HOSTS['edge']}:{port}"], "labels": {"instance": "camera-1"}}]
    (folder / "targets/edge.yaml").write_text(yaml.safe_dump(camera))
    (folder / "alerts.yaml").write_text(RULES.read_text())
    settings = folder / "prometheus.yaml"
    settings.write_text(yaml.safe_dump(said))
    return settings


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(2):
        picture = random.integers(0, 255, (240, 320, 3), np.uint8)
        (folder / f"{number}.jpg").write_bytes(encode_jpeg(picture, 85))
    return folder


@pytest.fixture
def port() -> int:
    """A port that is free on every part's address, very likely."""
    return free_port()


@pytest.fixture
def parts(
    port: int, mosquitto: BrokerUnderTest, valkey: StoreUnderTest, pictures: Path, tmp_path: Path
) -> Iterator[dict[str, Child]]:
    """A worker, a site and a device that streams, each with its figures."""
    told = {part: ["--metrics", f"{host}:{port}"] for part, host in HOSTS.items()}
    at = ["--broker", mosquitto.url, "--store", valkey.url]
    running = {"worker": headwater("w1", "worker", "--processes", "1", *at, *told["worker"])}
    try:
        site = ["visualizer", *at, "--port", "0", "--tiles", "none", *told["visualizer"]]
        running["visualizer"] = headwater("site", *site)
        running["worker"].wait_for_line("ready", DONE_S)
        stream = ["--loop", "--rate", "20", "--split", "block_13_project", *told["edge"]]
        running["edge"] = device(mosquitto.url, tmp_path / "spool", pictures, *stream)
        running["visualizer"].wait_for_line("listening", DONE_S)
        yield running
    finally:
        for child in running.values():
            child.kill()


@pytest.fixture
def prometheus(tmp_path: Path, port: int) -> Iterator[Prometheus]:
    """A Prometheus that is ready."""
    running = Prometheus(tmp_path / "prometheus", port)
    try:
        assert eventually(running.is_ready, DONE_S), running.child.last_words()
        yield running
    finally:
        running.child.kill()


def panels() -> Iterator[tuple[str, bool]]:
    """Return every query of the dashboard as Grafana sends it, and whether all may be well when nothing comes."""
    for panel in (panel for row in ROWS.values() for panel in row):
        for expression, _ in panel.asked:
            may_be_empty = panel.title in NOTHING_TO_SHOW or expression.endswith(FAULTS)
            yield expression.replace("$device", ".*").replace("$__rate_interval", "5s"), may_be_empty


def test_every_panel_shows_what_runs(prometheus: Prometheus, parts: dict[str, Child]) -> None:
    """Each part is found and called as it should be, and each query of the dashboard gives values."""
    assert eventually(lambda: sum(prometheus.values("up")) == 3, DONE_S), prometheus.query("up")
    found = {(sample["metric"]["job"], sample["metric"]["instance"]) for sample in prometheus.query("up")}
    assert found == {("edge", "camera-1"), ("worker", HOSTS["worker"]), ("visualizer", HOSTS["visualizer"])}
    answered = "sum(headwater_worker_frames_answered_total)"
    assert eventually(lambda: max(prometheus.values(answered), default=0) >= 60, DONE_S)
    empty = []
    for expression, may_be_empty in panels():
        shown = eventually(lambda asked=expression: prometheus.query(asked), 0.0 if may_be_empty else WAIT_S)
        empty += [] if shown or may_be_empty else [expression]
    assert empty == []
    (per_second,) = prometheus.values("sum(rate(headwater_edge_frames_finished_total[5s]))")
    assert 1 < per_second < 40


def test_the_rules_tell_a_worker_that_is_gone(prometheus: Prometheus, parts: dict[str, Child]) -> None:
    """Every rule can be worked out; nothing urgent is said before the kill, and what it does soon after."""
    assert eventually(lambda: prometheus.values('up{job="worker"}') == [1], DONE_S)
    assert eventually(lambda: prometheus.values('headwater_edge_frames_finished_total{at="worker"} > 0'), DONE_S)
    assert eventually(lambda: not prometheus.query('ALERTS{severity="critical"}'), DONE_S)
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} >= {alert["alert"] for alert in alerts()}
    assert [rule["name"] for rule in rules if rule["health"] != "ok" or rule.get("lastError")] == []
    parts["worker"].kill()
    assert eventually(lambda: prometheus.query('ALERTS{alertname="NoWorker", alertstate="pending"}'), DONE_S)
    silent = f'ALERTS{{alertname="ProcessSilent", instance="{HOSTS["worker"]}"}}'
    assert eventually(lambda: prometheus.query(silent), DONE_S)
