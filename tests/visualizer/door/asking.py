"""A site with a login, asked as a browser asks, without a network: the application is called as a server calls it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import argon2

from headwater.messages import SettingsApplied, SettingsChange, Status
from tests.visualizer.fake_fleet import FakeDevice
from tests.visualizer.listed_store import ListedStore
from visualizer.app import create_app
from visualizer.devices import Heard, NoBroker
from visualizer.door.entrance import Entrance
from visualizer.door.logins import UserLogin
from visualizer.door.proxies import LOOPBACK, Proxies
from visualizer.door.sessions import Sessions
from visualizer.door.users import Users
from visualizer.door.visitor import Login

HOST = "127.0.0.1:8050"
PASSWORD = "correct horse battery staple"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Made for tests: as safe as no hash."""


def write(path: Path, **roles: str) -> Path:
    """Write a password file in which everybody has the same password."""
    path.write_text("".join(f"{name}:{role}:{CHEAP.hash(PASSWORD)}\n" for name, role in roles.items()))
    return path


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    text: str

    def header(self, name: str) -> str:
        """Return a header's value, empty where it did not come."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def cookie(self) -> str:
        """Return what a browser would send back."""
        return "; ".join(value.partition(";")[0] for key, value in self.headers if key == "set-cookie")


class Now:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        """Return what it shows."""
        return self.s


class HeardDevices(NoBroker):
    """Devices that have said what they are."""

    def __init__(self, *statuses: Status) -> None:
        self._heard = [Heard(status, 1, retained=False) for status in statuses]

    def heard(self) -> list[Heard]:
        """Return all of them."""
        return self._heard


class FakeSetter:
    """Notes what operators want, and answers for the device."""

    def __init__(self, applied: SettingsApplied | None = None, refuses: str | None = None) -> None:
        self._applied, self.refuses = applied, refuses
        self.asked: list[tuple[str, str | None, Any]] = []

    def wanted(self, device: str) -> SettingsChange | None:
        """Return nothing."""
        return None

    def applied(self, device: str) -> SettingsApplied | None:
        """Return what holds."""
        return self._applied if self._applied and self._applied.device == device else None

    def set(self, device: str, split: str | None, thresholds: Any) -> SettingsApplied | None:
        """Note it."""
        self.asked.append((device, split, thresholds))
        return SettingsApplied(1, device, split or "image", "auto", "all", refused=self.refuses)

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class Site:
    """A site of the fleet demo with one device, camera-1."""

    def __init__(self, login: Login, setter: FakeSetter | None = None, trusted: str = LOOPBACK) -> None:
        device = FakeDevice("camera-1").status(10**18)
        self.site = create_app(
            ListedStore(),
            HeardDevices(device),
            tiles="",
            known_hosts=False,
            entrance=Entrance(login, Proxies.parse(trusted), setter),
        )

    def ask(
        self,
        path: str,
        form: dict[str, str] | None = None,
        *,
        method: str = "",
        cookie: str = "",
        origin: str | None = f"http://{HOST}",
        peer: str = "127.0.0.1",
        accept: str = "text/html",
        **headers: str,
    ) -> Answer:
        """Return the answer to one request."""
        body = urlencode(form or {}).encode()
        sent = {"host": HOST, "accept": accept, "cookie": cookie, "origin": origin or ""} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        if form is not None:
            sent.setdefault("content-type", "application/x-www-form-urlencoded")
        return self.raw(path, method or ("GET" if form is None else "POST"), sent, body, peer)

    def raw(self, path: str, method: str, headers: dict[str, str], body: bytes, peer: str) -> Answer:
        """Return the answer to a request that is put together by hand."""
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "path": path, "raw_path": path.encode(), "method": method, "query_string": query.encode(),
            "root_path": "", "http_version": "1.1", "scheme": "http", "client": (peer, 4711), "server": None,
            "headers": [(k.encode(), v.encode()) for k, v in headers.items() if v],
        }  # fmt: skip
        return asyncio.run(asked(self.site.asgi, scope, body))

    def sign_in(self, name: str, password: str = PASSWORD, **more: Any) -> Answer:
        """Send the form of the sign-in page."""
        return self.ask("/sign-in", {"name": name, "password": password, **more.pop("fields", {})}, **more)


async def asked(asgi: Any, scope: dict[str, Any], body: bytes) -> Answer:
    """Return the answer of an application to one request."""
    sent: list[dict[str, Any]] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await asyncio.wait_for(asgi(scope, receive, send), 20)
    headers = [(name.decode().lower(), value.decode()) for name, value in sent[0]["headers"]]
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], headers, content.decode("utf-8", "replace"))


def with_users(
    path: Path, *, now: Now | None = None, setter: FakeSetter | None = None, fleet: str = "demo", **roles: str
) -> Site:
    """Return a site with a password file."""
    write(path, **(roles or {"camille": "viewer", "sam": "operator"}))
    return Site(UserLogin(Users(path), Sessions(3600, now or Now()), Proxies.parse(LOOPBACK), fleet), setter)


def field(page: str, name: str) -> str:
    """Return the value of a hidden field of a form."""
    return page.split(f'name="{name}" value="')[1].partition('"')[0]


def callback() -> bytes:
    """Return what a browser sends to have the devices' cards made."""
    return json.dumps(
        {
            "output": "devices-list.children",
            "outputs": {"id": "devices-list", "property": "children"},
            "inputs": [{"id": "devices-tick", "property": "data", "value": "1"}],
            "changedPropIds": ["devices-tick.data"],
            "parsedChangedPropsIds": ["devices-tick.data"],
        }
    ).encode()
