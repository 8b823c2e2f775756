"""One decision: what is allowed, what is chosen of it, and why each of the others lost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from planning.choose import pareto_front, rank_match, weighted_best
from planning.errors import PlanError
from planning.money import energy_j
from planning.prices import J_PER_KWH, S_PER_HOUR, Messages, PriceBook
from planning.ways import Conditions, Journey, Way, journey

Method = Literal["optimum", "rank-match"]
METHODS: Final[Mapping[str, Callable[[Sequence[float], Sequence[float], float], int]]] = {
    "optimum": weighted_best,
    "rank-match": rank_match,
}


FULL: Final = 0.9
"""The share of its time that a device or a link may be busy: above it frames queue."""


@dataclass(frozen=True)
class Rates:
    """What a frame is charged for, in one currency."""

    currency: str = "USD"
    device_per_s: float = 0.0
    """While it computes: rent and power. What is bought is paid whether it computes or not, and decides nothing."""
    worker_per_s: float = 0.0
    messages: Messages | None = None
    transfer_per_byte: float = 0.0
    """Of what leaves the cloud: the results."""
    watts: float = 0.0
    """Of the device while it computes; 0 where nobody knows."""
    names: tuple[str, ...] = ()
    """Of what is charged, as in the price book."""

    def frame(self, way: Way, found: Journey) -> float:
        """Return what the mean frame of a way costs; its result weighs what finished predictions do."""
        computed = found.device_s * self.device_per_s + found.worker_s * self.worker_per_s
        return computed + self._sent(way) + way.finished_bytes * self.transfer_per_byte

    def _sent(self, way: Way) -> float:
        """Return the fees of the frame's message and of its result's, which are metered in whole pieces."""
        if self.messages is None:
            return 0.0
        finished = self.messages.message(way.finished_bytes)
        return way.sends * self.messages.message(way.payload_bytes) + (1 - way.sends) * finished + finished


def rates_of(
    book: PriceBook, device: str | None, server: str | None, messages: str | None = None, transfer: str | None = None
) -> Rates:
    """Return what a frame is charged for by a price book; without a name, by its first device and server.

    Raises: PlanError for a name that is not in the book.
    """
    one, rented, sent = book.device(device), book.server(server), book.transfer(transfer)
    watts = one[1].watts if one else 0.0
    named = [name for name, _ in (found for found in (one, rented) if found)]
    return Rates(
        book.currency,
        (one[1].per_hour / S_PER_HOUR if one else 0.0) + watts * book.per_kwh / J_PER_KWH,
        rented[1].month(book.hours_per_month) / book.hours_per_month / S_PER_HOUR if rented else 0.0,
        book.broker(messages),
        sent.per_gb / 1e9 if sent else 0.0,
        watts,
        (*named, *(name for name in (messages, transfer) if name)),
    )


@dataclass(frozen=True)
class Limits:
    """What no chosen way may break."""

    message_bytes: float | None = None
    """The longest message that a device may publish."""
    frame_bytes: float | None = None
    """Of the mean frame."""
    deadline_s: float | None = None
    accuracy_at_least: float | None = None
    leak_ssim_at_most: float | None = None
    energy_j_at_most: float | None = None
    """Of the device, for one frame."""
    keeps_pictures: bool = False
    """No picture leaves the device."""


@dataclass(frozen=True)
class Judged:
    """One way, what it is predicted to take and cost, and why it was not chosen; no reason for the one that was."""

    way: Way
    journey: Journey
    cost: float
    energy_j: float
    reason: str | None
    is_allowed: bool
    is_on_front: bool


def decide(
    ways: Sequence[Way],
    at: Conditions,
    rates: Rates,
    weight: float,
    limits: Limits | None = None,
    method: Method = "optimum",
) -> list[Judged]:
    """Return every way judged, in the order given; exactly one of them has no reason against it.

    `weight` 0 asks for the fastest, 1 for the cheapest. Raises: PlanError where the limits allow none.
    """
    limits, taken = limits or Limits(), [journey(way, at) for way in ways]
    check_limits(limits, rates)
    costs = [rates.frame(way, one) for way, one in zip(ways, taken, strict=True)]
    energies = [energy_j(rates.watts, one.device_s) for one in taken]
    broken = [
        _broken(way, one, energy, limits) or _behind(one, at)
        for way, one, energy in zip(ways, taken, energies, strict=True)
    ]
    allowed = [place for place, reason in enumerate(broken) if reason is None]
    if not allowed:
        raise _nothing_left(ways, taken, broken)
    seconds, money = [taken[place].total_s for place in allowed], [costs[place] for place in allowed]
    best = allowed[METHODS[method](seconds, money, weight)]
    front = {allowed[place] for place in pareto_front(seconds, money)}
    return [
        Judged(
            way,
            taken[place],
            costs[place],
            energies[place],
            None if place == best else broken[place] or _lost(place, best, taken, costs, front),
            broken[place] is None,
            place in front,
        )
        for place, way in enumerate(ways)
    ]


def check_limits(limits: Limits, rates: Rates) -> None:
    """Pass where every limit can be judged. Raises: PlanError."""
    if limits.energy_j_at_most is not None and not rates.watts:
        raise PlanError("a limit of energy is set and the device's watts are not known; name a device that has some")


def chosen(judged: Sequence[Judged]) -> Judged:
    """Return the one that was chosen."""
    return next(one for one in judged if one.reason is None)


def _broken(way: Way, found: Journey, energy: float, limits: Limits) -> str | None:
    """Return which limit a way breaks, with what it has and what is allowed; None if it keeps all."""
    largest = max(way.finished_bytes, way.largest_bytes)
    checks: list[tuple[str, float, float | None, Callable[[float], str]]] = [
        ("a message has", largest, limits.message_bytes, _bytes),
        ("its mean frame has", found.payload_bytes, limits.frame_bytes, _bytes),
        ("it takes", found.total_s, limits.deadline_s, _ms),
        ("it takes the device", energy, limits.energy_j_at_most, _joules),
    ]
    for words, got, most, shown in checks:
        if most is not None and got > most:
            return f"{words} {shown(got)}, over {shown(most)}"
    if limits.keeps_pictures and way.shows_picture:
        return "the picture would leave the device"
    least = limits.accuracy_at_least
    if least is not None and (way.accuracy is None or way.accuracy < least):
        known = (
            "nobody measured its accuracy" if way.accuracy is None else f"{way.accuracy:.2%} of its answers are right"
        )
        return f"{known}, under {least:.2%}"
    most = limits.leak_ssim_at_most
    if most is not None and not way.finishes and (way.leak_ssim is None or way.leak_ssim > most):
        known = "nobody measured what it leaks" if way.leak_ssim is None else f"it leaks an SSIM of {way.leak_ssim:.3f}"
        return f"{known}, the limit is {most:.3f}"
    return None


def _behind(found: Journey, at: Conditions) -> str | None:
    """Return what cannot keep up with the pictures: before full load a queue grows already; None if all can."""
    on_the_link = found.payload_bytes * 8 * at.frames_per_s
    if on_the_link > FULL * at.bandwidth_bits_per_s:
        return f"the link would carry {_mbit(on_the_link)} of {_mbit(at.bandwidth_bits_per_s)}"
    if found.device_s * at.frames_per_s > FULL:
        return f"the device would be {found.device_s * at.frames_per_s:.0%} busy"
    return None


def _lost(place: int, best: int, taken: Sequence[Journey], costs: Sequence[float], front: set[int]) -> str:
    slower = taken[place].total_s - taken[best].total_s
    against = f"{_ms(abs(slower))} {'slower' if slower >= 0 else 'faster'}"
    if not any(costs):
        return against
    more = costs[place] - costs[best]
    shown = f"{abs(more) / costs[best]:.0%}" if costs[best] else f"{abs(more) * 1e6:,.3g} a million frames"
    against += f", {shown} {'dearer' if more >= 0 else 'cheaper'}"
    return against if place in front else f"{against}; another is no worse in either"


def _nothing_left(ways: Sequence[Way], taken: Sequence[Journey], broken: Sequence[str | None]) -> PlanError:
    if not ways:
        return PlanError("there is no way to choose from; give the bundle cut points, or allow the picture")
    nearest = sorted(range(len(ways)), key=lambda place: taken[place].total_s)[:3]
    tried = "; ".join(f"{ways[place].name}: {broken[place]}" for place in nearest)
    return PlanError(f"the limits allow none of the {len(ways)} ways (the fastest: {tried}); loosen a limit")


def _bytes(value: float) -> str:
    return f"{value:,.0f} B"


def _ms(value: float) -> str:
    return f"{value * 1e3:,.{0 if value >= 10 else 1 if value >= 0.1 else 2}f} ms"


def _mbit(value: float) -> str:
    return f"{value / 1e6:,.3g} Mbit/s"


def _joules(value: float) -> str:
    return f"{value:.4g} J"
