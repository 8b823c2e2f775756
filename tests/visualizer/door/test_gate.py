"""A site with a password file: what is behind the door, and who gets through."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import argon2
import pytest

from tests.visualizer.door.asking import HOST, PASSWORD, Now, Site, asked, callback, field, with_users, write
from visualizer.door.logins import ProxyLogin
from visualizer.door.proxies import Proxies
from visualizer.door.sign_in import BUSY, MOST_WAITING, NOT_OURS, UNTRIED, WRONG, local_path

PAGES = ("/", "/stages", "/devices")
BEHIND = (
    *PAGES, "/_dash-layout", "/_dash-dependencies", "/_dash-config", "/assets/site.css", "/assets/outlines.json",
    "/_dash-component-suites/dash/deps/react@18.v3.min.js", "/_favicon.ico", "/metrics", "/visitor", "/sign-out",
    "/nowhere", "//health", "/health/", "/sign-in/", "/devices/camera-1", "/_reload-hash",
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the password file lies."""
    return tmp_path / "users"


def asked_by(site: Site, name: str) -> str:
    """Sign somebody in and return the cookie."""
    answer = site.sign_in(name)
    assert (answer.status, answer.header("location")) == (303, "/")
    return answer.cookie


@pytest.mark.parametrize("path", BEHIND)
def test_nothing_is_shown_to_a_stranger(path: str, file: Path) -> None:
    """Pages lead to the sign-in page, everything else is one line; neither tells whether the address exists."""
    site = with_users(file)
    page = site.ask(path)
    assert (page.status, page.text) == (303, "")
    assert page.header("location").startswith("/sign-in?next=/")
    other = site.ask(path, accept="*/*")
    assert (other.status, other.text) == (401, "nobody is signed in here; sign in at /sign-in\n")


def test_callbacks_and_pushes_are_behind_the_door_too(file: Path) -> None:
    """Dash's own addresses answer whoever is signed in, and the live socket is refused before it is accepted."""
    site = with_users(file)
    headers = {"host": HOST, "origin": f"http://{HOST}", "content-type": "application/json"}
    assert site.raw("/_dash-update-component", "POST", headers, callback(), "127.0.0.1").status == 401
    headers["cookie"] = asked_by(site, "camille")
    answer = site.raw("/_dash-update-component", "POST", headers, callback(), "127.0.0.1")
    assert answer.status == 200
    assert "camera-1" in answer.text
    assert asyncio.run(first_word(site, "")) == {"type": "websocket.close", "code": 1008}
    assert asyncio.run(first_word(site, headers["cookie"]))["type"] == "websocket.accept"


def of_live(cookie: str) -> dict[str, Any]:
    headers = {"host": HOST, "origin": f"http://{HOST}", "cookie": cookie}
    return {
        "type": "websocket", "path": "/live", "raw_path": b"/live", "query_string": b"", "root_path": "",
        "http_version": "1.1", "scheme": "ws", "client": ("127.0.0.1", 1), "server": None, "subprotocols": [],
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }  # fmt: skip


async def first_word(site: Site, cookie: str) -> dict[str, Any]:
    """Return the first that the live socket says."""
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    messages = [{"type": "websocket.connect"}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    serving = asyncio.ensure_future(site.site.asgi(of_live(cookie), receive, sent.put))
    try:
        return await asyncio.wait_for(sent.get(), 10)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def test_a_live_socket_ends_with_its_session(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that was open before: whoever is removed from the file sees nothing new."""
    monkeypatch.setattr("visualizer.door.gate.LOOK_EVERY_S", 0.01)
    site = with_users(file)
    cookie = asked_by(site, "camille")

    async def until_closed() -> list[str]:
        sent: list[str] = []
        ended = asyncio.Event()
        messages = [{"type": "websocket.connect"}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await ended.wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message["type"])
            if len(sent) == 2:  # accepted, and told the first news
                write(file, sam="operator")

        await asyncio.wait_for(site.site.asgi(of_live(cookie), receive, send), 10)
        return sent

    assert asyncio.run(until_closed()) == ["websocket.accept", "websocket.send", "websocket.close"]


def test_health_answers_everybody(file: Path) -> None:
    """Balancers and health checks sign in nowhere; what it says is how the site is."""
    answer = with_users(file).ask("/health", accept="*/*")
    assert answer.status in (200, 503)
    assert '"process"' in answer.text or '"status"' in answer.text


def test_who_signs_in_sees_the_site_until_signing_out(file: Path) -> None:
    """The cookie is out of reach of scripts and other sites; signing out ends it, also for who kept a copy."""
    site = with_users(file)
    answer = site.sign_in("camille", fields={"next": "/devices"})
    assert (answer.status, answer.header("location")) == (303, "/devices")
    assert re.fullmatch(
        r"headwater-demo=[\w-]{43}; HttpOnly; Max-Age=3600; Path=/; SameSite=lax", answer.header("set-cookie")
    )
    cookie = answer.cookie
    for path in PAGES:
        page = site.ask(path, cookie=cookie)
        assert (page.status, page.header("cache-control")) == (200, "no-store")
        assert 'name="headwater-login"' in page.text
    assert site.ask("/visitor", cookie=cookie).text == '{"name":"camille","role":"viewer"}'
    assert site.ask("/sign-in?next=/stages", cookie=cookie).header("location") == "/stages"
    out = site.ask("/sign-out", cookie=cookie)
    assert "camille" in out.text
    assert "viewer" in out.text
    done = site.ask("/sign-out", {"token": field(out.text, "token")}, cookie=cookie)
    assert (done.status, done.header("location")) == (303, "/sign-in")
    assert sorted(value.partition("=")[0] for key, value in done.headers if key == "set-cookie") == [
        "__Host-headwater-demo", "headwater-demo",
    ]  # fmt: skip
    assert site.ask("/", cookie=cookie).status == 303


def test_over_https_the_cookie_is_for_https_alone(file: Path) -> None:
    """Where a proxy that is believed says so, or the browser's own page came so; then HSTS comes too."""
    site = with_users(file)
    for told in ({"x_forwarded_proto": "https"}, {"origin": f"https://{HOST}"}):
        answer = site.sign_in("camille", **told)
        assert re.fullmatch(
            r"__Host-headwater-demo=[\w-]{43}; HttpOnly; Max-Age=3600; Path=/; SameSite=lax; Secure",
            answer.header("set-cookie"),
        )
        page = site.ask("/", cookie=answer.cookie, **told)
        assert page.status == 200
        assert page.header("strict-transport-security") == ("max-age=31536000" if "x_forwarded_proto" in told else "")
    far = site.ask("/", cookie=answer.cookie, peer="192.0.2.9", x_forwarded_proto="https")
    assert far.header("strict-transport-security") == ""


def test_by_https_the_cookie_of_plain_http_opens_nothing(file: Path) -> None:
    """Whoever is on the way can plant one in the browser, and would have somebody work under another's name."""
    site = with_users(file)
    plain = asked_by(site, "camille")
    secure = site.sign_in("sam", x_forwarded_proto="https").cookie
    assert site.ask("/", cookie=plain).status == 200
    assert site.ask("/", cookie=plain, x_forwarded_proto="https").status == 303
    assert site.ask("/", cookie=plain, x_forwarded_proto="https", peer="192.0.2.9").status == 200  # said by nobody
    for cookie in (f"{secure}; {plain}", f"{plain}; {secure}"):
        assert '"sam"' in site.ask("/visitor", cookie=cookie, x_forwarded_proto="https").text


def test_the_sites_of_two_fleets_under_one_name_sign_nobody_out(file: Path) -> None:
    """A browser keeps one cookie of a name for all ports of a host."""
    one, other = with_users(file), with_users(file.with_name("others"), fleet="street-2")
    for told in ({}, {"x_forwarded_proto": "https"}):
        both = dict(site.sign_in("camille", **told).cookie.split("=") for site in (one, other))
        assert len(both) == 2
        cookie = "; ".join(f"{name}={value}" for name, value in both.items())
        assert [site.ask("/", cookie=cookie, **told).status for site in (one, other)] == [200, 200]
        token = field(one.ask("/sign-out", cookie=cookie, **told).text, "token")
        out = one.ask("/sign-out", {"token": token}, cookie=cookie, **told)
        assert out.status == 303
        gone = {value.partition("=")[0] for key, value in out.headers if key == "set-cookie"}
        left = "; ".join(f"{name}={value}" for name, value in both.items() if name not in gone)
        assert [site.ask("/", cookie=left, **told).status for site in (one, other)] == [303, 200]


def test_cookies_that_are_none_open_nothing(file: Path) -> None:
    """Made up, bent, of somebody removed, of an old password, ended, signed out: all are strangers'."""
    now = Now()
    site = with_users(file, now=now)
    camille, sam = asked_by(site, "camille"), asked_by(site, "sam")
    for forged in (
        "headwater-demo=", "headwater-demo=x", "headwater-demo=" + "x" * 43, camille[:-1], camille + "x",
        camille.swapcase(), camille.replace("-demo=", "="), "headwater-demo=a; headwater-demo=b",
        "headwater-demo=\"\\303\"", ";;;", "headwater-demo", "__Host-headwater-demo=x; headwater-demo=y", "x" * 8000,
    ):  # fmt: skip
        assert site.ask("/", cookie=forged).status == 303, forged
    assert site.ask("/", cookie=f'other=1; json={{"a": [1]}}; {camille}').status == 200  # of other ports' sites
    write(file, sam="operator")  # with another salt, as a new password has
    assert site.ask("/", cookie=camille).status == 303
    assert site.ask("/", cookie=sam).status == 303
    sam = asked_by(site, "sam")
    now.s += 3599
    assert site.ask("/", cookie=sam).status == 200
    now.s += 2
    assert site.ask("/", cookie=sam).status == 303


def test_another_role_holds_at_once(file: Path) -> None:
    """A role stands in the file, not in the session."""
    site = with_users(file)
    cookie = asked_by(site, "sam")
    assert '"operator"' in site.ask("/visitor", cookie=cookie).text
    file.write_text(file.read_text().replace("sam:operator", "sam:viewer"))
    assert '"viewer"' in site.ask("/visitor", cookie=cookie).text


def test_a_new_session_ends_the_old_one_of_the_browser(file: Path) -> None:
    """A cookie that somebody planted before does not become a signed-in one either."""
    site = with_users(file)
    old = asked_by(site, "camille")
    planted = "headwater-demo=" + "A" * 43
    again = site.sign_in("camille", cookie=f"{planted}; {old}")
    assert again.cookie not in (planted, old)
    assert site.ask("/", cookie=planted).status == 303


@pytest.mark.parametrize(
    ("name", "password"),
    [("camille", "wrong"), ("camille", ""), ("nobody", PASSWORD), ("", ""), ("camille\0", PASSWORD),
     ("Camille", PASSWORD), ("camille", PASSWORD + " "), ("camille", "x" * 60_000), ("<script>alert(1)</script>", "x")],
)  # fmt: skip
def test_a_wrong_name_or_password_says_the_same(name: str, password: str, file: Path) -> None:
    """Which of the two was wrong is not told; the name stays in the form as text, the password nowhere."""
    answer = with_users(file).sign_in(name, password)
    assert (answer.status, answer.cookie) == (403, "")
    assert WRONG in answer.text
    assert "<script" not in answer.text
    assert len(password) < 8 or password not in answer.text


def test_guessing_is_held_up(file: Path) -> None:
    """After five failures also the right password waits, with a clear word; from elsewhere it does not."""
    site = with_users(file)
    for _ in range(5):
        assert site.sign_in("camille", "wrong").status == 403
    held = site.sign_in("camille")
    assert (held.status, held.cookie, held.header("retry-after")) == (429, "", "300")
    assert "Too many attempts that failed. Try again in 5 minutes." in held.text
    assert site.sign_in("camille", peer="192.0.2.7").status == 303
    assert site.sign_in("camille", x_forwarded_for="192.0.2.8").status == 303
    assert site.sign_in("camille", peer="127.0.0.1", x_forwarded_for="").status == 429


def test_a_client_does_not_choose_the_address_it_is_counted_under(file: Path) -> None:
    """X-Forwarded-For of anybody but the proxy is not read."""
    site = with_users(file)
    answers = [site.sign_in("sam", "wrong", peer="192.0.2.7", x_forwarded_for=f"10.0.0.{n}").status for n in range(6)]
    assert answers == [403] * 5 + [429]


def test_no_password_is_in_log_page_or_address(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nor what somebody typed as a name who is nobody: it may be the password in the wrong field."""
    caplog.set_level(logging.DEBUG)
    site = with_users(file)
    answers = [
        site.sign_in("camille", "hunter2-hunter2"),
        site.sign_in("hunter3-hunter3", "x"),
        site.sign_in("camille"),
    ]
    answers.append(site.ask("/", cookie=answers[-1].cookie))
    answers.append(site.ask("/_dash-layout", cookie=answers[2].cookie))
    told = caplog.text + "".join(answer.header("location") for answer in answers)
    for secret in ("hunter2", "hunter3", PASSWORD, "$argon2id$", answers[2].cookie.partition("=")[2]):
        assert secret not in told
        assert secret == "hunter3" or all(secret not in answer.text for answer in answers)
    assert "sign-in refused user=camille address=127.0.0.1" in caplog.text
    assert "sign-in refused user='(none of ours)'" in caplog.text
    assert "signed in user=camille role=viewer address=127.0.0.1 https=False" in caplog.text


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", f"http://{HOST}.evil.example", "http://127.0.0.1:8051", "file://", "x"],
)
def test_other_sites_cannot_send_a_form(origin: str | None, file: Path) -> None:
    """Nor sign somebody in, nor out, nor call back; also where the cookie would come along."""
    site = with_users(file)
    cookie = asked_by(site, "sam")
    token = field(site.ask("/sign-out", cookie=cookie).text, "token")
    for path, form in (
        ("/sign-in", {"name": "camille", "password": PASSWORD}), ("/sign-out", {"token": token}),
        ("/_dash-update-component", {}), ("/devices/camera-1", {"split": "auto", "token": token}),
    ):  # fmt: skip
        answer = site.ask(path, form, cookie=cookie, origin=origin)
        assert (answer.status, answer.cookie) == (403, "")
        assert "Origin is not this site's" in answer.text
    for method in ("PUT", "DELETE", "PATCH", "PROPFIND"):
        assert site.ask("/", method=method, cookie=cookie, origin=origin).status == 403
    assert site.ask("/", cookie=cookie).status == 200


def test_a_form_without_its_token_does_nothing(file: Path) -> None:
    """The second lock, should the first ever fail; another's token, or one of an earlier session, is none."""
    site = with_users(file)
    cookie, other = asked_by(site, "camille"), asked_by(site, "sam")
    theirs = field(site.ask("/sign-out", cookie=other).text, "token")
    for form in ({}, {"token": ""}, {"token": theirs}, {"token": "\N{KEY}"}):
        assert NOT_OURS in site.ask("/sign-out", form, cookie=cookie).text
    assert site.ask("/", cookie=cookie).status == 200


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("/devices", "/devices"), ("/stages?x=1", "/stages?x=1"), ("/devices/camera-1", "/devices/camera-1"),
        ("//evil.example", "/"), ("/\\evil.example", "/"), ("https://evil.example", "/"), ("evil.example", "/"),
        ("javascript:alert(1)", "/"), ("/\t/evil.example", "/"), ("/%0d%0aSet-Cookie:x", "/%0d%0aSet-Cookie:x"),
        ("", "/"), ("///evil.example", "/"), ("/a//evil.example", "/"), ("/sign-out", "/"), ("/sign-in?next=/", "/"),
        ("/" + "x" * 300, "/"), ("\\\\evil.example", "/"), ("/é", "/"), ("http:/evil.example", "/"),
        ("//[", "/"), ("//[::1", "/"), ("http://[", "/"), ("/[", "/["), ("[", "/"),
    ],
)  # fmt: skip
def test_after_signing_in_one_stays_on_this_site(wanted: str, found: str, file: Path) -> None:
    """Whatever a link to the sign-in page says."""
    assert local_path(wanted) == found
    assert with_users(file).ask(f"/sign-in?next={quote(wanted)}").status == 200
    if wanted.isascii():
        assert with_users(file).sign_in("camille", fields={"next": wanted}).header("location") == found


def test_only_forms_are_read_and_only_small_ones(file: Path) -> None:
    """Anything else is refused before it is looked at."""
    site = with_users(file)
    headers = {"host": HOST, "origin": f"http://{HOST}"}
    form = "application/x-www-form-urlencoded"
    for kind, body in (
        ("application/json", b"{}"), ("text/plain", b"name=camille"), ("", b"name=camille"), (form, b"x" * 70_000),
        (form, b"name=\xff"), (form, b"&".join(b"a=1" for _ in range(2000))),
    ):  # fmt: skip
        answer = site.raw("/sign-in", "POST", {**headers, "content-type": kind}, body, "127.0.0.1")
        assert answer.status in (400, 403), (kind, body[:20])
        assert answer.cookie == ""


def test_passwords_are_tried_one_at_a_time_and_few_wait(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes 64 MiB: so many at once would take the machine's memory."""
    site = with_users(file)
    inside: list[str] = []
    most, may_go = 0, threading.Event()

    def slow(_self: Any, name: str, _password: str) -> None:
        nonlocal most
        inside.append(name)
        most = max(most, len(inside))
        assert may_go.wait(10)
        inside.pop()

    monkeypatch.setattr("visualizer.door.users.Users.proven", slow)
    body = b"name=camille&password=x"
    headers = {"host": HOST, "origin": f"http://{HOST}", "content-type": "application/x-www-form-urlencoded"}

    async def many() -> list[int]:
        scope = {
            "type": "http", "path": "/sign-in", "raw_path": b"/sign-in", "method": "POST", "query_string": b"",
            "root_path": "", "http_version": "1.1", "scheme": "http", "server": None,
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        }  # fmt: skip
        asking = [
            asyncio.create_task(asked(site.site.asgi, {**scope, "client": (f"192.0.{n}.1", 1)}, body))
            for n in range(MOST_WAITING + 5)
        ]
        first = asyncio.as_completed(asking, timeout=10)
        for _ in range(5):
            assert (await next(first)).status == 503
        may_go.set()
        answers = await asyncio.gather(*asking)
        assert all(BUSY in answer.text for answer in answers if answer.status == 503)
        return [answer.status for answer in answers]

    statuses = asyncio.run(many())
    assert (statuses.count(403), statuses.count(503), most) == (MOST_WAITING, 5, 1)


def test_a_password_that_cannot_be_tried_is_not_called_wrong(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where there is no memory for it: try again, says the page, and an error the log; it counts as no failure."""
    site = with_users(file)
    for _ in range(4):
        assert site.sign_in("camille", "wrong").status == 403
    with monkeypatch.context() as patch:
        patch.setattr("argon2.PasswordHasher.verify", out_of_memory)
        for name in ("camille", "nobody") * 5:
            answer = site.sign_in(name)
            assert (answer.status, answer.cookie, answer.header("retry-after")) == (503, "", "5")
            assert UNTRIED in answer.text
    assert caplog.text.count("password not tried") == 10
    assert "Memory allocation error" in caplog.text
    assert [record.levelname for record in caplog.records].count("ERROR") == 10
    assert site.sign_in("camille", "wrong").status == 403
    assert site.sign_in("camille").status == 429


def out_of_memory(*_args: Any) -> None:
    """Do as argon2 does where it gets none."""
    raise argon2.exceptions.VerificationError("Memory allocation error")


def test_the_pages_at_the_door_have_headers_of_their_own(file: Path) -> None:
    """No script at all, forms to this site only, nothing kept, no frame, no word of what serves it."""
    site = with_users(file)
    answer = site.ask("/sign-in")
    assert answer.header("content-security-policy") == (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    for name, value in {
        "cache-control": "no-store", "referrer-policy": "same-origin", "x-content-type-options": "nosniff",
        "x-frame-options": "DENY", "cross-origin-opener-policy": "same-origin", "server": "",
        "cross-origin-resource-policy": "same-origin",
    }.items():  # fmt: skip
        assert answer.header(name) == value
    assert "camera=()" in answer.header("permissions-policy")
    assert len({name for name, _ in answer.headers}) == len(answer.headers)
    assert "<script" not in answer.text
    for named in ('autocomplete="username"', 'autocomplete="current-password"', 'for="name"', 'for="password"'):
        assert named in answer.text
    style = site.ask("/door.css", accept="*/*")
    assert (style.status, style.header("content-type").partition(";")[0]) == (200, "text/css")


def test_pages_behind_the_door_are_not_kept_and_scripts_are_asked_again(file: Path) -> None:
    """A browser's back button after signing out shows nothing."""
    site = with_users(file)
    cookie = asked_by(site, "camille")
    for path, kept in (("/", "no-store"), ("/_dash-layout", "no-store"), ("/assets/site.css", "private, no-cache")):
        assert site.ask(path, cookie=cookie).header("cache-control") == kept
    policy = site.ask("/", cookie=cookie).header("content-security-policy")
    assert "unsafe-eval" not in policy
    for rule in ("frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'", "form-action 'none'"):
        assert rule in policy


def test_whom_a_proxy_names_may_look(file: Path) -> None:
    """There is no sign-in page then; signing out is the proxy's."""
    site = Site(ProxyLogin("X-Forwarded-User", Proxies.parse("127.0.0.1"), ["sam"]))
    assert site.ask("/", x_forwarded_user="camille").status == 200
    assert '"operator"' in site.ask("/visitor", x_forwarded_user="sam").text
    assert "A proxy has asked who you are" in site.ask("/sign-out", x_forwarded_user="camille").text
    assert site.ask("/sign-in", x_forwarded_user="camille").status == 404
    assert site.ask("/sign-out", {}, x_forwarded_user="camille").status == 405
    for path in BEHIND:
        refused = site.ask(path, x_forwarded_user="sam", peer="192.0.2.9")
        assert (refused.status, "which is no --trusted-proxy" in refused.text) == (403, True)
    assert site.ask("/").status == 401
    assert site.ask("/health", peer="192.0.2.9").status in (200, 503)


def test_a_live_socket_that_a_proxy_let_through_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The site does not know when somebody signs out at the proxy; after an hour the browser comes anew."""
    monkeypatch.setattr("visualizer.door.gate.LOOK_EVERY_S", 0.01)
    login = ProxyLogin("X-Forwarded-User", Proxies.parse("127.0.0.1"))
    login.longest_push_s = 0.05
    site = Site(login)
    scope = of_live("")
    scope["headers"].append((b"x-forwarded-user", b"camille"))

    async def until_closed() -> str:
        sent: list[str] = []
        messages = [{"type": "websocket.connect"}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message["type"])

        await asyncio.wait_for(site.site.asgi(scope, receive, send), 10)
        return sent[-1]

    assert asyncio.run(until_closed()) == "websocket.close"
