"""The pages of the documentation, and the commands that stand in them."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
OF_A_SHELL = {"", "sh", "bash", "console"}
ENDS = {"|", "||", "&", "&&", ";", ";;", ">", ">>", "<", "(", ")"}
"""What ends a command, as far as it concerns its arguments."""


def listed(*patterns: str) -> list[Path]:
    """Return the project's files of these names, also those not committed yet; without git, the upper ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=False).stdout.decode().split("\0")
    found = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    elsewhere = {path for pattern in patterns for path in (*ROOT.glob(pattern), *ROOT.glob(f"*/{pattern}"))}
    return found or sorted(path for path in elsewhere if path.is_file())


def pages() -> list[Path]:
    """Return every Markdown page of the project."""
    return listed("*.md")


def comments(file: Path) -> list[str]:
    """Return the comments of a settings file or script that have a line to themselves, without their mark."""
    return re.findall(r"^ *# ?(.*)$", file.read_text(), re.MULTILINE)


def inline(page: Path) -> list[str]:
    """Return what stands between backquotes in the page's prose, each on one line."""
    return [" ".join(text.split()) for text in re.findall(r"`([^`]+)`", FENCE.sub("", page.read_text()))]


def shell_lines(page: Path) -> list[str]:
    """Return the lines of the page's fenced blocks for a shell, those that go on joined."""
    shell = [text for language, text in blocks(page) if language in OF_A_SHELL]
    return [line for text in shell for line in text.replace("\\\n", " ").splitlines()]


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return (language, text) of each fenced block of a page."""
    return [(language, text) for _, language, text in FENCE.findall(page.read_text())]


def commands(page: Path, *programs: str) -> list[list[str]]:
    """Return the words of each call of these programs in the page's fenced blocks for a shell."""
    named = re.compile(rf"\b({'|'.join(programs)})\s")
    return [call for line in shell_lines(page) if named.search(line) for call in calls(line) if call[0] in programs]


def calls(line: str) -> Iterator[list[str]]:
    """Return the commands of a line, without prompt, comment, redirections and variables set for them."""
    lexer = shlex.shlex(re.sub(r"\$\w+", "1", line.strip().removeprefix("$ ")), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    call: list[str] = []
    for word in [*lexer, ";"]:
        if word not in ENDS:
            call.append(word)
            continue
        while call and (call[0] in {"sudo", "do", "then", "time"} or re.fullmatch(r"[A-Z_]+=.*", call[0])):
            del call[0]
        if call:
            yield call
        call = []
