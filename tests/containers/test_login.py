"""The overlay for a login: the site in its container asks who looks, and lets in whom the password file names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import BUILD_S, VARIABLES, compose, containers, run
from tests.containers.test_stream import health, site, states
from tests.integration.test_site_login import PASSWORD, Site
from tests.servers import eventually
from visualizer.user_commands import add

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(BUILD_S + 300)]
OVERLAYS = f"{VARIABLES['OVERLAYS']} login ../tests/containers/login"


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Site]:
    """Site, broker and store with the overlay, and a password file that is made as docs/containers.md says."""
    users, password = tmp_path / "site_users", tmp_path / "password"
    password.write_text(PASSWORD)
    add("camille", users=users, role="operator", new_password_file=password)
    users.chmod(0o444)
    login = {"OVERLAYS": OVERLAYS, "SITE_USERS": str(users)}
    run("compose/make-secrets")
    compose("down", "--volumes", "--timeout", "1", **login)
    try:
        compose("up", "--detach", "--no-build", "broker", "store", "visualizer", **login)
        assert eventually(lambda: all(health(one) == "healthy" for one in containers()), 90), states()
        yield Site(int(site(**login).rpartition(":")[2]), tmp_path / "no.log")
    finally:
        compose("down", "--volumes", "--timeout", "1", **login)


def test_the_map_asks_who_looks_and_lets_an_operator_in(closed: Site) -> None:
    """Nothing without a name and its password; with them the map, under the name; health answers everybody."""
    answer, _ = closed.ask("/")
    assert (answer.status, answer.getheader("Location")) == (303, "/sign-in?next=/")
    assert closed.ask("/_dash-layout", Accept="*/*")[0].status == 401
    assert closed.ask("/health")[0].status == 200
    assert closed.ask("/sign-in", {"name": "camille", "password": "guessed at random"})[0].status == 403
    cookie = closed.sign_in("camille")
    answer, page = closed.ask("/", Cookie=cookie)
    assert answer.status == 200
    assert "Headwater demo" in page
    assert '"count-frames"' in closed.ask("/_dash-layout", Cookie=cookie)[1]
