"""Attacks on the store: each user of compose/store/users.acl does its own work on a real Valkey, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from broker.authority import Wanted
from broker.certificate_folder import CertificateFolder
from cloud_worker.store import RedisStore
from headwater.errors import StoreError
from tests.headwater.samples import RECORD, STORED_JOURNEY
from tests.integration.doors import now
from tests.integration.store_users import PASSWORDS, started, started_valkey, write_secrets
from tests.servers import eventually, listens, need
from tests.threats import words_for
from visualizer.reader import RedisStore as SiteStore


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A store with its three users, as the compose project starts it."""
    folder = tmp_path_factory.mktemp("store")
    child, found = started_valkey(folder / "run", write_secrets(folder / "secrets"))
    yield found
    child.stop()


@pytest.fixture
def urls(port: int) -> dict[str, str]:
    """The address of each user."""
    users = {"store": "", "worker": "worker", "visualizer": "visualizer"}
    return {name: f"redis://{user}:{quote(PASSWORDS[name], safe='')}@127.0.0.1:{port}" for name, user in users.items()}


def test_worker_and_site_can_do_their_work(urls: dict[str, str]) -> None:
    """A worker adds each record once, and journeys; the site reads both, waits for more, and looks into the past."""
    worker, site = RedisStore(urls["worker"], "demo"), SiteStore(urls["visualizer"], "demo")
    worker.ping()
    assert worker.add([RECORD]) == [True]
    assert worker.add([RECORD]) == [False]
    worker.add_journeys([STORED_JOURNEY])
    assert len(site.newest("results", 10)) == 1
    assert len(site.newest("journeys", 10)) == 1
    assert set(site.wait({"results": "0-0", "journeys": "0-0"}, 1)) == {"results", "journeys"}
    assert len(site.between("results", "-", "+", 10)) == 1
    worker.close()


def test_a_full_store_can_be_trimmed_by_its_worker(urls: dict[str, str]) -> None:
    """What the worker does when memory is full is within its rights."""
    worker = RedisStore(urls["worker"], "demo", history=1)
    with redis.Redis.from_url(urls["store"]) as admin:
        for number in range(3):
            admin.xadd("headwater:demo:results", {"record": str(number)})
        assert isinstance(worker._full(), StoreError)
        assert admin.xlen("headwater:demo:results") == 1


@pytest.mark.parametrize(
    ("attack", "user", "words"),
    [
        ("a site that writes to the store", "visualizer", "XADD headwater:demo:results * record x"),
        ("a site that writes to the store", "visualizer", "DEL headwater:demo:results"),
        ("a site that writes to the store", "visualizer", "EVAL return(1) 0"),
        ("a worker that reads another fleet's results", "worker", "GETBIT headwater:harbour:seen:a:b:0 1"),
        ("a worker that reads another fleet's results", "worker", "XADD headwater:harbour:results * record x"),
        ("a site that reads another fleet's results", "visualizer", "XREVRANGE headwater:harbour:results + -"),
        ("a worker that takes over the store", "worker", "CONFIG SET requirepass x"),
        ("a worker that takes over the store", "worker", "ACL SETUSER worker +@all"),
        ("a worker that takes over the store", "worker", "FLUSHALL"),
        ("a worker that takes over the store", "worker", "KEYS *"),
        ("a worker that takes over the store", "worker", "REPLICAOF 192.0.2.1 6379"),
        ("a worker that takes over the store", "worker", "XRANGE headwater:demo:results - +"),
    ],
)
def test_nobody_reaches_beyond_his_rights(attack: str, user: str, words: str, urls: dict[str, str]) -> None:
    """The store says so, and nothing changes."""
    with redis.Redis.from_url(urls[user]) as client, redis.Redis.from_url(urls["store"]) as admin:
        before = {key: admin.type(key) for key in admin.scan_iter()}
        with pytest.raises(redis.exceptions.NoPermissionError) as caught:
            client.execute_command(*words.split(" "))
        assert words_for(attack).lower() in str(caught.value).lower()
        assert {key: admin.type(key) for key in admin.scan_iter()} == before


def test_a_script_has_no_more_rights_than_its_caller(urls: dict[str, str]) -> None:
    """A worker may run scripts; what they do to another fleet is refused all the same."""
    with redis.Redis.from_url(urls["worker"]) as client:
        script = client.register_script("return redis.call('XADD', 'headwater:harbour:results', '*', 'record', 'x')")
        with pytest.raises(redis.exceptions.ResponseError) as caught:
            script()
    assert words_for("a worker's script that writes to another fleet").lower() in str(caught.value).lower()


def test_a_worker_of_another_fleet_says_so(urls: dict[str, str]) -> None:
    """One error that names what is refused; the frame stays with its device."""
    with pytest.raises(StoreError, match=r"(?i)no permissions"):
        RedisStore(urls["worker"], "harbour").add([RECORD])


@pytest.mark.parametrize(
    ("attack", "who"),
    [
        ("a stranger at the store", ""),
        ("a stranger who guesses the store's password", ":guessed@"),
        ("a stranger who guesses the store's password", "worker:guessed@"),
        ("a stranger who guesses the store's password", "nobody:guessed@"),
    ],
)
def test_strangers_are_refused(attack: str, who: str, port: int) -> None:
    """Without a password, with a wrong one, under a name that is not known."""
    with redis.Redis.from_url(f"redis://{who}127.0.0.1:{port}", protocol=2) as client:
        with pytest.raises(redis.exceptions.RedisError) as caught:
            client.xrange("headwater:demo:results")
        assert words_for(attack).lower() in str(caught.value).lower()


def test_without_users_there_is_the_administrator_alone(tmp_path: Path) -> None:
    """As Kubernetes' overlays start it: one password, and nobody without."""
    child, port = started_valkey(tmp_path / "run", write_secrets(tmp_path / "secrets", ("store",)))
    try:
        with redis.Redis.from_url(f"redis://:{PASSWORDS['store']}@127.0.0.1:{port}") as admin:
            assert admin.acl_whoami() == "default"
        with (
            redis.Redis.from_url(f"redis://127.0.0.1:{port}") as stranger,
            pytest.raises(redis.exceptions.AuthenticationError),
        ):
            stranger.ping()
    finally:
        child.stop()


def test_with_a_certificate_the_store_speaks_tls_alone(tmp_path: Path) -> None:
    """A worker that trusts the authority gets in; plain text and a client of another authority do not."""
    server = need("redis-server")
    secrets, place = write_secrets(tmp_path / "secrets"), CertificateFolder(tmp_path / "certificates")
    place.begin(now(), 30)
    place.add(Wanted("store", "server", ("127.0.0.1",)), now(), 30)
    for name, file in (("ca", "ca.pem"), ("store_certificate", "store.pem"), ("store_key", "store.key")):
        (secrets / name).write_bytes((place.path / file).read_bytes())
    child, port = started(tmp_path / "run", secrets, server)
    url = f"rediss://worker:{PASSWORDS['worker']}@127.0.0.1:{port}?ssl_ca_certs="
    try:
        assert eventually(lambda: listens(port)), (tmp_path / "run/log").read_text()
        assert RedisStore(f"{url}{place.certificate('ca')}", "demo").add([RECORD]) == [True]
        with pytest.raises(StoreError, match="certificate verify failed"):
            RedisStore(f"rediss://worker:{PASSWORDS['worker']}@127.0.0.1:{port}", "demo").ping()
        with pytest.raises(StoreError):
            RedisStore(f"redis://worker:{PASSWORDS['worker']}@127.0.0.1:{port}", "demo").ping()
    finally:
        child.stop()
