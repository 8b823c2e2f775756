"""How a decision is said: a line for people, or a JSON object. Values in, text out."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean

from cloud_worker.autoscale.decide import Decision, Look


@dataclass(frozen=True)
class Done:
    """What came of a change: those made or stopped, and what kept it from being whole."""

    names: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Report:
    """One look, what was decided, and what came of it."""

    at_s: float
    """Seconds since 1970."""
    look: Look | None = None
    decision: Decision | None = None
    made: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    is_dry: bool = False
    error: str | None = None


def as_text(report: Report) -> str:
    """Return a line such as `12:00:05  1 -> 2  frames wait 913 ms, over the target of 200 ms; made …`."""
    at = time.strftime("%H:%M:%S", time.localtime(report.at_s))
    decision = report.decision
    if decision is None:
        return f"{at}  ?       {report.error}"
    change = decision.wanted - decision.workers
    numbers = f"{decision.workers} -> {decision.wanted}" if change else f"{decision.workers}"
    said = [decision.why]
    if report.is_dry and change:
        said.append(f"would {'make' if change > 0 else 'stop'} {abs(change)}")
    said += [f"made {', '.join(report.made)}"] if report.made else []
    said += [f"stopped {', '.join(report.stopped)}"] if report.stopped else []
    said += [f"failed: {report.error}"] if report.error else []
    return f"{at}  {numbers:<6}  {'; '.join(said)}"


def as_json(report: Report, project: str, service: str) -> str:
    """Return the same as a JSON object; all keys are always there."""
    look, decision = report.look, report.decision
    waiting_s = None if look is None else look.waiting_s
    said = {
        "time": datetime.fromtimestamp(report.at_s, UTC).isoformat(timespec="milliseconds"),
        "project": project,
        "service": service,
        "workers": decision and decision.workers,
        "wanted": decision and decision.wanted,
        "rule": decision and decision.rule,
        "why": decision and decision.why,
        "waiting_s": None if waiting_s is None else round(waiting_s, 4),
        "busy": round(fmean(look.busy), 3) if look is not None and look.busy else None,
        "made": report.made,
        "stopped": report.stopped,
        "dry_run": report.is_dry,
        "error": report.error,
    }
    return json.dumps(said, ensure_ascii=False)
