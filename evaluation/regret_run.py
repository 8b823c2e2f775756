"""Measure what is missing of `headwater evaluate regret`, then ask the predictors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from edge.plan_predictors import profiled_rows, works_by_place
from evaluation.line import LONG_S, REPEAT_S
from evaluation.regret import CLOCK_GHZ, Guess, Setting, Tried, fit_law, guess, predictors
from evaluation.regret_bench import RUN_S, Bench, Net
from evaluation.regret_records import Records
from models.bundle import Bundle
from models.profile import Progress
from planning.decide import Rates
from planning.operator_times import OperatorTimes, fit_operator_times

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
        for name in (name for name in bundles if name not in known.tried):
            with bar(f"trying {name}") as progress:
                known.tried[name] = bench.try_out(Net(name, bundles[name]), order.share, progress)
            records.keep()
        missing = {name: records.missing_of(name) for name in bundles}
        left_s = {name: expected_s(known.tried[name], one, order.runs, order.share) for name, one in missing.items()}
        said = ", ".join(f"{name} {timedelta(seconds=round(each))}" for name, each in left_s.items())
        say(f"{sum(len(one) for found in missing.values() for one in found)} to measure, in about {said}")
        for name, found in missing.items():
            if any(found):
                with bar(f"measuring {name}") as progress:
                    _measure_net(records, bench, Net(name, bundles[name]), found, progress)


def _measure_net(
    records: Records, bench: Bench, net: Net, missing: Sequence[Sequence[Setting]], progress: Progress
) -> None:
    done, total = 0, sum(map(len, missing))
    for place, settings in enumerate(missing):
        for row in bench.measure(net, place, settings, records.known.order.share) if settings else ():
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
            short_s = 1.5 * max(REPEAT_S, runs * travel_s)  # with the waits between them
            whole_s += travel_s if travel_s > LONG_S else short_s
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
    guesses: list[Guess] = []
    for one in tried:
        bundle = bundles[one.net]
        times = _rates(records, one.net, everyone, bar)
        known = predictors(one, law, records.known.order.share, times, *works_by_place(bundle))
        guesses += [
            guess(one, name, predictor, setting.number, at, records.of(one.net, setting.number), rates)
            for setting, at in zip(records.known.settings, records.known.conditions, strict=True)
            for name, predictor in known.items()
        ]
    return guesses


def _rates(records: Records, net: str, everyone: Mapping[str, Bundle], bar: Bar) -> OperatorTimes:
    """Return the rates by operator for a network from all others, which are profiled where they are not known."""
    strangers = {name: one for name, one in everyone.items() if name.split("-")[0] != net}
    key = f"{net} from {', '.join(strangers)}"
    if key not in records.known.rates:
        with bar("profiling by operators") as progress:
            rows = [row for one in strangers.values() for row in profiled_rows(one, 1, progress)]
        records.known.rates[key] = fit_operator_times(rows)
        records.keep()
    return records.known.rates[key]
