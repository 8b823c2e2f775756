"""The site's password file, and the commands that write it."""

from __future__ import annotations

import io
import re
import stat
from pathlib import Path

import pytest

from headwater.cli import main
from headwater.errors import SettingsError
from tests.visualizer.door.asking import CHEAP, PASSWORD, write
from visualizer.door import users as users_module
from visualizer.door.users import Untried, User, Users, checked_password, hashed, is_password, parse_users, read_users


def headwater(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command and return its status and what it said."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with a password."""
    file = tmp_path / "secret"
    file.write_text(PASSWORD + "\nnot this\n")
    return file


def test_a_hash_is_argon2id_with_a_salt_of_its_own() -> None:
    """With 64 MiB and three passes, RFC 9106's second choice; the same password never gives the same line."""
    one, other = hashed(PASSWORD), hashed(PASSWORD)
    assert one.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert one != other
    assert is_password(one, PASSWORD)
    assert not is_password(one, PASSWORD + " ")
    assert not is_password(one, "\ud800")


def test_people_come_and_go_by_command(tmp_path: Path, secret: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Added, listed, given another role and password, removed; nobody but the owner can read the file."""
    file = tmp_path / "site.users"
    flags = ("--users", str(file))
    add = ("users", "add", "--new-password-file", str(secret), *flags)
    assert headwater(capsys, *add, "camille") == (0, "camille viewer may sign in\n", "")
    assert headwater(capsys, *add, "sam", "--role", "operator")[1] == "sam operator may sign in\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = read_users(file)
    assert headwater(capsys, *add, "sam")[1] == "sam operator has a new password\n"
    assert read_users(file)["sam"].hash != before["sam"].hash
    assert read_users(file)["camille"] == before["camille"]
    assert headwater(capsys, "users", "list", *flags)[1] == "camille viewer\nsam operator\n"
    assert '{"name":"sam","role":"operator"}' in headwater(capsys, "users", "list", "--json", *flags)[1]
    assert headwater(capsys, "users", "remove", "camille", *flags)[1] == "camille may sign in no longer\n"
    assert list(read_users(file)) == ["sam"]
    assert PASSWORD not in file.read_text()
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_a_file_keeps_its_rights_and_a_link_its_target(tmp_path: Path) -> None:
    """A container's user may have been let read it."""
    file, link = write(tmp_path / "real", camille="viewer"), tmp_path / "link"
    file.chmod(0o640)
    link.symlink_to(file)
    users_module.write_users(link, [User("sam", "operator", CHEAP.hash(PASSWORD))])
    assert link.is_symlink()
    assert list(read_users(file)) == ["sam"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "a:b"), "user: got 'a:b', expected 1 to 64 of"),
        (("add", "sam", "--new-password-file", "short"), "password: got 5 characters, expected 12 to 256"),
        (("add", "sam", "--new-password-file", "nowhere"), "--new-password-file: nowhere: No such file"),
        (("add", "sam"), "password: there is no terminal to ask on; give --new-password-file FILE"),
        (("remove", "sam"), "has no 'sam', it has camille"),
        (("add", "sam", "--role", "root"), "role"),
    ],
)
def test_a_wrong_call_is_one_line_and_changes_nothing(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit status 2, and no password in what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    Path("short").write_text("short\n")
    before = write(Path("site.users"), camille="viewer").read_text()
    status, out, err = headwater(capsys, "users", *words, "--users", "site.users")
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert Path("site.users").read_text() == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("camille", "line 2: expected NAME:ROLE:HASH"),
        ("camille:viewer:", "line 2: expected NAME:ROLE:HASH"),
        (":viewer:x", "line 2: expected NAME:ROLE:HASH"),
        ("camille:admin:$argon2id$x", "line 2: user 'camille' has the role 'admin', expected viewer or operator"),
        ("camille:viewer:swordfish", "line 2: user 'camille' has no argon2id hash"),
        ("camille:viewer:$2b$12$swordfish", "line 2: user 'camille' has no argon2id hash"),
    ],
)
def test_a_line_that_is_none_is_named_without_its_secret(line: str, said: str) -> None:
    """Somebody may have written a password where the hash belongs."""
    with pytest.raises(SettingsError, match=re.escape(said)) as refused:
        parse_users(f"# people\n{line}\n", "users")
    assert "swordfish" not in str(refused.value)


def test_a_name_twice_is_refused() -> None:
    """Which of the two would hold?"""
    line = f"sam:viewer:{CHEAP.hash(PASSWORD)}\n"
    with pytest.raises(SettingsError, match="line 3: user 'sam' is there twice"):
        parse_users(f"{line}\n{line}", "users")


def test_a_site_takes_up_changes_and_an_unusable_file_lets_nobody_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody removed is gone at once; when the file is broken or away, so is everybody, and the log says why."""
    file = write(tmp_path / "users", camille="viewer", sam="operator")
    users = Users(file)
    assert users.proven("camille", PASSWORD) == users.find("camille") is not None
    assert users.proven("camille", "wrong") is None
    assert users.proven("nobody", PASSWORD) is None
    users_module.write_users(file, [one for one in read_users(file).values() if one.name != "camille"])
    assert users.find("camille") is None
    assert users.find("sam") is not None
    file.write_text("sam:viewer:nonsense\n")
    assert users.find("sam") is None
    file.unlink()
    assert users.find("sam") is None
    assert [record.levelname for record in caplog.records].count("ERROR") == 2
    write(file, sam="viewer")
    assert users.proven("sam", PASSWORD) is not None


def test_a_site_does_not_start_with_nobody_in_its_file(tmp_path: Path) -> None:
    """It would lock everybody out."""
    (tmp_path / "users").write_text("# nobody yet\n")
    with pytest.raises(SettingsError, match="names nobody, so nobody could sign in"):
        Users(tmp_path / "users")
    with pytest.raises(SettingsError, match="No such file or directory; make one with: headwater users add"):
        Users(tmp_path / "elsewhere")


def test_a_hash_that_cannot_be_tried_is_no_wrong_password(tmp_path: Path) -> None:
    """Here one that is spoilt; without memory it is the same: nobody knows whether the password is right."""
    parts = CHEAP.hash(PASSWORD).split("$")
    spoilt = "$".join([*parts[:4], "!" * len(parts[4]), parts[5]])
    with pytest.raises(Untried, match="password: got 'Decoding failed' instead of an answer, expected 64 MiB of"):
        is_password(spoilt, PASSWORD)
    file = tmp_path / "users"
    file.write_text(f"sam:viewer:{CHEAP.hash(PASSWORD)}\ncamille:viewer:{spoilt}\n")
    with pytest.raises(Untried):
        Users(file).proven("camille", PASSWORD)
    assert not is_password(CHEAP.hash(PASSWORD), "wrong")


def test_a_name_that_is_not_there_costs_the_same_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hash is tried either way, with the same parameters, so that time does not tell who is a user."""
    users, tried = Users(write(tmp_path / "users", camille="viewer")), []
    monkeypatch.setattr(users_module, "is_password", lambda hash_, _password: bool(tried.append(hash_)))
    users.proven("camille", "guess")
    users.proven("nobody", "guess")
    mine, strangers = (one.split("$")[1:4] for one in tried)
    assert mine == strangers


@pytest.mark.parametrize("length", [0, 11, 257])
def test_a_password_too_short_or_too_long_is_refused(length: int) -> None:
    """Its length is told, not what it is."""
    with pytest.raises(SettingsError, match=f"password: got {length} characters"):
        checked_password("x" * length)
