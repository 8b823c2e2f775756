"""What drills show, as table, CSV and plot."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from evaluation.adaptation import AUTO, Drill, Move, Run, Runs, Verdict, phase_s
from headwater.plots import new_figure, save_svg

GOAL_S: Final = 5.0
"""The split is to move within this time …"""
GOAL_FRAMES: Final = 10
"""… or so many frames, …"""
GOAL_SHARE: Final = 0.1
"""… and the mean latency to stay within this share of always-best in hindsight."""


def rows(found: Sequence[Runs]) -> list[dict[str, Any]]:
    """Return one entry per drill, split and phase."""
    return [_row(runs, number) for runs in found for number in range(len(runs[0].drill.phases))]


def _row(runs: Runs, number: int) -> dict[str, Any]:
    drill, phase = runs[0].drill, runs[0].drill.phases[number]
    frames = [one for run in runs for one in run.phase(number)]
    rounds = [_ms(phase_s([run], number)) for run in runs]
    p50, p95 = np.percentile([one.latency_s for one in frames], [50, 95]) if frames else (math.inf, math.inf)
    ways = Counter(one.way for one in frames).most_common(4)
    return {
        "drill": drill.name,
        "split": runs[0].split,
        "phase": number + 1,
        "mbit_per_s": phase.bandwidth_bits_per_s / 1e6,
        "core": phase.share,
        "frames": len(frames),
        "mean_ms": _ms(phase_s(runs, number)),
        "p50_ms": _ms(float(p50)),
        "p95_ms": _ms(float(p95)),
        "rounds_mean_ms": rounds,
        "ways": "; ".join(f"{way} {times}" for way, times in ways),
        "lost": sum(run.lost for run in runs),
    }


def _ms(seconds: float) -> float | None:
    """Return milliseconds; None for what was never measured."""
    return round(seconds * 1e3, 1) if math.isfinite(seconds) else None


def lines(found: Verdict) -> list[str]:
    """Return what a drill shows, each with what was aimed at."""
    drill = found.drill
    when = "; ".join(map(_when, found.moves))
    soon = all(one is not None and (one.after_s <= GOAL_S or one.after_frames <= GOAL_FRAMES) for one in found.moves)
    beaten = found.auto_s < found.best_fixed_s < math.inf
    return [
        f"{drill.name}: {when} (aim: 5 s or 10 frames: {_met(met=soon)})",
        f"  mean latency {found.auto_s * 1e3:.1f} ms, {found.over_hindsight:+.1%} against the best of each phase in "
        f"hindsight, {found.hindsight_s * 1e3:.1f} ms (aim: +10 %: {_met(met=found.over_hindsight <= GOAL_SHARE)})",
        f"  the best fixed split, {found.best_fixed}: {found.best_fixed_s * 1e3:.1f} ms "
        f"(aim: below it: {_met(met=beaten)}); frames lost: {found.lost}",
    ]


def _when(moved: Move | None) -> str:
    if moved is None:
        return "it never moved"
    return f"moved to {moved.way} after {moved.after_s:.1f} s, {moved.after_frames} frames"


def _met(*, met: bool) -> str:
    return "met" if met else "MISSED"


def draw(path: Path, by_drill: Mapping[Drill, Mapping[str, Runs]]) -> None:
    """Draw the first round of each drill: auto's frames in the colours of their ways, the fixed splits' medians."""
    title = "Where the device computes when its surroundings change (first round)"
    figure, axes = new_figure(len(by_drill), title, columns=1, panel=(9.0, 4.2))
    for axis, (drill, by_split) in zip(axes, by_drill.items(), strict=True):
        runs = {split: rounds[0] for split, rounds in by_split.items()}
        fixed = {split: run for split, run in runs.items() if split != AUTO}
        taken = dict.fromkeys(one.way for one in runs[AUTO].frames)
        colours = {way: f"C{number % 10}" for number, way in enumerate(dict.fromkeys([*fixed, *taken]))}
        for split, run in fixed.items():
            _draw_fixed(axis, run, colours[split])
        for way in taken:
            own = [one for one in runs[AUTO].frames if one.way == way]
            times, latencies = [one.captured_s for one in own], [one.latency_s * 1e3 for one in own]
            axis.scatter(times, latencies, s=14, color=colours[way], label=f"auto: {way}")
        axis.axvline(runs[AUTO].phase_s, color="black", linewidth=0.8)
        phases = ", then ".join(_phase(phase.bandwidth_bits_per_s, phase.share) for phase in drill.phases)
        axis.set_title(f"{drill.name}: {phases}")
        axis.set_yscale("log")
        axis.set_xlabel("seconds")
        axis.set_ylabel("capture to stored, ms")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, ncols=2)
    save_svg(figure, path)


def _draw_fixed(axis: Any, run: Run, colour: str) -> None:
    """Draw the median of every nine frames of a fixed split."""
    groups = [run.frames[place : place + 9] for place in range(0, len(run.frames), 9)]
    times = [statistics.fmean(one.captured_s for one in group) for group in groups]
    axis.plot(times, [statistics.median(one.latency_s for one in group) * 1e3 for group in groups], linewidth=1,
              alpha=0.7, color=colour, label=f"always {run.split}")  # fmt: skip


def _phase(bandwidth_bits_per_s: float, share: float) -> str:
    return f"{bandwidth_bits_per_s / 1e6:g} Mbit/s and {share:g} of a core"
