"""Regret and trade as tables, sentences and plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from evaluation.regret import DOCUMENT, Guess, Setting, Summary, summary
from evaluation.regret_trade import CHOOSERS, Point, beaten
from evaluation.regret_trade import DOCUMENT as TRADE_DOCUMENT
from planning.decide import Rates
from planning.predictors import PREDICTORS

TITLES: Final = {"profile": "measured profile", "linear": "papers/001", "operators": "by operator"}


def summaries(guesses: Sequence[Guess]) -> list[Summary]:
    """Return a summary for each network and predictor."""
    nets = list(dict.fromkeys(one.net for one in guesses))
    return [
        summary([one for one in guesses if (one.net, one.predictor) == (net, name)])
        for net in nets
        for name in PREDICTORS
    ]


def summary_rows(found: Sequence[Summary]) -> list[dict[str, str]]:
    """Return a row for each network and predictor, percent but for the counts."""
    return [
        {
            "network": one.net,
            "predictor": TITLES[one.predictor],
            "settings": str(one.settings),
            "ways": str(one.ways),
            "mean regret %": f"{100 * one.mean_regret:.2f}",
            "worst regret %": f"{100 * one.worst_regret:.2f}",
            **{f"top {most} %": f"{100 * share:.0f}" for most, share in one.top.items()},
            "head error %": f"{100 * one.head_error:.1f}",
            "document's regret %": f"{DOCUMENT[one.net]:.2f}" if one.predictor == "linear" else "",
        }
        for one in found
    ]


def way_rows(guesses: Sequence[Guess], settings: Sequence[Setting], rates: Rates) -> list[dict[str, Any]]:
    """Return a row for each way of each network in each setting: measured, and predicted by each."""
    of = {(one.net, one.setting, one.predictor): one for one in guesses}
    rows: list[dict[str, Any]] = []
    for first in (one for one in guesses if one.predictor == PREDICTORS[0]):
        setting = next(one for one in settings if one.number == first.setting)
        said = {name: of[first.net, first.setting, name] for name in PREDICTORS}
        for place, ran in enumerate(first.ran):
            rows.append(
                {
                    "setting": setting.number,
                    "Mbit/s": f"{setting.bandwidth_bits_per_s / 1e6:g}",
                    "GHz": f"{setting.clock_ghz:g}",
                    "network": first.net,
                    "split": ran.split,
                    "bytes": ran.bytes,
                    "head ms": _ms(ran.head_s),
                    "encode ms": _ms(ran.encode_s),
                    "trip ms": _ms(ran.trip_s),
                    "tail ms": _ms(ran.tail_s),
                    "total ms": _ms(ran.total_s),
                    "USD a million": f"{ran.cost(rates) * 1e6:.4g}",
                    **{f"{TITLES[name]}: ms": _ms(one.latency_s[place]) for name, one in said.items()},
                    **{f"{TITLES[name]}: chosen": int(one.fastest == place) for name, one in said.items()},
                }
            )
    return rows


def trade_rows(points: Sequence[Point]) -> list[dict[str, str]]:
    """Return a row for each network, way to choose and weight, with who beats it."""
    winners = {id(one): winner for one, winner in beaten(points)}
    return [
        {
            "network": one.net,
            "chosen by": one.chooser,
            "weight": f"{one.weight:g}",
            "latency %": f"{100 * (one.latency - 1):+.2f}",
            "cost %": f"{100 * (one.cost - 1):+.2f}",
            "beaten by": f"{two.chooser} at {two.weight:g}" if (two := winners.get(id(one))) else "",
        }
        for one in points
    ]


def trade_lines(points: Sequence[Point]) -> Iterator[str]:
    """Return a line for each network: both ways to choose at weight 0.5, and which points are beaten."""
    beats = beaten(points)
    for net in dict.fromkeys(one.net for one in points):
        halves = {one.chooser: one for one in points if one.net == net and one.weight == 0.5}
        said = "; ".join(
            f"{name} cost {100 * (one.cost - 1):+.1f} %, latency {100 * (one.latency - 1):+.1f} %"
            for name, one in halves.items()
        )
        beside = ""
        if net in TRADE_DOCUMENT:
            latency, cost = TRADE_DOCUMENT[net]
            beside = f" (printed: cost {100 * (cost - 1):+.2f} %, latency {100 * (latency - 1):+.2f} %)"
        lost = {
            name: [f"{one.weight:g}" for one, _ in beats if (one.net, one.chooser) == (net, name)] for name in CHOOSERS
        }
        verdict = "; ".join(
            f"{name} is beaten at weight {', '.join(weights)}" if weights else f"{name} is never beaten"
            for name, weights in lost.items()
        )
        yield f"{net}, rented, weight 0.5 against the fastest: {said}{beside}; {verdict}"


def draw_regret(path: Path, guesses: Sequence[Guess]) -> None:
    """Draw every setting's regret by predictor, with the mean, and the document's mean as a line."""
    from headwater.plots import new_figure, save_svg

    nets = list(dict.fromkeys(one.net for one in guesses))
    figure, panels = new_figure(len(nets), "Regret of the chosen way, by what was measured", (4.2, 3.6))
    for axes, net in zip(panels, nets, strict=True):
        for place, name in enumerate(PREDICTORS):
            values = [100 * one.regret for one in guesses if (one.net, one.predictor) == (net, name)]
            spread = [place + 0.3 * (number / max(1, len(values) - 1) - 0.5) for number in range(len(values))]
            axes.plot(spread, values, "o", alpha=0.5, color=f"C{place}")
            axes.plot([place - 0.25, place + 0.25], [sum(values) / len(values)] * 2, color=f"C{place}", linewidth=2)
        axes.axhline(DOCUMENT[net], color="black", linestyle="--", linewidth=1, label="mean in papers/001")
        axes.set_xticks(range(len(PREDICTORS)), [TITLES[name] for name in PREDICTORS])
        axes.set(title=net, ylabel="regret, %")
        axes.grid(axis="y", alpha=0.3)
        axes.legend(fontsize=8)
    save_svg(figure, path)


def draw_trade(path: Path, points: Sequence[Point]) -> None:
    """Draw cost over latency as the weight goes from 0 to 1, weight 0.5 filled, the document's figure as a cross."""
    from headwater.plots import new_figure, save_svg

    nets = list(dict.fromkeys(one.net for one in points))
    figure, panels = new_figure(len(nets), "Cost over latency, device rented; means over the settings", (4.2, 3.6))
    for axes, net in zip(panels, nets, strict=True):
        for number, name in enumerate(CHOOSERS):
            mine = [one for one in points if (one.net, one.chooser) == (net, name)]
            across, up = [100 * (one.latency - 1) for one in mine], [100 * (one.cost - 1) for one in mine]
            axes.plot(across, up, "o-", color=f"C{number}", fillstyle="none", label=name)
            half = next(place for place, one in enumerate(mine) if one.weight == 0.5)
            axes.plot(across[half], up[half], "o", color=f"C{number}")
        if net in TRADE_DOCUMENT:
            latency, cost = TRADE_DOCUMENT[net]
            axes.plot(100 * (latency - 1), 100 * (cost - 1), "kx", label="printed in papers/001")
        axes.set(title=net, xlabel="latency over the fastest, %", ylabel="cost over the fastest's, %")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save_svg(figure, path)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4f}"
