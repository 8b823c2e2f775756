"""The page on which an operator sets one device: plain HTML, what holds now, and a form for what may be set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final

from headwater.messages import SettingsApplied, SettingsChange
from visualizer.door.pages import hidden, page, said
from visualizer.setter import AUTO, Thresholds

SPLITS: Final = (AUTO, "image", "device")
"""What every device takes, whatever its model."""
UNKNOWN: Final = "not said yet"
_MARK: Final = "threshold "


@dataclass(frozen=True)
class Shown:
    """What the page says of a device."""

    device: str
    online: bool | None
    """None: it has said nothing of itself here."""
    applied: SettingsApplied | None
    wanted: SettingsChange | None
    splits: tuple[str, ...]
    """What may be set, as far as the site knows."""


@dataclass(frozen=True)
class Wish:
    """What an operator has filled in that is other than what holds."""

    split: str | None
    thresholds: Thresholds

    def __bool__(self) -> bool:
        return self.split is not None or bool(self.thresholds)


def known_splits(*known: Iterable[str]) -> tuple[str, ...]:
    """Return every split once: those of every device, then those that were heard of."""
    return tuple(dict.fromkeys((*SPLITS, *(one for some in known for one in some if one))))


def wish(form: Mapping[str, str], applied: SettingsApplied | None) -> Wish:
    """Return what the form changes. Raises: ValueError for a threshold that is none, in words for the page."""
    split = form.get("split", "").strip()[:256] or None
    if applied is not None and split == applied.split:
        split = None
    thresholds: dict[str, dict[str, float]] = {}
    for exit_name, tasks in (applied.thresholds if applied else {}).items():
        for task, now in tasks.items():
            number = _number(form.get(field_of(exit_name, task), ""), f"{exit_name}, {task}")
            if number is not None and number != now:
                thresholds.setdefault(exit_name, {})[task] = number
    return Wish(split, thresholds)


def field_of(exit_name: str, task: str) -> str:
    """Return the name of a threshold's field."""
    return f"{_MARK}{exit_name} / {task}"


def _number(text: str, what: str) -> float | None:
    try:
        number = float(text) if text.strip() else None
    except ValueError:
        number = float("nan")
    if number is not None and not 0 <= number <= 1000:
        raise ValueError(f"{what}: got {text[:40]!r}, expected a number from 0 to 1000.")
    return number


def device_page(shown: Shown, token: str, *, wrong: str = "", well: str = "", waits: str = "") -> str:
    """Return the page; `wrong`, `well` or `waits` tell what became of the last wish."""
    state = {True: "online", False: "offline", None: "seen in the store"}[shown.online]
    word, text = ("well", well) if well else ("waits", waits)
    done = f'<p class="{word}" role="status">{escape(text)}</p>\n' if text else ""
    return page(
        f"Set {shown.device}",
        f'<h1>{escape(shown.device)}</h1>\n<p class="note">{state}</p>\n{said(wrong)}{done}'
        + _facts(shown)
        + f'<form method="post" action="/devices/{escape(shown.device)}">\n'
        + hidden({"token": token})
        + _split(shown)
        + _thresholds(shown.applied)
        + '<button type="submit">Set</button>\n</form>\n'
        '<p class="back"><a href="/devices">Back to the devices</a></p>',
    )


def _facts(shown: Shown) -> str:
    applied, wanted = shown.applied, shown.wanted
    facts = {"split": applied.split if applied else UNKNOWN, "codec": applied.codec if applied else UNKNOWN}
    if wanted is not None and wanted.split is not None and (applied is None or wanted.split != applied.split):
        facts["asked for"] = wanted.split
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return f"<h2>What holds</h2>\n<dl>{cells}</dl>\n"


def _split(shown: Shown) -> str:
    now = shown.applied.split if shown.applied else ""
    offered = "".join(f'<option value="{escape(one)}">' for one in shown.splits)
    return (
        '<label for="split">Split</label>\n'
        f'<input id="split" name="split" list="splits" value="{escape(now)}" maxlength="256" autocomplete="off" '
        'autocapitalize="none" spellcheck="false" aria-describedby="split-note">\n'
        f'<datalist id="splits">{offered}</datalist>\n'
        '<p class="note" id="split-note">auto: the device chooses. image: it sends the picture. device: it finishes '
        "itself. Or a cut point of its model.</p>\n"
    )


def _thresholds(applied: SettingsApplied | None) -> str:
    fields = [
        f'<div class="pair"><label for="t{number}">{escape(exit_name)}, {escape(task)}</label>'
        f'<input id="t{number}" name="{escape(field_of(exit_name, task))}" value="{value!r}" inputmode="decimal" '
        'autocomplete="off"></div>\n'
        for number, (exit_name, task, value) in enumerate(_flat(applied))
    ]
    if not fields:
        return ""
    return "<fieldset>\n<legend>Thresholds of the early exits</legend>\n" + "".join(fields) + "</fieldset>\n"


def _flat(applied: SettingsApplied | None) -> list[tuple[str, str, float]]:
    thresholds = applied.thresholds if applied else {}
    return [(name, task, value) for name, tasks in thresholds.items() for task, value in tasks.items()]
