"""What is wanted of a way: what counts, what it may cost, and what it must not break."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from planning.decide import Method

if TYPE_CHECKING:
    from planning.decide import Limits, Rates


@dataclass(frozen=True, kw_only=True)
class Charged:
    """A price book, and the names in it."""

    prices: str | None = None
    """A price book: a name of `headwater prices`, or a file."""
    device: str | None = None
    """The device's name in the price book; its first when left out."""
    server: str | None = None
    """The worker's server in the price book; its first when left out."""
    messages: str | None = None
    """The broker's name in the price book; messages cost nothing when left out."""
    transfer: str | None = None
    """What leaves the cloud, in the price book: results cost nothing when left out."""


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """Prices, weight and limits, as `headwater plan` and `headwater edge` are told them."""

    charged: Annotated[Charged, Parameter(name="*")] = field(default_factory=Charged)
    """What a frame is charged for."""
    weight: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = 0.5
    """0: the fastest, 1: the cheapest."""
    method: Method = "optimum"
    """The least weighted sum, or the rank match of papers/001."""
    frame_bytes: str | None = None
    """The most that a mean frame may weigh."""
    deadline: str | None = None
    """The longest that a mean frame may take, such as 200ms."""
    accuracy: str | None = None
    """The least share of right answers of each task, such as 90%, by the bundle's own figures; what nobody measured
    does not pass."""
    leak: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1))] = None
    """The largest SSIM with which pictures were rebuilt from what travels (headwater models privacy)."""
    energy: str | None = None
    """The most that the device may spend on a mean frame, such as 50mJ; needs watts in the price book."""
    keep_pictures: bool = False
    """No picture leaves the device."""


def rates_wanted(asked: Charged) -> Rates:
    """Return what a frame is charged for. Raises: SettingsError, PlanError."""
    from headwater.errors import SettingsError
    from planning.decide import Rates, rates_of
    from planning.prices import load_book

    names = {name: getattr(asked, name) for name in ("device", "server", "messages", "transfer")}
    if asked.prices is not None:
        return rates_of(load_book(asked.prices), **names)
    given = [name for name, value in names.items() if value is not None]
    if given:
        raise SettingsError(f"--{given[0]} names something in a price book, and none is given; add --prices BOOK")
    return Rates()


def limits_wanted(asked: Preferences) -> Limits:
    """Return what no way may break. Raises: SettingsError."""
    from headwater.quantities import joules, seconds, share, size_bytes
    from planning.decide import Limits

    return Limits(
        frame_bytes=None if asked.frame_bytes is None else size_bytes("frame-bytes", asked.frame_bytes),
        deadline_s=None if asked.deadline is None else seconds("deadline", asked.deadline),
        accuracy_at_least=None if asked.accuracy is None else share("accuracy", asked.accuracy),
        leak_ssim_at_most=asked.leak,
        energy_j_at_most=None if asked.energy is None else joules("energy", asked.energy),
        keeps_pictures=asked.keep_pictures,
    )
