"""What is in the images, and that taking things out of them changed no bit of an answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.containers.engine import BUILD_S, ROOT, run

ANSWERS_S = 300.0
pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(BUILD_S + 2 * ANSWERS_S)]
NAMES = ("edge", "worker", "visualizer", "broker", "store")
LARGEST_BYTES = {"edge": 350_000_000, "worker": 300_000_000}
ANSWERS = Path(__file__).with_name("answers.py")


def in_image(name: str, *command: str, given: str = "", deadline_s: float = 120.0) -> str:
    """Return what a command says in a container of its own, as the compose file has it: read-only, no network."""
    bounds = ["--read-only", "--tmpfs", "/tmp", "--network", "none", "--cap-drop", "ALL", "--interactive", "--rm"]
    image = f"headwater/{name}:test"
    return run(
        "docker", "run", *bounds, "--entrypoint", command[0], image, *command[1:], given=given, deadline_s=deadline_s
    ).stdout


def inspected(name: str) -> dict[str, Any]:
    """Return what the engine knows of an image."""
    found: dict[str, Any] = json.loads(run("docker", "image", "inspect", f"headwater/{name}:test").stdout)[0]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_what_it_is_and_runs_as_nobody_special(name: str) -> None:
    """Labels, a fixed user that is not root, a health check, a command."""
    config = inspected(name)["Config"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["title"] == f"headwater/{name}"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["revision"]
    assert {"version", "description", "base.name"} <= set(labels)
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert in_image(name, "id", "-u").strip() == "10001"


@pytest.mark.parametrize("name", ["broker", "store"])
def test_what_a_container_keeps_is_its_own_to_write(name: str) -> None:
    """Whatever volumes the base declares, the image has none, and a new volume in its folder can be written to."""
    base = inspected(name)["Config"]["Labels"]["org.opencontainers.image.base.name"].rpartition("/")[2]
    declared = json.loads(run("docker", "image", "inspect", base).stdout)[0]["Config"]["Volumes"]
    assert declared, f"{base} declares no volume, as the registry's does: nothing is tried here"
    assert not inspected(name)["Config"].get("Volumes")
    folder, volume = inspected(name)["Config"]["WorkingDir"], f"headwater-test-{name}"
    try:
        mounted = [
            "--read-only",
            "--rm",
            "--volume",
            f"{volume}:{folder}",
            "--entrypoint",
            "sh",
            f"headwater/{name}:test",
        ]
        said = run("docker", "run", *mounted, "-c", "echo kept >file && stat -c %u . && cat file").stdout
        assert said.split() == ["10001", "kept"]
    finally:
        run("docker", "volume", "rm", volume)


@pytest.mark.parametrize("name", LARGEST_BYTES)
def test_an_image_is_as_small_as_promised(name: str) -> None:
    """What `docker image ls` shows, all layers of the base among it."""
    assert inspected(name)["Size"] <= LARGEST_BYTES[name]


@pytest.mark.parametrize("name", ["edge", "worker", "visualizer"])
def test_an_image_has_no_tensorflow_and_no_installer(name: str) -> None:
    """Neither can be imported there; our own modules can, compiled already."""
    program = """
import importlib.util, json, os, headwater.cli
absent = [name for name in ("tensorflow", "keras", "pip", "setuptools") if importlib.util.find_spec(name) is None]
print(json.dumps([absent, os.path.exists(headwater.cli.__cached__), os.access("/opt/headwater", os.W_OK)]))
"""
    absent, compiled, writable = json.loads(in_image(name, "python", "-", given=program))
    assert absent == ["tensorflow", "keras", "pip", "setuptools"]
    assert compiled
    assert not writable


@pytest.mark.parametrize("name", ["edge", "worker", "visualizer"])
def test_an_image_says_what_is_in_it(name: str) -> None:
    """Its bill of materials is valid, and has every package that Python finds there but ourselves, in its version."""
    program = """
import json, re
from importlib.metadata import distributions
print(json.dumps({re.sub("[-_.]+", "-", found.name).lower(): found.version for found in distributions()}))
"""
    there = json.loads(in_image(name, "python", "-", given=program))
    text = in_image(name, "cat", "/opt/headwater/share/headwater/sbom.cdx.json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["version"] == there.pop("headwater")
    assert {one["name"]: one["version"] for one in bill["components"]} == there


@pytest.mark.parametrize("name", ["edge", "worker"])
def test_a_slim_image_gives_the_same_bits(name: str) -> None:
    """Head and tail at every cut of the shipped models: what this machine's whole installation gives."""
    here = subprocess.run(
        [sys.executable, str(ANSWERS)], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True,
        text=True, check=True, timeout=ANSWERS_S,
    )  # fmt: skip
    there = json.loads(in_image(name, "python", "-", given=ANSWERS.read_text(), deadline_s=ANSWERS_S))
    assert there == json.loads(here.stdout)
    assert all(len(cuts) > 2 for cuts in there.values())


def test_the_edge_image_reads_the_pictures_and_videos_that_it_promises(tmp_path: Path) -> None:
    """OpenCV and Pillow work there without what was taken out, and the four photographs are in it."""
    program = """
import json, os, cv2, PIL.Image, numpy
PIL.Image.new("RGB", (64, 48), (200, 30, 30)).save("/tmp/a.webp")
writer = cv2.VideoWriter("/tmp/a.avi", cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
for _ in range(5):
    writer.write(numpy.full((48, 64, 3), 99, numpy.uint8))
writer.release()
well, frame = cv2.VideoCapture("/tmp/a.avi").read()
pictures = sorted(os.listdir("/pictures"))
sizes = [PIL.Image.open("/pictures/" + name).convert("RGB").size for name in pictures]
print(json.dumps([PIL.Image.open("/tmp/a.webp").size, well, frame.shape, pictures, sizes]))
"""
    webp, well, shape, pictures, sizes = json.loads(in_image("edge", "python", "-", given=program).splitlines()[-1])
    assert (webp, well, shape) == ([64, 48], True, [48, 64, 3])
    assert pictures == ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"]
    assert all(min(size) >= 300 for size in sizes)
