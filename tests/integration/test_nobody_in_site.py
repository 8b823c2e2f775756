"""Attacks on the site, tried with real requests at real processes; SECURITY.md's table says how each is refused."""

from __future__ import annotations

import http.client
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import pytest

from headwater.probes import free_port
from tests.integration.test_site_login import PAGE, SITE, Site, running
from tests.servers import heard
from tests.threats import words_for
from tests.visualizer.door.asking import PASSWORD, field, write
from visualizer.connections import MOST_OF_ONE
from visualizer.door.throttle import ONE_NAME_FROM_ONE_PLACE

EVIL = "http://evil.example"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A password file with viewers and an operator."""
    return write(tmp_path_factory.mktemp("users") / "users", camille="viewer", claire="viewer", sam="operator")


@pytest.fixture(scope="module")
def site(users: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that asks who looks, at which operators may set devices; no proxy of this machine stands before it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "operator").write_text("operator\n")
    flags = [
        "--store", f"redis://127.0.0.1:{free_port()}", "--users", users, "--broker", f"mqtt://127.0.0.1:{free_port()}",
        "--operator-username", "operator", "--operator-password-file", folder / "operator",
        "--trusted-proxy", "192.0.2.1",
    ]  # fmt: skip
    with running(folder, *flags) as found:
        yield found


def test_a_stranger_sees_nothing(site: Site) -> None:
    """Without a cookie, and with one that nobody was given."""
    for cookie in ("", "headwater-demo=" + "x" * 43):
        for path in ("/", "/devices", "/_dash-layout", PAGE):
            answer, text = site.ask(path, Accept="*/*", Cookie=cookie)
            assert (answer.status, words_for("a stranger at the site") in text) == (401, True), path


def test_who_guesses_a_password_is_held_up(site: Site) -> None:
    """After a few failures the right one waits, too; other names do not."""
    for _ in range(ONE_NAME_FROM_ONE_PLACE.most):
        assert site.ask("/sign-in", {"name": "claire", "password": "guessed"})[0].status == 403
    answer, text = site.ask("/sign-in", {"name": "claire", "password": PASSWORD})
    assert (answer.status, answer.getheader("Set-Cookie")) == (429, None)
    assert words_for("somebody who guesses a password of the site") in text
    assert site.sign_in("camille")


def test_another_site_s_form_does_nothing(site: Site) -> None:
    """Though the operator's browser sends the cookie along; nor does a form of this site without its token."""
    cookie = site.sign_in("sam")
    token = field(site.ask("/sign-out", Cookie=cookie)[1], "token")
    for path in ("/sign-out", PAGE, "/_dash-update-component"):
        answer, text = site.ask(path, {"token": token, "split": "image"}, Cookie=cookie, Origin=EVIL)
        assert (answer.status, words_for("another site's form (CSRF)") in text) == (403, True), path
    answer, text = site.ask("/sign-out", {"token": "guessed"}, Cookie=cookie)
    assert (answer.status, words_for("a form without its token") in text) == (403, True)
    assert site.ask("/", Cookie=cookie)[0].status == 200


def test_a_name_that_is_pointed_here_shows_nothing(site: Site) -> None:
    """A page of another site whose name leads to this machine would be of the site's own origin."""
    cookie = site.sign_in("camille")
    host = f"evil.example:{site.port}"
    for path in ("/", "/_dash-layout", "/live", "/health"):
        answer, text = site.ask(path, Cookie=cookie, Host=host, Origin=f"http://{host}")
        assert answer.status == 400
        assert words_for("another name that leads here (DNS rebinding)") in text


def test_a_viewer_sets_no_device(site: Site) -> None:
    """Nor sees the form; the log says who tried."""
    cookie = site.sign_in("camille")
    token = field(site.ask("/sign-out", Cookie=cookie)[1], "token")
    for form in (None, {"token": token, "split": "image"}):
        answer, text = site.ask(PAGE, form, Cookie=cookie)
        assert (answer.status, words_for("a viewer who sets a device") in text) == (403, True)
    assert "act refused user=camille role=viewer device=camera-1" in site.log.read_text()


def test_a_header_that_no_proxy_sent_names_nobody(tmp_path: Path) -> None:
    """Whoever reaches the site beside its proxy could say to be anybody."""
    away = f"redis://127.0.0.1:{free_port()}"
    trusting = ["--trust-header", "X-Forwarded-User", "--trusted-proxy", "192.0.2.1", "--operators", "sam"]
    with running(tmp_path, "--store", away, *trusting) as site:
        for path in ("/", "/_dash-layout"):
            answer, text = site.ask(path, X_Forwarded_User="sam", X_Forwarded_For="192.0.2.1")
            assert answer.status == 403
            assert words_for("a name in a header that no proxy sent") in text


def test_what_comes_behind_a_body_is_no_header(site: Site) -> None:
    """Servers have taken such lines for the request's own, and a proxy's word with them."""
    head = [
        "POST /sign-in HTTP/1.1", f"Host: 127.0.0.1:{site.port}", f"Origin: {site.origin}", f"Content-Type: {FORM}",
        "Transfer-Encoding: chunked", "",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", site.port), 20) as line:
        line.sendall("\r\n".join([*head, "5", "name=", "0", "X-Forwarded-For: 6.6.6.6", "", ""]).encode())
        assert words_for("a header behind a request's body") == f"{len(heard(line))} bytes answered"


def test_one_address_does_not_take_every_place(site: Site) -> None:
    """Beyond its share it gets no connection; others, and those that it has, are served."""
    with ExitStack() as stack:
        lines = [http.client.HTTPConnection("127.0.0.1", site.port, timeout=20) for _ in range(MOST_OF_ONE)]
        for line in lines:
            stack.callback(line.close)
            line.request("GET", "/health")
            line.getresponse().read()
        late = stack.enter_context(socket.create_connection(("127.0.0.1", site.port), 20))
        assert words_for("more connections from one address than its share") == f"{len(heard(late))} bytes answered"
        lines[0].request("GET", "/health")
        assert lines[0].getresponse().status in (200, 503)
    assert site.ask("/health")[0].status in (200, 503)


def test_a_form_without_end_is_not_read(site: Site) -> None:
    """Beyond what a form of the site can have, it is none."""
    body = urlencode({"name": "camille", "password": "x" * 100_000})
    line = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    line.request("POST", "/sign-in", body, {"Content-Type": FORM, "Origin": site.origin})
    found = line.getresponse()
    assert (found.status, words_for("a form that is too large") in found.read().decode()) == (400, True)
    line.close()


def test_a_site_for_everybody_has_to_be_told_so() -> None:
    """Listening beyond this machine without asking who looks, it does not start."""
    command = [*SITE, "--host", "0.0.0.0", "--port", "0", "--store", f"redis://127.0.0.1:{free_port()}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert words_for("a site left open by mistake") in done.stderr
