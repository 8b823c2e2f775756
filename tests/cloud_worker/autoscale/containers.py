"""What engines say of workers' containers, as docker-compose 1.29 and Compose v2 make them, and an engine of paper."""

from __future__ import annotations

import threading
from copy import deepcopy
from typing import Any

from docker.errors import APIError, ImageNotFound

ID_1 = "6c1f5e0a4b7d" + "0" * 52
IMAGE = "sha256:" + "ab" * 32


def labels(number: int, service: str = "worker", project: str = "headwater") -> dict[str, str]:
    """Return the labels by which Compose finds a container."""
    return {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": str(number),
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.config-hash": "5d1f",
        "org.opencontainers.image.title": "headwater/worker",
    }


def inspected(separator: str = "_", **changes: Any) -> dict[str, Any]:
    """Return the first worker; `changes` go into its HostConfig or, named config_…, into its Config."""
    name = f"headwater{separator}worker{separator}1"
    aliases = ["worker", ID_1[:12]] if separator == "_" else [name, "worker"]
    found: dict[str, Any] = {
        "Id": ID_1,
        "Name": f"/{name}",
        "Image": IMAGE,
        "Config": {
            "Hostname": ID_1[:12],
            "User": "10001:10001",
            "Env": ["HEADWATER_METRICS=9464", "HEADWATER_STORE=redis://store"],
            "Cmd": ["headwater", "worker"],
            "Image": "headwater/worker:0.1.0",
            "Healthcheck": {"Test": ["CMD", "python", "-m", "headwater.health"], "Interval": 10_000_000_000},
            "StopTimeout": 20,
            "Labels": labels(1),
        },
        "HostConfig": {
            "Binds": ["/srv/secrets/store_password:/run/secrets/store_password:ro"],
            "Mounts": [{"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 67108864}}],
            "NetworkMode": "headwater_messages",
            "PortBindings": {},
            "NanoCpus": 1_000_000_000,
            "Memory": 402653184,
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        },
        "NetworkSettings": {
            "Networks": {
                "headwater_records": {"Aliases": list(aliases), "IPAMConfig": None, "NetworkID": "f00", "Links": None},
                "headwater_messages": {"Aliases": list(aliases), "IPAMConfig": {}, "MacAddress": "02:42:ac:12:00:03"},
            }
        },
    }
    for key, value in changes.items():
        found["Config" if key.startswith("config_") else "HostConfig"][key.removeprefix("config_")] = value
    return found


class PaperApi:
    """An engine that keeps containers in a list and notes what it is told."""

    def __init__(self, *, workers: int = 1) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.images = {"headwater/worker:0.1.0": IMAGE}
        self.cores = 2
        self.failing: dict[str, str] = {}
        """What fails, and the engine's words."""
        self.failing_at: str | None = None
        """The only container or name at which it fails."""
        self.inspected: list[str] = []
        self.frozen: threading.Event | None = None
        """While it is not set, nobody who is asked answers."""
        self.kept = [self.entry("store", 1, ID_1[::-1]), self.entry("worker", 1, ID_1)]
        self.kept += [self.entry("worker", number, f"{number:064d}") for number in range(2, workers + 1)]

    def entry(self, service: str, number: int, id_: str, state: str = "running", **more: str) -> dict[str, Any]:
        name = f"/headwater_{service}_{number}"
        found = labels(number, service) | more
        return {"Id": id_, "Names": [name], "State": state, "Created": 1000 + number, "Labels": found}

    def _note(self, what: str, *facts: Any) -> None:
        self.told.append((what, *facts))
        if what in self.failing and self.failing_at in (None, facts[0]):
            raise APIError(what, explanation=self.failing[what])

    def containers(self, *, all: bool, filters: dict[str, list[str]]) -> list[dict[str, Any]]:  # noqa: A002
        assert all
        wanted = [text.partition("=") for text in filters["label"]]
        if "containers" in self.failing:
            raise ConnectionRefusedError(111, "Connection refused")
        return [
            one
            for one in self.kept
            if all_in(one["Labels"], [(name, value if is_value else None) for name, is_value, value in wanted])
        ]

    def inspect_container(self, id_: str) -> dict[str, Any]:
        self.inspected.append(id_)
        found = inspected()
        (listed,) = [one for one in self.kept if one["Id"] == id_]
        found["Id"], found["Name"], found["Config"]["Labels"] = id_, listed["Names"][0], dict(listed["Labels"])
        return found

    def info(self) -> dict[str, Any]:
        self._note("info")
        return {"NCPU": self.cores}

    def inspect_image(self, name: str) -> dict[str, Any]:
        if name not in self.images:
            raise ImageNotFound(name)
        return {"Id": self.images[name]}

    def create_container_from_config(self, config: dict[str, Any], name: str) -> dict[str, str]:
        self._note("create", name, deepcopy(config))
        number = int(config["Labels"]["com.docker.compose.container-number"])
        entry = self.entry("worker", number, f"{number:064d}", "created", **config["Labels"])
        self.kept.append(entry)
        return {"Id": entry["Id"]}

    def connect_container_to_network(self, id_: str, network: str, **known: Any) -> None:
        self._note("connect", id_, network, known)

    def start(self, id_: str) -> None:
        self._note("start", id_)
        for one in self.kept:
            if one["Id"] == id_:
                one["State"] = "running"

    def stop(self, id_: str, *, timeout: int) -> None:
        self._note("stop", id_, timeout)

    def remove_container(self, id_: str, *, force: bool = False) -> None:
        self._note("remove", id_, force)
        self.kept = [one for one in self.kept if one["Id"] != id_]

    def exec_create(self, id_: str, command: list[str], *, stderr: bool) -> dict[str, str]:
        self._note("exec", id_)
        assert command[0] == "python"
        assert not stderr
        return {"Id": f"exec-{id_}"}

    def exec_start(self, id_: str) -> bytes:
        if self.frozen is not None:
            self.frozen.wait()
        return b"nothing to tell"

    def close(self) -> None:
        self._note("close")

    def names(self) -> list[str]:
        return [one["Names"][0].removeprefix("/") for one in self.kept]


def all_in(found: dict[str, str], wanted: list[tuple[str, str | None]]) -> bool:
    """Tell whether every label is there, with its value where one is given."""
    return all(name in found and value in (None, found[name]) for name, value in wanted)
