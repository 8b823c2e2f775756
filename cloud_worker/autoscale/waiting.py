"""How long frames wait and how busy workers are, from what they tell at /metrics. Text in, a `Look` out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from cloud_worker.autoscale.decide import Look

SILENT_S: Final = 15.0
"""A worker that does not answer for longer may be stuck, not only slow."""
_WAITS: Final = ("inbox", "batch")
"""The stages in which a frame waits at a worker: for being taken, and for the other frames of its batch."""


@dataclass(frozen=True)
class Told:
    """What one worker process has told: sums since its start, and how it is now."""

    frames: float
    """Frames finished."""
    waited_s: float
    """How long they waited, all together."""
    busy_s: float
    oldest_s: float = 0.0
    """How long the oldest frame in the inbox has waited."""
    is_connected: bool = True
    """To its broker."""
    has_store: bool = True


@dataclass(frozen=True)
class Heard:
    """What a worker, all its processes, told when it was last heard."""

    at_s: float
    told: tuple[Told, ...]


def told(exposition: str) -> Told | None:
    """Return what a process tells in Prometheus's text format; None where that is no worker of this version."""
    found: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                found[" ".join([sample.name.removeprefix("headwater_worker_"), *sample.labels.values()])] = sample.value
        return Told(
            found.get("stage_seconds_count inbox", 0.0),
            sum(found.get(f"stage_seconds_sum {stage}", 0.0) for stage in _WAITS),
            found["busy_seconds_total"],
            found["inbox_oldest_seconds"],
            found["connected"] > 0,
            found["store_up"] > 0,
        )
    except (KeyError, ValueError):
        return None


def looked(
    at_s: float, answers: Mapping[str, Sequence[Told]], heard: Mapping[str, Heard]
) -> tuple[Look, dict[str, Heard]]:
    """Return the workers as they are now, and what to remember of them for the next look.

    `answers` has every worker that runs by its name, with what each of its processes told: nothing, where it is just
    starting or does not answer. One that told before and is silent for `SILENT_S` may be stuck: its frames wait since.
    """
    waits_s: list[float] = []
    busy: list[float] = []
    remembered: dict[str, Heard] = {}
    of_all: list[Told] = []
    for name, said in answers.items():
        before = heard.get(name)
        if said:
            remembered[name] = Heard(at_s, tuple(said))
            since = _since(said, before)
            waits_s.append(fmean(max(now.oldest_s, mean_wait_s(one)) for now, one in zip(said, since, strict=True)))
            if before is not None and at_s > before.at_s and len(before.told) == len(said):
                busy.append(min(1.0, fmean(one.busy_s for one in since) / (at_s - before.at_s)))
                of_all += since
        elif before is not None:
            remembered[name] = before
            waits_s += [at_s - before.at_s] if at_s - before.at_s > SILENT_S else []
    return Look(at_s, len(answers), tuple(waits_s), tuple(busy), mean_frame_s(of_all), _trouble(answers)), remembered


def mean_wait_s(since: Told) -> float:
    """Return how long the frames finished in some time waited; nothing where none was."""
    return since.waited_s / since.frames if since.frames else 0.0


def mean_frame_s(since: Sequence[Told]) -> float:
    """Return how long one of the frames finished in some time kept its worker busy; nothing where none was."""
    frames = sum(one.frames for one in since)
    return sum(one.busy_s for one in since) / frames if frames else 0.0


def _since(said: Sequence[Told], before: Heard | None) -> list[Told]:
    """Return what has been added to the sums since the last time; nothing where that cannot be known."""
    if before is None or len(before.told) != len(said):
        return [Told(0.0, 0.0, 0.0) for _ in said]
    return [_added(one, earlier) for one, earlier in zip(said, before.told, strict=True)]


def _added(now: Told, before: Told) -> Told:
    """Return the difference of the sums; those of a process that began anew since then count from nought."""
    if now.frames < before.frames or now.waited_s < before.waited_s or now.busy_s < before.busy_s:
        return now
    return Told(now.frames - before.frames, now.waited_s - before.waited_s, now.busy_s - before.busy_s)


def _trouble(answers: Mapping[str, Sequence[Told]]) -> str:
    """Return what all workers that tell lack."""
    said = [one for told in answers.values() for one in told]
    if said and not any(one.has_store for one in said):
        return "the store is away"
    if said and not any(one.is_connected for one in said):
        return "the broker is away"
    return ""
