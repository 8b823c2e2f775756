"""compose/make-certificates: an authority, certificates for broker and store, and the same anew, with nothing lost."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.authority import Wanted
from broker.certificate_folder import CertificateFolder
from tests.servers import need

SCRIPT = Path(__file__).parents[2] / "compose/make-certificates"
WRITTEN = {"ca", "ca_key", *(f"{part}_{what}" for part in ("broker", "store") for what in ("certificate", "key"))}
ALWAYS = {"DNS:localhost", "IP Address:127.0.0.1"}
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the script, where nothing is written yet."""
    need("openssl")
    shutil.copy(SCRIPT, tmp_path)
    return tmp_path


def make(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it."""
    return subprocess.run(
        [folder / "make-certificates", *words], capture_output=True, text=True, check=False, timeout=60,
        env=environment or None,
    )  # fmt: skip


def made(folder: Path, *words: str) -> dict[str, bytes]:
    """Run it and return the secrets that are there then; fail when it does."""
    done = make(folder, *words)
    assert done.returncode == 0, done.stderr
    return secrets(folder)


def secrets(folder: Path) -> dict[str, bytes]:
    """Return what is in the files."""
    return {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()}


def names(folder: Path, part: str = "broker") -> set[str]:
    """Return the names in a part's certificate, that ca must have signed."""
    file = str(folder / f"secrets/{part}_certificate")
    subprocess.run(["openssl", "verify", "-CAfile", folder / "secrets/ca", file], check=True, capture_output=True)
    command = ["openssl", "x509", "-in", file, "-noout", "-ext", "subjectAltName"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name.strip() for name in lines[1].split(",")}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """Return the files that differ."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_what_is_there_needs_no_key_of_the_authority(folder: Path, tmp_path: Path) -> None:
    """ca_key is kept elsewhere, as the documentation says: called again, all stays as it is."""
    before = made(folder, "broker.example")
    assert set(before) == WRITTEN
    assert names(folder) == {"DNS:broker", "DNS:broker.example", *ALWAYS}
    assert names(folder, "store") == {"DNS:store", *ALWAYS}
    (folder / "secrets/ca_key").rename(tmp_path / "elsewhere")
    assert changed(before, made(folder, "broker.example")) == {"ca_key"}


def test_renewed_are_the_certificates_for_the_names_that_they_have_and_more(folder: Path) -> None:
    """Keys and authority stay, so devices need nothing new; no half-made file is left."""
    before = made(folder, "broker.example", "192.0.2.1")
    after = made(folder, "--renew", "new.example", "2001:db8::1")
    assert changed(before, after) == {"broker_certificate", "store_certificate"}
    old = {"DNS:broker", "DNS:broker.example", "IP Address:192.0.2.1", *ALWAYS}
    assert names(folder) == {*old, "DNS:new.example", "IP Address:2001:DB8:0:0:0:0:0:1"}
    assert changed(after, made(folder, "broker.example", "new.example", "2001:db8::1")) == set()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "secrets/ca_key, which signs, is not here; bring it back"),
        ("no key", "openssl pkey failed as said above"),
        ("another's", "secrets/ca_key is not the key of ca"),
    ],
)
@pytest.mark.parametrize("words", [["--renew"], []])
def test_what_cannot_be_signed_replaces_nothing(folder: Path, words: list[str], key: str | None, said: str) -> None:
    """Neither with --renew nor where the certificate is gone, and the reason is shown."""
    made(folder)
    file = folder / "secrets/ca_key"
    file.unlink()
    if key == "another's":
        subprocess.run(["openssl", "genrsa", "-out", file, "2048"], check=True, capture_output=True)
    elif key is not None:
        file.write_text(key)
    if not words:
        (folder / "secrets/broker_certificate").unlink()
    before = secrets(folder)
    done = make(folder, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert secrets(folder) == before


def foreign(folder: Path, began: datetime, days: int) -> None:
    """Lay another authority's certificates there, without the key that signs."""
    place, target = CertificateFolder(folder / "theirs"), folder / "secrets"
    target.mkdir()
    place.begin(began, 3650)
    for part, hosts in (("broker", ("broker", "broker.example")), ("store", ("store",))):
        place.add(Wanted(part, "server", hosts), began, days)
        shutil.copy(place.certificate(part), target / f"{part}_certificate")
        shutil.copy(place.key(part), target / f"{part}_key")
    shutil.copy(place.certificate("ca"), target / "ca")


def test_another_authority_s_certificate_stays(folder: Path) -> None:
    """As long as it holds and is for the names; who it will soon not is told."""
    foreign(folder, NOW - timedelta(days=5), 30)
    before = secrets(folder)
    done = make(folder, "broker.example")
    assert (done.returncode, done.stdout) == (0, "")
    assert "secrets/broker_certificate ends within 30 days; make it anew" in done.stderr
    done = make(folder, "other.example")
    assert done.returncode == 1
    assert "secrets/broker_certificate is not for other.example" in done.stderr
    assert secrets(folder) == before


def test_an_ended_certificate_is_not_taken(folder: Path) -> None:
    """It was: by its names alone."""
    foreign(folder, NOW - timedelta(days=40), 30)
    before = secrets(folder)
    done = make(folder, "broker.example")
    assert done.returncode == 1
    assert "secrets/broker_certificate has ended (notAfter=" in done.stderr
    assert "make it anew: compose/make-certificates --renew broker.example" in done.stderr
    assert secrets(folder) == before


def test_a_mixture_is_not_taken(folder: Path) -> None:
    """Another authority, another key, or none."""
    made(folder)
    place = folder / "secrets"
    ours = {name: (place / name).read_bytes() for name in ("ca", "store_key", "broker_key")}
    other = CertificateFolder(folder / "theirs")
    other.begin(NOW, 30)
    for name, instead, said in (
        ("ca", other.certificate("ca").read_bytes(), "broker_certificate is not signed by ca"),
        ("broker_key", ours["store_key"], "broker_key is not the key of broker_certificate"),
        ("broker_key", b"", "broker_certificate is there without broker_key"),
    ):
        (place / name).unlink()
        (place / name).write_bytes(instead)
        done = make(folder)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
        (place / name).write_bytes(ours[name])
    assert make(folder).returncode == 0


def test_an_authority_s_key_is_never_written_over(folder: Path) -> None:
    """Where only ca is missing."""
    before = made(folder)
    (folder / "secrets/ca").unlink()
    done = make(folder)
    assert done.returncode == 1
    assert "has ca_key and no ca; bring ca back" in done.stderr
    assert changed(before, secrets(folder)) == {"ca"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--renwe"], "got --renwe, expected names and addresses, before them --renew or nothing"),
        (["a,DNS:b"], "got 'a,DNS:b', expected the name or address of a host"),
        ([""], "got '', expected"),
    ],
)
def test_words_that_are_no_names_are_refused(folder: Path, words: list[str], said: str) -> None:
    """Before anything is written."""
    done = make(folder, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (folder / "secrets").exists()


def test_without_openssl_it_says_so(folder: Path) -> None:
    """One line, and what to install."""
    done = make(folder, PATH=str(folder))
    assert (done.returncode, done.stderr) == (
        3,
        "make-certificates: openssl is not installed (Debian: apt install openssl)\n",
    )
