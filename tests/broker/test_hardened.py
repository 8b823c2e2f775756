"""The hardened configuration: what every door asks for, and what is missing before it can open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from broker.hardened import NEEDED, PLACE, hardened_configuration
from headwater.cli import main

SHIPPED = Path(__file__).parents[2] / "broker/hardened.conf"


def doors(text: str) -> dict[str, dict[str, str]]:
    """Return the settings of each listener, and those before the first under an empty name."""
    found: dict[str, dict[str, str]] = {"": {}}
    door = ""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition(" ")
            if name == "listener":
                door = value
                found[door] = {}
            else:
                found[door][name] = value
    return found


def test_every_door_asks_for_a_certificate_that_was_not_revoked() -> None:
    """Both, and nobody is let in without a name; the one for devices ties the client id to it."""
    found = doors(SHIPPED.read_text())
    assert list(found) == ["", "8883", "8884 127.0.0.1"]
    assert found[""]["allow_anonymous"] == "false"
    assert {"acl_file", "memory_limit", "max_keepalive"} <= set(found[""])
    for door in ("8883", "8884 127.0.0.1"):
        settings = found[door]
        assert settings["require_certificate"] == settings["use_identity_as_username"] == "true"
        assert settings["tls_version"] == "tlsv1.2"
        assert {"cafile", "certfile", "keyfile", "crlfile", "max_connections"} <= set(settings)
    assert found["8883"]["use_username_as_clientid"] == "true"
    assert "use_username_as_clientid" not in found["8884 127.0.0.1"]


def test_it_names_the_files_that_the_certificates_command_writes() -> None:
    """And the access list, all in one folder."""
    named = set(re.findall(rf"^\w+ {PLACE}(\S+)$", SHIPPED.read_text(), re.MULTILINE))
    assert named == {*NEEDED, "acl"}


def test_the_configuration_has_the_limits_the_doors_and_the_folders() -> None:
    """What ships, with ports, addresses and folders of its own; nothing points to where it would be installed."""
    text = hardened_configuration("192.0.2.1", 9000, Path("/data/broker"), Path("/data/certificates"))
    found = doors(text)
    assert list(found) == ["", "9000 192.0.2.1", "9001 127.0.0.1"]
    assert found[""]["max_packet_size"] == "16777216"
    assert found[""]["acl_file"] == "/data/broker/acl"
    assert found["9000 192.0.2.1"]["keyfile"] == "/data/certificates/broker.key"
    assert PLACE not in text
    assert "connection_messages true" in text.rpartition("connection_messages false")[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--hardened", "FOLDER"],
            "--hardened: FOLDER has no ca.pem; make it with: headwater broker certificates server HOST",
        ),
        (["--hardened", "FOLDER", "--kind", "iotcore"], "--hardened: got --kind iotcore, which knows no users"),
    ],
)
def test_a_folder_that_lacks_something_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and how to make it."""
    with pytest.raises(SystemExit) as ended:
        main(["broker", "run", "--port", "0", *(word.replace("FOLDER", str(tmp_path)) for word in words)])
    assert ended.value.code == 2
    assert message.replace("FOLDER", str(tmp_path)) in capsys.readouterr().err
