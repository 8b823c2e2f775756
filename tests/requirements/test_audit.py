"""The audit fails for a known vulnerability, and never says that all is well without having asked."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from requirements import audit
from requirements.audit import CANARY, IGNORED, Audit, Away, Finding, in_force, layers
from requirements.locked import Locked

ROOT = Path(__file__).parents[2]
LOCK = "".join(
    f"{pin} \\\n    --hash=sha256:{'0' * 64}\n    # for: demo\n"
    for pin in ("sound==1.0", "weak==2.0 ; python_version < '3.12'", "weak==3.0 ; python_version >= '3.12'")
)
WEAKNESS = ("weak", "2.0")
ENTRY = """
[[ignored]]
id = "CVE-2026-1"
package = "weak"
reason = "not reached"
decided = {decided}
until = {until}
"""


def advisory(name: str, identity: str, alias: str, fixed: str) -> dict[str, Any]:
    """Return an advisory. Source: OSV schema 1.6."""
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}]
    affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
    said = {"id": identity, "summary": "", "aliases": [alias], "affected": affected}
    return {**said, "modified": "2026-01-02T00:00:00Z", "published": "2026-01-01T00:00:00Z"}


KNOWN = (CANARY.name, CANARY.version)
ADVISORIES = {
    KNOWN: advisory(CANARY.name, "GHSA-1", "CVE-2020-14343", "5.4"),
    WEAKNESS: advisory("weak", "GHSA-2", "CVE-2026-1", "2.0.1"),
}


@contextmanager
def service(known: dict[tuple[str, str], dict[str, Any]], status: int = 200) -> Iterator[str]:
    """An advisory service on this machine, that knows this."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = known.get((asked["package"]["name"], asked["version"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"vulns": [found]} if found else {}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lock and nothing ignored; the loopback interface is asked directly."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "lock.txt").write_text(LOCK)
    (tmp_path / "audit.toml").write_text("ignored = []\n")
    return tmp_path


def audited(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Return what the audit of the folder's lock says."""
    command = [sys.executable, "-m", "requirements.audit", "--lock", str(folder / "lock.txt")]
    command += ["--ignored", str(folder / "audit.toml"), "--cache-dir", str(folder / "cache"), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)


def osv(address: str) -> list[str]:
    """Return the options that ask this service."""
    return ["--vulnerability-service", "osv", "--osv-url", address]


def test_a_known_vulnerability_fails(folder: Path) -> None:
    """With its name, the locked version and the one that mends it, on whichever machine that version is for."""
    with service(ADVISORIES) as address:
        done = audited(folder, *osv(address))
    assert done.returncode == 1
    assert "VULNERABLE: weak 2.0: CVE-2026-1, GHSA-2, fixed in 2.0.1" in done.stderr
    assert "3 locked versions, 1 vulnerable" in done.stderr
    assert "pyyaml" not in done.stderr


def test_no_known_vulnerability_is_well(folder: Path) -> None:
    """What was asked is counted."""
    with service({KNOWN: ADVISORIES[KNOWN]}) as address:
        done = audited(folder, *osv(address))
    assert (done.returncode, done.stdout) == (0, "audit: 3 locked versions, 0 vulnerable, 0 advisories ignored\n"), done


def test_an_ignored_one_passes_until_its_day(folder: Path) -> None:
    """Named by any of its identities; the day after the last it fails again."""
    today = datetime.datetime.now(datetime.UTC).date()
    with service(ADVISORIES) as address:
        for days, status in ((2, 0), (0, 1)):  # the day may end meanwhile
            until = today + datetime.timedelta(days)
            (folder / "audit.toml").write_text(ENTRY.format(decided="2026-11-01", until=until))
            assert audited(folder, *osv(address)).returncode == status


@pytest.mark.parametrize(("known", "status"), [({}, 200), (ADVISORIES, 503), (ADVISORIES, 403)])
def test_a_service_without_advisories_is_not_believed(known: Any, status: int, folder: Path) -> None:
    """One that knows of nothing, one that is unwell, one that refuses: nothing was audited, and that is said."""
    with service(known, status) as address:
        done = audited(folder, *osv(address))
    assert done.returncode == 0, done.stderr
    assert "NOTHING WAS AUDITED" in done.stdout
    assert "0 vulnerable" not in done.stdout


def test_without_a_service_nothing_was_audited(folder: Path) -> None:
    """Nobody listens there: said loudly, no failure."""
    with service({}) as address:
        pass
    done = audited(folder, *osv(address))
    assert done.returncode == 0, done.stderr
    assert "NOTHING WAS AUDITED" in done.stdout


def test_what_was_found_before_the_answers_ended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found in the first list, then nobody answers for the second: it fails, and says for which there was no answer."""
    weakness = {"id": "CVE-1", "fix_versions": []}

    def answer(pins: list[str], *_: Any) -> str:
        if "weak==3.0" in pins:
            raise Away("too late")
        named = [dict(zip(("name", "version"), pin.split("=="), strict=True), vulns=[weakness]) for pin in pins]
        return json.dumps({"dependencies": named})

    monkeypatch.setattr(audit, "answer", answer)
    locked = [Locked("weak", "2.0", "", ()), Locked("weak", "3.0", "", ())]
    assert audit.audited(locked, []) == Audit((Finding("weak", "2.0", "CVE-1", ()),), ("weak==3.0",))
    assert audit.audited(locked[1:], []) == "too late"


def test_a_mistake_is_not_taken_for_a_network(folder: Path) -> None:
    """An option that pip-audit does not know is a failure."""
    done = audited(folder, "--nonsense")
    assert done.returncode == 1
    assert "nonsense" in done.stderr


def test_every_machine_is_asked_for() -> None:
    """All versions of a package, none twice in a list."""
    pins = [
        Locked("one", "1", "", ()),
        Locked("two", "1", "a", ()),
        Locked("two", "2", "b", ()),
        Locked("two", "3", "c", ()),
    ]
    assert layers(pins) == [["one==1", "two==1"], ["two==2"], ["two==3"]]


def test_an_entry_without_a_reason_is_refused() -> None:
    """It says which entry, and what is missing."""
    with pytest.raises(SystemExit, match="CVE-1 lacks package, reason"):
        in_force({"ignored": [{"id": "CVE-1", "decided": 1, "until": 2}]}, datetime.date(2026, 1, 1))


def test_the_list_of_ignored_ones_is_whole() -> None:
    """Each entry of ours has its reason and its days."""
    assert in_force(tomllib.loads(IGNORED.read_text()), datetime.date.min) is not None


def test_what_is_not_mended_yet_is_said() -> None:
    """A vulnerability without a newer version to go to."""
    assert Finding("weak", "1", "CVE-1", ()).line() == "weak 1: CVE-1, not fixed yet"
