"""A second Docker engine, in a network namespace of its own with a cable to this one: as good as a second machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.containers.engine import run
from tests.servers import eventually

NAMESPACE = "headwater-2"
CABLE, THEIR_END = "headwater-c1", "headwater-c2"
HERE, THERE = "10.77.77.1", "10.77.77.2"
STARTS_S = 60.0


def need_namespaces() -> None:
    """Pass where a second engine can be started here; else skip the test and say what is missing.

    What can be installed fails it when CI is set; a kernel is as it is.
    """
    missing = [name for name in ("ip", "nsenter", "dockerd") if shutil.which(name) is None]
    missing += ["root"] if os.geteuid() != 0 else []
    if missing:
        what = f"a second engine needs root, ip, nsenter and dockerd here; missing: {', '.join(missing)}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(what)
    probe = ["ip", "link", "add", "headwater-vx", "type", "vxlan", "id", "77", "dstport", "4777"]
    if run(*probe, check=False).returncode != 0:
        pytest.skip("this kernel has no vxlan, which a swarm's networks over several machines are made of")
    run("ip", "link", "delete", "headwater-vx")


@contextmanager
def cable() -> Iterator[None]:
    """Make the namespace, and a cable into it with an address at each end; what a killed run left goes first."""
    run("ip", "netns", "delete", NAMESPACE, check=False)
    run("ip", "link", "delete", CABLE, check=False)
    run("ip", "netns", "add", NAMESPACE)
    try:
        run("ip", "link", "add", CABLE, "type", "veth", "peer", "name", THEIR_END, "netns", NAMESPACE)
        run("ip", "address", "add", f"{HERE}/30", "dev", CABLE)
        run("ip", "-n", NAMESPACE, "address", "add", f"{THERE}/30", "dev", THEIR_END)
        run("ip", "-n", NAMESPACE, "link", "set", "lo", "up")
        run("ip", "-n", NAMESPACE, "link", "set", THEIR_END, "up")
        plug(True)
        yield
    finally:
        run("ip", "netns", "delete", NAMESPACE)
        run("ip", "link", "delete", CABLE, check=False)  # it goes with its other end


def plug(is_in: bool) -> None:
    """Put the cable in, or pull it out."""
    run("ip", "link", "set", CABLE, "up" if is_in else "down")


@contextmanager
def second_engine(folder: Path) -> Iterator[str]:
    """Start an engine in the namespace, with its own folder; yield its address for DOCKER_HOST."""
    folder.mkdir(parents=True)
    address = f"unix://{folder}/docker.sock"
    flags = ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    with (folder / "log").open("w") as log:
        engine = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{NAMESPACE}", "dockerd", *flags, "--host", address],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        there = {"DOCKER_HOST": address}
        is_up = eventually(lambda: run("docker", "info", check=False, variables=there).returncode == 0, STARTS_S)
        assert is_up, (folder / "log").read_text()[-2000:]
        yield address
    finally:
        engine.terminate()
        engine.wait(60)
        remove(folder)


def remove(folder: Path) -> None:
    """Remove an engine's folder with what is mounted in it, if it is there; not one of an engine that runs."""
    engine = running(folder)
    assert engine is None, f"an engine runs in {folder}, process {engine}; end it: kill {engine}"
    for mount in [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]:
        if mount.startswith(f"{folder}/"):
            run("umount", "--lazy", mount, check=False)
    if folder.exists():
        shutil.rmtree(folder)


def running(folder: Path) -> int | None:
    """Return the process of the engine that runs in a folder, if one does."""
    try:
        number = int((folder / "pid").read_text())
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return number if f"{folder}/pid".encode() in words else None


def copy_image(name: str, to: str) -> None:
    """Give an image of this engine to another."""
    command = 'docker save "$1" | DOCKER_HOST="$2" docker load'
    subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, "copy", name, to], check=True, capture_output=True, timeout=300
    )
