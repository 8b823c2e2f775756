"""A folder of certificates: rights, nothing written over, renewal, revocation, and what is said of what is broken."""

from __future__ import annotations

import json
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from broker.authority import Wanted
from broker.certificate_folder import CertificateFolder, Entry
from headwater.cli import main
from headwater.errors import SettingsError

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CAMERA = Wanted("camera-1", "client")


@pytest.fixture
def place(tmp_path: Path) -> CertificateFolder:
    """A folder with an authority, a broker and a camera."""
    found = CertificateFolder(tmp_path / "certificates")
    assert found.begin(NOW, 3650)
    found.add(Wanted("broker", "server", ("broker.example",)), NOW, 825)
    found.add(CAMERA, NOW, 825)
    return found


def states(place: CertificateFolder, now: datetime = NOW) -> list[tuple[str, str]]:
    """Return name and state of every certificate, in the order of the list."""
    return [(one.name, one.state) for one in place.entries(now)]


def public_key(path: Path) -> bytes:
    """Return the public key of a certificate's file."""
    key = x509.load_pem_x509_certificate(path.read_bytes()).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_keys_are_their_owner_s_alone(place: CertificateFolder) -> None:
    """The folder, and each key in it; certificates and the list are for everybody; no half-written file stays."""
    rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.path.iterdir() if path.is_file()}
    assert {name: mode for name, mode in rights.items() if name.endswith(".key")} == {
        "ca.key": 0o600,
        "broker.key": 0o600,
        "camera-1.key": 0o600,
    }
    assert {mode & 0o133 for name, mode in rights.items() if name.endswith(".pem")} == {0}
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o700
    assert not list(place.path.rglob("*.part"))


def test_a_folder_that_was_there_keeps_its_rights(tmp_path: Path) -> None:
    """It may be the one where somebody stands; the keys in it are protected all the same."""
    tmp_path.chmod(0o755)
    CertificateFolder(tmp_path).begin(NOW, 3650)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_python_s_tls_takes_key_and_certificate(place: CertificateFolder) -> None:
    """As devices load them."""
    context = ssl.create_default_context(cafile=str(place.certificate("ca")))
    context.load_cert_chain(place.certificate("camera-1"), place.key("camera-1"))
    assert context.cert_store_stats()["x509_ca"] == 1


def test_what_is_there_is_not_written_over(place: CertificateFolder) -> None:
    """The error says until when it holds and how to go on; no byte has changed."""
    before = {path: path.read_bytes() for path in place.path.rglob("*") if path.is_file()}
    assert not place.begin(NOW, 3650)
    with pytest.raises(
        SettingsError, match=r"camera-1\.pem is there already, until 2029-02-24; .* renew camera-1 makes"
    ):
        place.add(CAMERA, NOW, 825)
    assert before == {path: path.read_bytes() for path in place.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["ca", "revoked", "", "a/b", "../x", "camera+1", "x" * 65])
def test_names_that_cannot_be_files_or_users_are_refused(place: CertificateFolder, name: str) -> None:
    """Neither the authority's own files nor what cannot stand in a topic."""
    with pytest.raises(SettingsError, match="name: "):
        place.add(Wanted(name, "client"), NOW, 825)


def test_renewal_keeps_the_key_and_the_hosts(place: CertificateFolder) -> None:
    """Only the certificate changes; the old one is known still, and with --new-key the key changes, too."""
    later = NOW + timedelta(days=800)
    keys = {
        name: (place.key(name).read_bytes(), public_key(place.certificate(name))) for name in ("broker", "camera-1")
    }
    assert place.renew("broker", later, 825).hosts == ("broker.example", "localhost", "127.0.0.1", "::1")
    place.renew("camera-1", later, 825)
    for name, was in keys.items():
        assert (place.key(name).read_bytes(), public_key(place.certificate(name))) == was
    assert states(place, later) == [
        ("broker", "valid"),
        ("broker", "replaced"),
        ("camera-1", "valid"),
        ("camera-1", "replaced"),
    ]
    place.renew("camera-1", later, 825, another_key=True)
    assert place.key("camera-1").read_bytes() != keys["camera-1"][0]
    assert stat.S_IMODE(place.key("camera-1").stat().st_mode) == 0o600


def test_who_is_revoked_is_so_with_every_certificate(place: CertificateFolder) -> None:
    """The one in use and the ones before it; others are not touched, and a new one can be made."""
    first = place.entries(NOW)[1]
    second = place.renew("camera-1", NOW, 825)
    assert place.revoke("camera-1", NOW) == 2
    listed = x509.load_pem_x509_crl(place.revoked.read_bytes())
    assert {one.serial_number for one in listed} == {first.serial, second.serial}
    assert place.revoke("camera-1", NOW) == 0
    with pytest.raises(SettingsError, match=r"camera-1 was revoked; .* client makes a new one"):
        place.renew("camera-1", NOW, 825)
    assert place.add(CAMERA, NOW, 825).state == "valid"
    assert states(place) == [
        ("broker", "valid"),
        ("camera-1", "valid"),
        ("camera-1", "revoked"),
        ("camera-1", "revoked"),
    ]


def test_what_has_ended_is_so_called_and_can_be_renewed(place: CertificateFolder) -> None:
    """After its last day a certificate is expired; renewal makes it hold again."""
    later = NOW + timedelta(days=826)
    assert states(place, later) == [("broker", "expired"), ("camera-1", "expired")]
    place.renew("camera-1", later, 825)
    assert states(place, later)[1] == ("camera-1", "valid")


def test_a_key_that_was_moved_away_is_missed_by_its_path(place: CertificateFolder) -> None:
    """Renewal needs it; a certificate's file is not needed to revoke."""
    place.key("camera-1").unlink()
    place.certificate("camera-1").unlink()
    with pytest.raises(SettingsError, match=r"camera-1\.key is missing; put it back"):
        place.renew("camera-1", NOW, 825)
    assert place.revoke("camera-1", NOW) == 1


def begin_and_revoke(place: CertificateFolder) -> None:
    """Do what needs every file of the authority."""
    place.begin(NOW, 3650)
    place.revoke("camera-1", NOW)


@pytest.mark.parametrize(
    ("name", "content"), [("ca.pem", b"x"), ("ca.key", b"x"), ("revoked.pem", b""), ("ca.pem", None)]
)
def test_a_broken_folder_is_one_error(place: CertificateFolder, name: str, content: bytes | None) -> None:
    """The file is named; a missing authority is not silently made anew beside what another has signed."""
    file = place.path / name
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(SettingsError, match=name):
        begin_and_revoke(place)


@pytest.mark.parametrize("written", [("ca.key",), ("ca.key", "revoked.pem")])
def test_a_beginning_that_was_cut_short_is_completed(tmp_path: Path, written: tuple[str, ...]) -> None:
    """With the key that is there: nothing was signed yet, and what holds is checked as ever."""
    place = CertificateFolder(tmp_path)
    place.begin(NOW, 3650)
    key = place.key("ca").read_bytes()
    for name in {"ca.key", "ca.pem", "revoked.pem"} - set(written):
        (tmp_path / name).unlink()
    assert place.begin(NOW, 3650)
    assert place.key("ca").read_bytes() == key
    assert place.add(CAMERA, NOW, 825).state == "valid"
    assert place.revoke("camera-1", NOW) == 1


def test_two_who_come_at_once_make_one_certificate(place: CertificateFolder) -> None:
    """The second finds what the first has signed, however they meet."""

    def add(_: int) -> str:
        try:
            return CertificateFolder(place.path).add(Wanted("camera-9", "client"), NOW, 825).state
        except SettingsError as error:
            return str(error)

    with ThreadPoolExecutor(8) as threads:
        said = sorted(threads.map(add, range(8)))
    assert said.count("valid") == 1
    assert all("is there already" in one for one in said if one != "valid")
    assert [one.name for one in place.entries(NOW)].count("camera-9") == 1


def test_another_s_key_signs_nothing(place: CertificateFolder) -> None:
    """The authority's key must be its own."""
    place.key("ca").write_bytes(place.key("camera-1").read_bytes())
    with pytest.raises(SettingsError, match=r"ca\.key is not the key of .*ca\.pem"):
        place.add(Wanted("camera-2", "client"), NOW, 825)


def called(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Return how the command line ended, and what it said."""
    with pytest.raises(SystemExit) as ended:
        main(["broker", "certificates", *words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_the_commands_from_the_first_to_the_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Server, clients, list, renewal of what ends soon, revocation: each says what it wrote."""
    folder = ["--authority", str(tmp_path / "c")]
    status, out, _ = called("server", "broker.example", *folder, capsys=capsys)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["authority", "server"]
    assert called("client", "camera-1", "camera-2", "--days", "30", *folder, capsys=capsys)[0] == 0
    assert called("renew", "--within", "31", *folder, capsys=capsys)[1].startswith(
        "2 certificates end within 31 days\n"
    )
    assert called("renew", "--within", "31", *folder, capsys=capsys)[1] == "0 certificates end within 31 days\n"
    assert called("revoke", "camera-2", *folder, capsys=capsys)[1].startswith("revoked    camera-2: 2 certificates\n")
    assert (
        "no certificate of 'camera-9'; headwater broker certificates list has all"
        in (called("revoke", "camera-9", *folder, capsys=capsys)[2])
    )
    status, out, _ = called("list", *folder, capsys=capsys)
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["broker", "server", "valid"],
        ["camera-1", "client", "valid"],
        ["camera-1", "client", "replaced"],
        ["camera-2", "client", "revoked"],
        ["camera-2", "client", "revoked"],
    ]
    rows = json.loads(called("list", "--json", *folder, capsys=capsys)[1])
    assert rows[0]["hosts"] == ["broker.example", "localhost", "127.0.0.1", "::1"]
    assert rows[1]["days"] in {824, 825}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["server"], "hosts: got none, expected the names and addresses"),
        (["server", "a..b"], "host: got 'a..b'"),
        (["client", "camera-1"], "no authority there; headwater broker certificates server HOST makes one"),
        (["client"], "clients: got none, expected at least one"),
        (["revoke"], "names: got none, expected at least one"),
        (["revoke", "camera-9"], "no authority there"),
        (["renew", "--within", "99999999999"], "--within"),
        (["renew"], "got neither or both of names and --within"),
        (["renew", "camera-1", "--within", "3"], "got neither or both of names and --within"),
        (["list"], "no authority there"),
    ],
)
def test_a_wrong_call_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and what to do."""
    status, out, err = called(*words, "--authority", str(tmp_path / "c"), capsys=capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_an_entry_knows_no_key(place: CertificateFolder) -> None:
    """What a list shows of a certificate is public."""
    assert set(Entry.__dataclass_fields__) == {"name", "kind", "hosts", "begins", "ends", "serial", "state"}
    assert place.entries(NOW)[0].kind == "server"
