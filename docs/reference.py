"""Writes the pages of the reference that come from the code: python -m docs.reference"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args

from cyclopts.argument import Argument

from docs.reference_topics import topics_page
from headwater.cli import build_app, command
from headwater.command_list import COMMANDS
from headwater.settings import CONFIG_VARIABLE, variable

FOLDER: Final = Path(__file__).parent
FROM_THE_MACHINE: Final = {("edge", "--name"): "the host's name", ("edge", "--threads"): "its processors, at most 4"}
"""Defaults that each machine has its own of: (command, flag) and what to write instead."""
VALUES: Final = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}
SECTION: Final = re.compile(r"(Args|Returns|Raises):")
EXAMPLE: Final = re.compile(r"Examples?:\s+")

COMMANDS_INTRO: Final = """\
# Commands

Every command and its settings, written from the code by `make reference`; `headwater COMMAND --help` says the same. A
setting may be given as a flag, as a [variable](variables.md), or as a key of the command's table in a TOML file:
[settings](settings.md). `--config FILE` names that file, whatever the command.
"""
VARIABLES_INTRO: Final = f"""\
# Variables and keys

Every environment variable, the key that says the same in a TOML file, and the commands that have it; written from the
code by `make reference`. A key stands in the table of its command: `broker` of `headwater edge` in `[edge]`, `threads`
of `headwater models cuts` in `[models.cuts]`. Which of the three ways wins: [settings](settings.md).

`{CONFIG_VARIABLE}` names the TOML file; `headwater.toml` in the working folder when neither it nor `--config` is given.
A flag that takes no value, such as `--json`, is `true` or `false` as a variable and as a key.
"""


def pages() -> dict[str, str]:
    """Return what each page should hold, by its file's name."""
    return {"commands.md": commands_page(), "variables.md": variables_page(), "topics.md": topics_page()}


def every_command() -> Iterator[tuple[str, Any, list[Argument]]]:
    """Return (name with its groups, function, settings) of all commands."""
    app = build_app()
    for path, commands in COMMANDS.items():
        for name in commands:
            found = command(app, path, name)
            settings = found.assemble_argument_collection(parse_docstring=True)
            yield f"{path} {name}".strip(), found.default_command, [one for one in settings if one.names != ("*",)]


def commands_page() -> str:
    """Return the page of all commands with their settings."""
    parts = [COMMANDS_INTRO]
    for name, function, settings in every_command():
        text, examples = described(inspect.getdoc(function) or "")
        table = f"\nIn the settings file: `[{name.replace(' ', '.')}]`.\n"
        rows = [setting_row(name, setting) for setting in settings]
        head = ["", "| setting | default | what it is |", "|---|---|---|"]
        parts.append(
            f"## headwater {name}\n\n{text}\n\n```sh\n{examples}\n```\n{table}" + "\n".join([*head, *rows, ""])
        )
    return "\n".join(parts)


def described(docstring: str) -> tuple[str, str]:
    """Return the prose of a command's docstring, and its examples, one a line."""
    prose, examples = [], []
    for paragraph in docstring.split("\n\n"):
        if SECTION.match(paragraph):
            break
        if EXAMPLE.match(paragraph):
            examples.append(" ".join(EXAMPLE.sub("", paragraph, count=1).split()))
        else:
            prose.append(escaped(paragraph))
    return "\n\n".join(prose), "\n".join(examples)


def setting_row(name: str, setting: Argument) -> str:
    """Return a setting as a row of its command's table."""
    flags = ", ".join(f"`{flag}`" for flag in (with_value(setting), *setting.names[1:]))
    default = FROM_THE_MACHINE.get((name, setting.names[0])) or shown_default(setting)
    text = escaped(" ".join((setting.parameter.help or "").split()))
    return f"| {flags} | {default} | {text[:1].upper()}{text[1:]} |"


def with_value(setting: Argument) -> str:
    """Return a setting's first name and what is to be written behind it."""
    name = setting.names[0]
    if not name.startswith("-") or bool in (setting.hint, *get_args(setting.hint)):
        return name
    choices = setting.get_choices()
    return f"{name} {','.join(choices) if choices else value_of(setting.hint)}"


def value_of(hint: Any) -> str:
    """Return what a value of this type is called."""
    inner = [one for one in get_args(hint) if one not in (NoneType, Ellipsis)]
    if hint in VALUES or not inner:
        return VALUES.get(hint, str(hint))
    repeated = tuple in (hint, getattr(hint, "__origin__", None)) and Ellipsis not in get_args(hint)
    return " ".join(value_of(one) for one in inner) if repeated else value_of(inner[0])


def shown_default(setting: Argument) -> str:
    """Return a setting's default as a person would write it, empty where leaving it out means something else."""
    if setting.required:
        return "must be given"
    default = setting.field_info.default
    if default is None or default is inspect.Parameter.empty:
        return ""
    if isinstance(default, tuple | list):
        return ", ".join(f"`{one}`" for one in default)
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{text}`" if text else ""


def escaped(text: str) -> str:
    """Return text of the code that Markdown shows as it is, but for its backticks."""
    return re.sub(r"([|<*])", r"\\\1", text)


def variables_page() -> str:
    """Return the page of all variables, with the commands that have each."""
    users: dict[str, list[str]] = {}
    for name, _, settings in every_command():
        link = f"[{name}](commands.md#headwater-{name.replace(' ', '-')})"
        for setting in settings:
            if setting.names[0].startswith("--"):
                users.setdefault(setting.names[0].removeprefix("--"), []).append(link)
    rows = [f"| `{variable(key)}` | `{key}` | {', '.join(links)} |" for key, links in sorted(users.items())]
    return "\n".join([VARIABLES_INTRO, "| variable | key | commands |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    for page, content in pages().items():
        (FOLDER / page).write_text(content)
