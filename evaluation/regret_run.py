"""Measure what is missing of `headwater evaluate regret`, then ask the predictors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from edge.plan_predictors import profiled_rows, works_by_place
from evaluation.regret import CLOCK_GHZ, Guess, Setting, Tried, fit_law, guess, predictors
from evaluation.regret_bench import LONG_S, RUN_S, Bench, Net
from evaluation.regret_records import Records
from models.bundle import Bundle
from models.profile import Progress
from planning.decide import Rates
from planning.operator_times import fit_operator_times

Bar = Callable[[str], AbstractContextManager[Progress]]


def measure(records: Records, bundles: Mapping[str, Bundle], bar: Bar, say: Callable[[str], None]) -> None:
    """Measure every way of every network that is not among the records yet. Raises: SettingsError, MissingPart."""
    for name, bundle in bundles.items():
        records.check(name, bundle.digest)
    if records.is_complete(list(bundles)):
        return
    folders: list[Path] = [bundle.folder for bundle in bundles.values()]
    order, known = records.known.order, records.known
    with Bench(folders, order.runs) as bench:
        if not known.conditions:
            known.conditions = [bench.conditions(setting, order.share) for setting in known.settings]
            records.keep()
        for name, bundle in bundles.items():
            net = Net(name, bundle)
            if name not in known.tried:
                with bar(f"trying {name}") as progress:
                    known.tried[name] = bench.try_out(net, order.share, progress)
                records.keep()
            _measure_net(records, bench, net, bar, say)


def _measure_net(records: Records, bench: Bench, net: Net, bar: Bar, say: Callable[[str], None]) -> None:
    order, tried = records.known.order, records.known.tried[net.name]
    missing = [records.missing(net.name, place) for place in range(len(tried.ways))]
    total, done = len(tried.ways) * order.settings, 0
    left_s = expected_s(tried, missing, order.runs, order.share)
    done = total - sum(map(len, missing))
    say(f"{net.name}: {total - done} of {total} to measure, about {timedelta(seconds=round(left_s))}")
    with bar(f"measuring {net.name}") as progress:
        for place, settings in enumerate(missing):
            for row in bench.measure(net, place, settings, order.share) if settings else ():
                records.add(row)
                done += 1
                progress(done, total)


def expected_s(tried: Tried, missing: Sequence[Sequence[Setting]], runs: int, share: float) -> float:
    """Return how long it will take to measure these settings at each place."""
    whole_s = 0.0
    for way, settings in zip(tried.ways, missing, strict=True):
        size = way.finished_bytes if way.finishes else way.payload_bytes
        for setting in settings:
            head_s = (way.crop_s + way.head_s + way.encode_s) * CLOCK_GHZ / setting.clock_ghz / share
            travel_s = size * 8 / setting.bandwidth_bits_per_s
            whole_s += runs * max(RUN_S, head_s)
            whole_s += travel_s if travel_s > LONG_S else 1.5 * max(RUN_S, runs * travel_s)  # some waits between them
    return whole_s


def ask(
    records: Records, bundles: Mapping[str, Bundle], others: Sequence[Bundle], rates: Rates, bar: Bar
) -> list[Guess]:
    """Return what each predictor says of each network in each setting.

    The rates by operator are fitted on the other networks and `others`, never on another file of the same network.
    """
    tried = [records.known.tried[name] for name in bundles]
    law = fit_law(tried)
    everyone = {one.name: one for one in (*others, *bundles.values())}
    with bar("profiling by operators") as progress:
        rows = {name: profiled_rows(one, 1, progress) for name, one in everyone.items()}
    guesses: list[Guess] = []
    for one in tried:
        bundle = bundles[one.net]
        strangers = [found for name, found in rows.items() if name.split("-")[0] != one.net]
        times = fit_operator_times([row for found in strangers for row in found])
        known = predictors(one, law, records.known.order.share, times, *works_by_place(bundle))
        guesses += [
            guess(one, name, predictor, setting.number, at, records.of(one.net, setting.number), rates)
            for setting, at in zip(records.known.settings, records.known.conditions, strict=True)
            for name, predictor in known.items()
        ]
    return guesses
