"""Asks whether a locked version has a known vulnerability: python -m requirements.audit [options of pip-audit]

The exit status is 1 for a known vulnerability. Where no advisory service answers, this says loudly that nothing was
audited, and ends with 0: a network without one must not hold up whoever works there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from requirements.locked import LOCK, Locked, read

IGNORED: Final = Path(__file__).with_name("audit.toml")
LONGEST_S: Final = 150.0
"""For the whole audit: some 250 questions, one after the other."""
ANSWER_S: Final = 10
"""For one answer."""
COMMAND: Final = (
    *(sys.executable, "-m", "pip_audit", "--format", "json", "--desc", "off", "--progress-spinner", "off"),
    *("--no-deps", "--disable-pip", "--timeout", str(ANSWER_S)),
)
CANARY: Final = Locked("pyyaml", "5.3.1", "", ())
"""Known to be vulnerable (CVE-2020-14343, fixed in 5.4). A mirror without advisories does not know this one."""
AWAY: Final = re.compile(r"connect|timeout|timed out|ServiceError|HTTPError|SSLError|ProxyError|JSONDecodeError", re.I)
"""What pip-audit says at the end when it could not ask; anything else is a mistake, and fails."""
WIDTH: Final = 110


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a locked version."""

    name: str
    version: str
    identity: str
    fixed: tuple[str, ...]

    def line(self) -> str:
        """Return it for people: what, installed, where to read on, fixed in."""
        fixed = f"fixed in {', '.join(self.fixed)}" if self.fixed else "not fixed yet"
        return f"{self.name} {self.version}: {self.identity}, {fixed}"


@dataclass(frozen=True)
class Audit:
    """What came of asking."""

    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]
    """What there was no answer for."""


class Away(Exception):
    """No advisory service answers, and why."""


def layers(packages: Iterable[Locked]) -> list[list[str]]:
    """Return all pins, for whichever machine, such that no list has a package twice: pip-audit refuses that."""
    found: list[dict[str, str]] = []
    for package in packages:
        layer = next((one for one in found if package.name not in one), None)
        if layer is None:
            found.append(layer := {})
        layer[package.name] = f"{package.name}=={package.version}"
    return [list(layer.values()) for layer in found]


def in_force(table: dict[str, Any], today: datetime.date) -> list[str]:
    """Return the identities that are let pass today. Raises: SystemExit for one without its reason or days."""
    for entry in table["ignored"]:
        missing = sorted({"id", "package", "reason", "decided", "until"} - entry.keys())
        if missing:
            sys.exit(f"{IGNORED.name}: {entry.get('id', 'an entry')} lacks {', '.join(missing)}")
    return [str(entry["id"]) for entry in table["ignored"] if today < entry["until"]]


def judged(answers: Iterable[str]) -> Audit | str:
    """Return what pip-audit has found, from its answers in JSON; or why they are worth nothing."""
    found: list[Finding] = []
    unknown: list[str] = []
    for package in (package for answer in answers for package in json.loads(answer)["dependencies"]):
        if "skip_reason" in package:
            unknown.append(package["name"])
        for one in package.get("vulns", []):
            identity = ", ".join([one["id"], *one.get("aliases", [])])
            found.append(Finding(package["name"], package["version"], identity, tuple(one["fix_versions"])))
    canaries = [one for one in found if (one.name, one.version) == (CANARY.name, CANARY.version)]
    if not canaries:
        return f"What answers does not know that {CANARY.name} {CANARY.version} is vulnerable: it has no advisories."
    return Audit(tuple(one for one in found if one not in canaries), tuple(unknown))


def answer(pins: list[str], options: list[str], longest_s: float) -> str:
    """Return what pip-audit says of some pins, in JSON. Raises: Away, or SystemExit for any other failure."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins) + "\n")
        file.flush()
        command = [*COMMAND, "--requirement", file.name, *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=longest_s, check=False)
        except subprocess.TimeoutExpired:
            raise Away(f"Not all questions were answered within {LONGEST_S:g} s.") from None
    if done.returncode in (0, 1) and done.stdout.startswith("{"):
        return done.stdout
    reason = next((line for line in reversed(done.stderr.splitlines()) if AWAY.search(line)), None)
    if reason is None or done.returncode != 1:
        sys.exit(f"pip-audit ended with {done.returncode}:\n{done.stderr}")
    raise Away(reason)


def audited(packages: list[Locked], options: list[str]) -> Audit | str:
    """Return what is known of the packages, or why nothing is; what was found before the answers ended is not lost."""
    end_s, waiting = time.monotonic() + LONGEST_S, [*layers([CANARY]), *layers(packages)]
    answers: list[str] = []
    try:
        while waiting:
            answers.append(answer(waiting[0], options, end_s - time.monotonic()))
            del waiting[0]
            if isinstance(judged(answers), str):
                break  # by the canary alone: where there are no advisories, the long lists need not be asked for
    except Away as why:
        found = judged(answers)
        if isinstance(found, str) or not found.findings:
            return str(why)
        return replace(found, unknown=(*found.unknown, *(pin for pins in waiting for pin in pins)))
    return judged(answers)


def loudly(reason: str) -> str:
    """Return the notice that nothing was audited, in a frame that cannot be overlooked."""
    lines = [
        "NOTHING WAS AUDITED: no advisory service answers here.",
        "Whether a locked version has a known vulnerability is not known. Run `make audit` where there is one.",
        reason,
    ]
    framed = [f"#  {line[: WIDTH - 6]:<{WIDTH - 6}}  #" for line in lines]
    return "\n".join(["", "#" * WIDTH, *framed, "#" * WIDTH, ""])


def told(audit: Audit | str, pins: int, ignored: int) -> tuple[str, bool]:
    """Return what people are told, and whether all is well."""
    if isinstance(audit, str):
        return loudly(audit), True
    lines = [f"VULNERABLE: {finding.line()}" for finding in audit.findings]
    if lines:
        lines.append("raise the version (make lock), or say in requirements/audit.toml why it does no harm")
    if audit.unknown:
        lines.append(f"no answer for {len(audit.unknown)} packages: {', '.join(audit.unknown)}")
    vulnerable = len({(finding.name, finding.version) for finding in audit.findings})
    known = pins - len(audit.unknown)
    lines.append(f"audit: {known} locked versions, {vulnerable} vulnerable, {ignored} advisories ignored")
    return "\n".join(lines), not audit.findings


def main() -> None:
    """Audit the lock."""
    parser = argparse.ArgumentParser(prog="python -m requirements.audit", description=__doc__, allow_abbrev=False)
    parser.add_argument("--lock", type=Path, default=LOCK)
    parser.add_argument("--ignored", type=Path, default=IGNORED)
    given, options = parser.parse_known_args()
    today = datetime.datetime.now(datetime.UTC).date()
    ignored = in_force(tomllib.loads(given.ignored.read_text()), today)
    options += [f"--ignore-vuln={one}" for one in ignored]
    packages = read(given.lock)
    text, well = told(audited(packages, options), len(packages), len(ignored))
    print(text, file=sys.stdout if well else sys.stderr)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
