"""What a TOML file and the environment may say, and what is said about a slip in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from headwater.errors import SettingsError
from headwater.logs import settings_line
from headwater.settings import (
    check_keys,
    check_variables,
    password_of,
    read_file,
    store_with_password,
    variable,
)

FILE = Path("headwater.toml")
KNOWN = {"edge": {"spool-bytes": None, "rate": None}, "models": {"cuts": {"threads": None}}}


def test_variables_are_named_like_their_flags() -> None:
    """`--spool-bytes` is HEADWATER_SPOOL_BYTES."""
    assert variable("--spool-bytes") == "HEADWATER_SPOOL_BYTES"
    assert variable("rate") == "HEADWATER_RATE"


def test_variables_of_others_are_none_of_our_business() -> None:
    """Only the prefix is ours, and the file's own variable is always known."""
    check_variables({"PATH": "", "HEADWATER_RATE": "2", "HEADWATER_CONFIG": "x", "HEADWATERS": "1"}, ["rate"])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("HEADWATER_RAET", "; did you mean HEADWATER_RATE?"),
        ("HEADWATER_SPOOLBYTES", "; did you mean HEADWATER_SPOOL_BYTES?"),
        ("HEADWATER_QUICKER", "; see headwater --help"),
        ("HEADWATER_", "; see headwater --help"),
    ],
)
def test_a_misspelt_variable_names_the_nearest(name: str, hint: str) -> None:
    """An unknown variable is an error, not a setting that silently does nothing."""
    with pytest.raises(SettingsError) as caught:
        check_variables({name: "1"}, ["rate", "spool-bytes"])
    assert str(caught.value) == f"environment variable {name} means nothing{hint}"


def test_keys_may_have_dashes_or_underscores() -> None:
    """Both spellings of a key and nested tables of nested commands pass."""
    check_keys(FILE, {"edge": {"spool_bytes": 1, "rate": 2}, "models": {"cuts": {"threads": 2}}}, KNOWN)
    check_keys(FILE, {"edge": {"spool-bytes": 1}}, KNOWN)
    check_keys(FILE, {}, KNOWN)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"edeg": {}}, "key edeg means nothing; did you mean edge?"),
        ({"edge": {"spool_byte": 1}}, "key edge.spool_byte means nothing; did you mean spool-bytes?"),
        ({"models": {"cuts": {"treads": 1}}}, "key models.cuts.treads means nothing; did you mean threads?"),
        ({"rate": 1}, "key rate means nothing"),
        ({"edge": 5}, "edge is 5, expected a table [edge]"),
        ({"models": {"cuts": "x"}}, "models.cuts is 'x', expected a table [models.cuts]"),
    ],
)
def test_a_slip_in_the_file_says_where(table: dict[str, object], message: str) -> None:
    """The file, the key with its tables, and the nearest name."""
    with pytest.raises(SettingsError) as caught:
        check_keys(FILE, table, KNOWN)
    assert str(caught.value).startswith(f"headwater.toml: {message}")


def test_a_file_is_read_as_toml(tmp_path: Path) -> None:
    """Tables and values as they stand there."""
    path = tmp_path / "site.toml"
    path.write_text("[edge]\nrate = 2.5\n[models.cuts]\nthreads = 2\n")
    assert read_file(path) == {"edge": {"rate": 2.5}, "models": {"cuts": {"threads": 2}}}


@pytest.mark.parametrize("content", [b"[edge\n", b"rate = \n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_file_that_is_not_toml_is_one_line(tmp_path: Path, content: bytes) -> None:
    """Whatever the bytes."""
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"bad\.toml: not TOML: "):
        read_file(path)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """One that is not there, and a folder."""
    with pytest.raises(SettingsError, match="No such file or directory; give an existing file to --config"):
        read_file(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="Is a directory"):
        read_file(tmp_path)


def test_secrets_are_masked_in_the_settings_line() -> None:
    """Passwords and tokens never reach the log, nor do those inside addresses."""

    @dataclass(frozen=True)
    class Settings:
        source: str = "rtsp://user:hunter2@camera/1"
        password: str | None = "hunter2"
        token: str | None = None
        rate: float = 2.0

    line = settings_line(Settings())
    assert "hunter2" not in line
    assert "password=***" in line
    assert "rate=2.0" in line
    assert "token=None" in line


def test_a_password_comes_from_the_first_line_of_a_file(tmp_path: Path) -> None:
    """As Docker and Kubernetes hand out secrets: with or without a line end, spaces belong to it."""
    file = tmp_path / "password"
    file.write_text(" over there \nnot this\n")
    assert password_of(None, file) == " over there "
    assert password_of("said", None) == "said"
    assert password_of(None, None) is None


@pytest.mark.parametrize(
    ("url", "with_password"),
    [
        ("redis://store", "redis://:p%2F%40s@store"),
        ("rediss://store:6380/2?a=b@c", "rediss://:p%2F%40s@store:6380/2?a=b@c"),
        ("redis://worker@store/0", "redis://worker:p%2F%40s@store/0"),
    ],
)
def test_the_store_gets_its_password_from_a_file(url: str, with_password: str, tmp_path: Path) -> None:
    """Whatever is in it stands in the address so that every client reads it back."""
    file = tmp_path / "password"
    file.write_text("p/@s")
    assert store_with_password(url, file) == with_password
    assert urlsplit(with_password).hostname == "store"
    assert unquote(urlsplit(with_password).password or "") == "p/@s"
    assert store_with_password(url, None) == url


def test_a_password_file_that_is_of_no_use_is_an_error(tmp_path: Path) -> None:
    """Missing, empty, not text, or said twice: one line that names the flag and the file, never the password."""
    empty, bytes_, good = tmp_path / "empty", tmp_path / "bytes", tmp_path / "good"
    empty.write_text("\n")
    bytes_.write_bytes(b"\xff\xfe")
    good.write_text("xyzzy")
    for file, why in ((tmp_path / "none", "No such file"), (empty, "first line is empty"), (bytes_, "not UTF-8")):
        with pytest.raises(SettingsError, match=f"--password-file: .*{file.name}: .*{why}"):
            password_of(None, file)
    with pytest.raises(SettingsError, match="expected one") as twice:
        store_with_password("redis://:secret@store", good)
    assert "secret" not in str(twice.value)
    with pytest.raises(SettingsError, match="expected one of the two"):
        password_of("said", good)
