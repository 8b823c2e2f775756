"""The one command: three ways to say a setting, one line for every mistake, and help that costs nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headwater import cli
from headwater.errors import HeadwaterError, MissingPart

COMMANDS = [" ".join([*path.split(), name]) for path, commands in cli.COMMANDS.items() for name in commands]
HEAVY = ("numpy", "ai_edge_litert", "tflite_runtime", "cv2", "dash", "plotly", "redis", "tensorflow", "keras", "PIL")


def call(
    *arguments: str, folder: Path, variables: dict[str, str] | None = None, program: str = "headwater"
) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does, in a folder of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    return subprocess.run(
        [sys.executable, "-m", program, *arguments],
        check=False, capture_output=True, text=True, cwd=folder, env={**clean, **(variables or {})}, timeout=60,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line on stderr of a call that ended with status 2."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("headwater: error: ")
    return lines[0].removeprefix("headwater: error: ")


def split_error(tmp_path: Path, *arguments: str, **variables: str) -> str:
    """Return what the device says of its location: the setting that these tests give in three ways."""
    done = call("edge", "--source", "pattern:", "--bundle", "/none", *arguments, folder=tmp_path, variables=variables)
    return refused(done)


def test_a_flag_wins_over_a_variable_over_the_file_over_the_default(tmp_path: Path) -> None:
    """The first of these that says something holds: seen on a value that is refused with what it was."""
    (tmp_path / "headwater.toml").write_text("[edge]\ntimeout = -3.0\n")
    assert split_error(tmp_path, "--timeout", "-1", HEADWATER_TIMEOUT="-2").startswith("timeout: got -1.0,")
    assert split_error(tmp_path, HEADWATER_TIMEOUT="-2").startswith("timeout: got -2.0,")
    assert split_error(tmp_path).startswith("timeout: got -3.0,")
    (tmp_path / "headwater.toml").unlink()
    assert split_error(tmp_path).startswith("no bundle, folder or .tflite file is called")


@pytest.mark.parametrize("key", ["spool-bytes", "spool_bytes"])
def test_the_file_takes_dashes_and_underscores(tmp_path: Path, key: str) -> None:
    """Both spellings of a key are the flag."""
    (tmp_path / "headwater.toml").write_text(f"[edge]\n{key} = -5\n")
    assert split_error(tmp_path).startswith("spool-bytes: got -5,")


def test_the_file_may_be_named_by_flag_or_variable(tmp_path: Path) -> None:
    """`--config` anywhere among the arguments, then HEADWATER_CONFIG, then headwater.toml in this folder."""
    for number, name in enumerate(("headwater.toml", "variable.toml", "flag.toml"), start=1):
        (tmp_path / name).write_text(f"[edge]\nwindow = -{number}\n")
    assert "window: got -3," in split_error(tmp_path, "--config", "flag.toml", HEADWATER_CONFIG="variable.toml")
    assert "window: got -3," in split_error(tmp_path, "--config=flag.toml")
    assert "window: got -2," in split_error(tmp_path, HEADWATER_CONFIG="variable.toml")
    assert "window: got -1," in split_error(tmp_path)


def test_a_nested_command_has_a_nested_table(tmp_path: Path) -> None:
    """`[models.cuts]` holds the settings of `headwater models cuts`."""
    (tmp_path / "headwater.toml").write_text("[models.cuts]\nthreads = 'many'\n")
    assert "threads" in refused(call("models", "cuts", "/none.tflite", folder=tmp_path))


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("egde",), "edge"),
        (("models", "cutz"), "cuts"),
        (("edge", "--source", "x", "--splti", "image"), "--split"),
        (("edge", "--source", "x", "--report", "some"), "positive"),
        (("edge", "--source", "x", "--rate", "fast"), "--rate"),
        (("edge",), "--source"),
        (("edge", "--source"), "--source"),
        (("edge", "--source", "x", "y"), "y"),
        (("--config", "none.toml", "doctor"), "none.toml"),
        (("--config",), "--config"),
        (("edge", "--source", "pattern:", "--drain", "nan"), "drain: got nan"),
        (("edge", "--source", "pattern:", "--expire", "inf"), "expire: got inf"),
        (("edge", "--source", "pattern:", "--broker", "http://x"), "mqtt://HOST"),
        (("edge", "--source", "pattern:", "--home-assistant", "--home-assistant-prefix", "#"), "such as homeassistant"),
        (("top", "--sort", "size"), "--sort"),
        (("top", "--interval", "0"), "--interval: got 0"),
        (("edge", "--source", "pattern:", "--bundle", "/none"), "/none"),
    ],
)
def test_a_slip_is_one_line_that_helps(tmp_path: Path, arguments: tuple[str, ...], hint: str) -> None:
    """A misspelt command or flag, a wrong value, a missing one: status 2, and what to write instead."""
    assert hint in refused(call(*arguments, folder=tmp_path))


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("[edeg]\nrate = 1\n", "edeg means nothing; did you mean edge?"),
        ("[edge]\nrat = 1\n", "edge.rat means nothing; did you mean rate?"),
        ("rate = 1\n", "key rate means nothing"),
        ("[edge]\nrate = 'fast'\n", "rate"),
        ("[edge\n", "not TOML"),
    ],
)
def test_a_slip_in_the_file_is_one_line(tmp_path: Path, content: str, hint: str) -> None:
    """Whatever the command, a file that says something meaningless is refused."""
    (tmp_path / "headwater.toml").write_text(content)
    assert hint in refused(call("edge", "--source", "pattern:", "--bundle", "/none", folder=tmp_path))


def test_a_slip_in_a_variable_is_one_line(tmp_path: Path) -> None:
    """A variable with our prefix that means nothing is refused with the nearest one."""
    line = split_error(tmp_path, HEADWATER_SPILT="image")
    assert line == "environment variable HEADWATER_SPILT means nothing; did you mean HEADWATER_SPLIT?"


def test_variables_of_the_called_command_load_no_other_part(tmp_path: Path) -> None:
    """A container says everything by variables, and starts no slower for it."""
    program = "import sys, headwater.cli as c\ntry: c.main(sys.argv[1:])\nfinally: print(*sys.modules)"
    variables = {"HEADWATER_RATE": "2", "HEADWATER_BROKER": "mqtt://b", "HEADWATER_SOURCE": "/none"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    done = subprocess.run(
        [sys.executable, "-c", program, "edge"],
        check=False, capture_output=True, text=True, cwd=tmp_path, env={**clean, **variables}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "/none" in done.stderr
    loaded = done.stdout.split()
    assert "edge.commands" in loaded
    assert {"cloud_worker.commands", "evaluation.commands", "visualizer.commands"}.isdisjoint(loaded)


def test_variables_of_other_commands_are_known(tmp_path: Path) -> None:
    """One environment serves all processes of a machine."""
    variables = {"HEADWATER_STORE": "redis://x", "HEADWATER_BATCH": "4"}
    assert split_error(tmp_path, **variables).startswith("no bundle")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example_and_loads_nothing_heavy(tmp_path: Path, command: str) -> None:
    """It comes in a moment: no numpy (but for training), LiteRT, OpenCV, Dash or TensorFlow is imported."""
    program = (
        "import sys\nfrom headwater.cli import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n    print('LOADED', *sorted(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command.split(), "--help"],
        check=False, capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *text, loaded = done.stdout.splitlines()
    assert any(f"Example: headwater {command}" in line for line in text), done.stdout
    cheap = {"numpy", "PIL"} if command.startswith("models train") else set[str]()
    assert not set(loaded.split()) & set(HEAVY) - cheap


def test_the_list_of_commands_has_a_line_for_each(tmp_path: Path) -> None:
    """`headwater --help` and its groups name every command, with no more than its line."""
    shown = call("--help", folder=tmp_path).stdout
    for path, commands in cli.COMMANDS.items():
        shown = call(*path.split(), "--help", folder=tmp_path).stdout
        for name in commands:
            assert f" {name} " in shown


def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException) -> tuple[int, str]:
    """Return exit status and stderr of a command that raises this."""

    def raise_it(_arguments: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "run", raise_it)
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


def test_every_error_for_a_person_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """HeadwaterError, ModelError and their children: no traceback, status 2, line breaks folded."""
    from models.errors import ModelError, ModelFileError

    for error in (
        HeadwaterError("a\n  b"),
        MissingPart("x", "y", "z"),
        ModelError("c"),
        ModelFileError("m.tflite", "too short"),
    ):
        line = " ".join(str(error).split())
        assert fails(monkeypatch, capsys, error) == (2, f"headwater: error: {line}\n")


@pytest.mark.parametrize(
    ("package", "extra"), [("ai_edge_litert", "edge"), ("cv2", "edge"), ("redis", "worker"), ("dash", "visualizer")]
)
def test_a_missing_package_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str, extra: str
) -> None:
    """Not installed is one line with what to type."""
    error = ModuleNotFoundError(f"No module named '{package}.inner'", name=f"{package}.inner")
    status, line = fails(monkeypatch, capsys, error)
    assert status == 2
    assert package in line
    assert f"install the extra {extra} (docs/install.md)" in line


def test_a_fault_of_ours_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An import of our own that is wrong is no missing extra."""

    def raise_it(_arguments: list[str]) -> int:
        raise ImportError("cannot import name 'x' from 'edge.device'", name="edge.device")

    monkeypatch.setattr(cli, "run", raise_it)
    with pytest.raises(ImportError, match="cannot import name"):
        cli.main([])


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Interrupted before a command has taken over its signals: status 130, silent."""
    assert fails(monkeypatch, capsys, KeyboardInterrupt()) == (130, "")


def test_output_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A full disk behind `> file` ends with status 2 and the reason, without a traceback."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "headwater", "models", "cuts", "litter", "--json", "--no-measure"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("headwater: error: [Errno 28] No space left on device; check")
    assert done.stderr.count("\n") == 1


def test_the_version_is_told(tmp_path: Path) -> None:
    """`headwater --version`."""
    from headwater import version

    assert call("--version", folder=tmp_path).stdout.strip() == version()
