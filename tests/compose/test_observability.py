"""The observability overlay: what it starts, what its rules and its dashboard ask for, without an engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose import alerts_page, dashboard
from tests.compose.panels import ROWS, Panel
from tests.compose.promql import answer_labels, known, named, unknown
from tests.compose.test_compose_files import STACK_KEYS
from tests.servers import need

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
FOLDER = COMPOSE / "observability"
CASES = ROOT / "tests/compose/alerts.test.yaml"
OURS = {"edge", "worker", "visualizer"}
VERSION = re.compile(r"^(?:prom/prometheus|grafana/grafana):\$\{\w+:-v?\d+\.\d+\.\d+\}$")
RULES = alerts_page.rules()
ALERTS = alerts_page.alerts()
PANELS = [panel for panels in ROWS.values() for panel in panels]


def read(path: Path) -> Any:
    """Return what a YAML file says."""
    return yaml.safe_load(path.read_text())


@pytest.fixture(scope="module")
def overlay() -> dict[str, Any]:
    """What compose.yaml gets."""
    found: dict[str, Any] = read(COMPOSE / "observability.yaml")
    return found


@pytest.fixture(scope="module")
def figures() -> dict[str, set[str]]:
    """The labels of every figure that there is, those of our recording rules included."""
    found = known()
    return found | {rule["record"]: answer_labels(rule["expr"], found) for rule in RULES if "record" in rule}


# -- the compose files -------------------------------------------------------------------------------------------------


def test_prometheus_and_grafana_are_held_in(overlay: dict[str, Any]) -> None:
    """Read-only, no capability, no new privilege, bounded, watched, of one version; the same limits on one machine."""
    here = read(COMPOSE / "observability.override.yaml")["services"]
    assert set(overlay["services"]) - OURS == set(here) == {"prometheus", "grafana"}
    for name, alone in here.items():
        service = overlay["services"][name]
        assert VERSION.match(service["image"]), name
        assert set(service) <= {*STACK_KEYS, "healthcheck"}, name
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["healthcheck"]["test"][0] == "CMD", name
        limits = service["deploy"]["resources"]["limits"]
        assert (float(limits["cpus"]), limits["memory"]) == (alone["cpus"], alone["mem_limit"]), name
        assert all(volume.endswith(":ro") for volume in service["volumes"] if str(volume).startswith("./")), name


def test_only_this_machine_sees_them(overlay: dict[str, Any]) -> None:
    """Ports are in the file that a swarm does not take, and of loopback."""
    here = read(COMPOSE / "observability.override.yaml")["services"]
    assert [name for name, service in overlay["services"].items() if "ports" in service] == []
    ports = {name: service["ports"] for name, service in here.items()}
    assert ports == {
        "prometheus": ["${PROMETHEUS:-127.0.0.1:9090}:9090"],
        "grafana": ["${GRAFANA:-127.0.0.1:3000}:3000"],
    }


def test_grafana_s_password_is_a_file_that_is_made(overlay: dict[str, Any]) -> None:
    """No variable holds it, and make-secrets writes it."""
    said = overlay["services"]["grafana"]["environment"]
    assert [key for key in said if "PASSWORD" in key and not key.endswith("_FILE")] == []
    assert said["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_password"
    assert overlay["secrets"] == {"grafana_password": {"file": "./secrets/grafana_password"}}
    names = re.search(r"for name in (.+); do", (COMPOSE / "make-secrets").read_text())
    assert names is not None
    assert "grafana" in names[1].split()


def test_grafana_asks_nobody_but_prometheus(overlay: dict[str, Any]) -> None:
    """It is on no network with others, and neither reports nor looks for updates, news or plugins."""
    services = overlay["services"]
    sharing = [name for name, service in services.items() if "charts" in service.get("networks", [])]
    assert (services["grafana"]["networks"], sharing) == (["charts"], ["prometheus", "grafana"])
    settings = services["grafana"]["environment"]
    calls = re.compile(r"REPORTING|CHECK_FOR|NEWS")
    assert {settings[key] for key in settings if calls.search(key)} == {"false"}
    assert settings["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


def test_prometheus_asks_every_part_where_it_answers(overlay: dict[str, Any]) -> None:
    """Each service by its name, at the port that the overlay gives it, on a network that both are on."""
    whole = read(COMPOSE / "compose.yaml")["services"]
    jobs = {job["job_name"]: job for job in read(FOLDER / "prometheus.yaml")["scrape_configs"]}
    assert set(jobs) == OURS
    for name, job in jobs.items():
        (place,) = job["dns_sd_configs"]
        told = overlay["services"][name]["environment"]["HEADWATER_METRICS"]
        assert (place["names"], place["type"], f"0.0.0.0:{place['port']}") == ([name], "A", told)
        assert set(whole[name]["networks"]) & set(overlay["services"]["prometheus"]["networks"])
        assert job["file_sd_configs"] == [{"files": [f"targets/{name}*.yaml"]}]
    worker = overlay["services"]["worker"]
    assert worker["environment"]["HEADWATER_PROCESSES"] == "1"
    assert worker["deploy"] == {"endpoint_mode": "dnsrr"}


def test_what_is_mounted_is_where_it_is_looked_for(overlay: dict[str, Any]) -> None:
    """Prometheus's settings and rules, Grafana's source, provider and first page."""
    prometheus, grafana = overlay["services"]["prometheus"], overlay["services"]["grafana"]
    assert "./observability:/etc/prometheus:ro" in prometheus["volumes"]
    assert "--config.file=/etc/prometheus/prometheus.yaml" in prometheus["command"]
    assert [(FOLDER / name).is_file() for name in read(FOLDER / "prometheus.yaml")["rule_files"]] == [True]
    assert "./observability/grafana:/etc/grafana/provisioning:ro" in grafana["volumes"]
    (provider,) = read(FOLDER / "grafana/dashboards/provider.yaml")["providers"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert provider["options"]["path"] == str(home.parent) == "/etc/grafana/provisioning/dashboards"
    assert home.name == dashboard.FILE.name
    (source,) = read(FOLDER / "grafana/datasources/prometheus.yaml")["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == dashboard.SOURCE
    assert source["jsonData"]["timeInterval"] == read(FOLDER / "prometheus.yaml")["global"]["scrape_interval"]


def test_docker_compose_lays_it_over_the_others() -> None:
    """With TLS, too: nobody loses a setting or a network, and but for the broker only loopback is published."""
    program = need("docker-compose")
    names = ["compose", "compose.override", "tls", "observability", "observability.override"]
    flags = [text for name in names for text in ("--file", f"{name}.yaml")]
    done = subprocess.run([program, *flags, "config"], cwd=COMPOSE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    services = yaml.safe_load(done.stdout)["services"]
    worker = services["worker"]["environment"]
    assert (worker["HEADWATER_BROKER"], worker["HEADWATER_METRICS"]) == ("mqtts://broker", "0.0.0.0:9464")
    assert set(services["worker"]["networks"]) == {"messages", "records"}
    assert set(services["prometheus"]["networks"]) == {"messages", "charts"}
    ports = {name: str(service["ports"]) for name, service in services.items() if "ports" in service}
    assert set(ports) == {"broker", "visualizer", "prometheus", "grafana"}
    assert all("127.0.0.1" in said for name, said in ports.items() if name != "broker")


def test_the_script_takes_an_overlay_s_own_override(tmp_path: Path) -> None:
    """compose/compose names what there is of each, in this order; those of Compose v2, which answers here."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "$@"\n')
    docker.chmod(0o755)
    done = subprocess.run(
        [COMPOSE / "compose", "config"],
        env={"OVERLAYS": "tls observability", "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    laid = re.findall(r"--file (\S+)\.yaml", done.stdout)
    ours = ["compose", "compose.override", "compose.2"]
    assert laid == [*ours, "tls", "observability", "observability.override", "observability.2"]


# -- what is asked -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_the_dashboard_asks_for_what_there_is(panel: Panel, figures: dict[str, set[str]]) -> None:
    """Figures and labels are those of the processes, and legends name labels that the answers have."""
    for expression, legend in panel.asked:
        assert named(expression), panel.title
        assert unknown(expression, figures) == [], panel.title
        assert set(re.findall(r"{{(\w+)}}", legend)) <= answer_labels(expression, figures), panel.title


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_the_rules_ask_for_what_there_is(rule: dict[str, Any], figures: dict[str, set[str]]) -> None:
    """Figures and labels are those of the processes, and the words name labels that the answer has."""
    assert named(rule["expr"])
    assert unknown(rule["expr"], figures) == []
    words = " ".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", words)) <= answer_labels(rule["expr"], figures)


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("headwater_edge_frames_lost_total", ["headwater_edge_frames_lost_total"]),
        ('sum by (le) (rate(headwater_worker_stage_seconds_bucket{state="tail"}[5m]))',
         ["headwater_worker_stage_seconds_bucket{state}"]),
        ("sum by (at, kind) (headwater_edge_frames_finished_total)", ["kind"]),
        ("headwater_worker_stage_seconds", ["headwater_worker_stage_seconds"]),
        ('process_nothing{job="edge"} / headwater_edge_well', ["process_nothing"]),
        ('sum by (job, at) (rate(headwater_edge_frames_finished_total{at="exit", instance=~"$device"}[1h]))', []),
    ],
)  # fmt: skip
def test_what_there_is_not_would_be_seen(expression: str, wrong: list[str], figures: dict[str, set[str]]) -> None:
    """A misspelt figure, a label of another figure, a histogram without its part."""
    assert unknown(expression, figures) == wrong


# -- the dashboard -----------------------------------------------------------------------------------------------------


def test_the_dashboard_is_what_the_panels_say() -> None:
    """`python -m tests.compose.dashboard` would change nothing."""
    assert dashboard.FILE.read_text() == dashboard.written()


def test_the_dashboard_is_whole_and_small() -> None:
    """One row for each part of the way, every panel once and inside the grid, each asking our source, 64 KB at most."""
    text = dashboard.FILE.read_text()
    found = json.loads(text)
    rows = [panel["title"] for panel in found["panels"] if panel["type"] == "row"]
    assert rows == ["Fleet", "Journey of a frame", "Devices", "Workers", "Site"]
    panels = [panel for panel in found["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in panels] == [panel.title for panel in PANELS]
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in found["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < dashboard.WIDTH
    assert all(
        panel["datasource"] == target["datasource"] == dashboard.SOURCE
        for panel in panels
        for target in panel["targets"]
    )
    assert len(text) < 64_000


# -- the alerts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(alert: dict[str, Any]) -> None:
    """In sentences, with a severity; it is in the table of the docs, and in a case in which it fires."""
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(alert["annotations"]) == {"summary", "description", "action"}
    assert all(alert["annotations"][name].endswith(".") for name in ("description", "action"))
    cases = read(CASES)["tests"]
    expected = [sample for case in cases for one in case["promql_expr_test"] for sample in one["exp_samples"]]
    assert any(f'alertname="{alert["alert"]}"' in sample["labels"] for sample in expected)
    assert f"| `{alert['alert']}` |" in alerts_page.PAGE.read_text()


def test_the_page_is_written_from_the_rules() -> None:
    """`python -m tests.compose.alerts_page` would change nothing."""
    assert alerts_page.PAGE.read_text() == alerts_page.written()


def promtool(*arguments: str) -> str:
    """Return what promtool says when it is content."""
    done = subprocess.run(
        [need("promtool"), *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_its_settings() -> None:
    """As promtool reads them, rules included."""
    said = promtool("check", "config", str(FOLDER / "prometheus.yaml"))
    assert f"{len(RULES)} rules found" in said


def test_each_alert_fires_when_it_should_and_not_otherwise() -> None:
    """The cases of alerts.test.yaml, each over minutes or hours of made-up figures."""
    assert "SUCCESS" in promtool("test", "rules", str(CASES))
