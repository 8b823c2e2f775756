"""What early exits do to accuracy and latency: the age and gender thesis's chapter 4 on a bundle of ours.

Source: thesis on age and gender estimation (papers/000), table 4.4 and figures 3.11, 3.12, 4.5 to 4.7; its
links, table 4.1 (means): to the edge site 34.5 Mbit/s and 24.16 ms there and back, from there to the cloud 1356 Mbit/s
and 6.636 ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from headwater.codec import Codec, encode_tensor
from models.answers import NOBODY_LEAVES, Answers, Outcome, Thresholds, outcome
from models.bundle import Bundle
from models.engine import DEVICE, Engine, Part
from models.exits import ExitRule
from models.judge import one_rule, temperatures_of
from models.pictures import encode_jpeg, to_input
from models.profile import median_ms
from models.stages import StagedHead

PLAIN: Final = "plain split, no exits"
OWN: Final = "calibrated thresholds"
BY_HAND: Final = "entropy 0.6 / 0.8 by hand"
THESIS_THRESHOLDS: Final[Mapping[str, float]] = {"gender": 0.6, "age-group": 0.8}
"""In nats, at both exits. Source: papers/000, section 3.5.3."""


class Link(NamedTuple):
    """A way for bytes, without any variance."""

    bits_per_s: float
    round_trip_s: float

    def ms(self, payload_bytes: float) -> float:
        """Return the milliseconds that so many bytes take: at the bandwidth, and one round trip."""
        return 1000 * (payload_bytes * 8 / self.bits_per_s + self.round_trip_s)


TO_EDGE_SITE: Final = Link(34.5e6, 24.16e-3)
TO_CLOUD: Final = Link(1356e6, 6.636e-3)
"""Of the document's edge site, where it runs the head, to its cloud."""
_NEVER: Final = -1.0
Opened = frozenset[str]
"""The exits that are asked."""


@dataclass(frozen=True)
class Stages:
    """Measured milliseconds of one split, and the bytes that travel there."""

    split: str
    reached: Mapping[Opened, tuple[float, ...]]
    """By the exits that are asked: the milliseconds until each one's answer, and until the split."""
    tail: float
    payload_bytes: float
    """Mean over pictures; 0 where nothing has to travel."""
    picture_bytes: float
    """Of the network's picture as JPEG, mean over pictures."""

    def mean(self, shares: Mapping[str, float], opened: Opened, link: Link) -> float:
        """Return the mean milliseconds when these shares leave at the exits asked, in order, and the rest goes on."""
        early = [share for name, share in shares.items() if name in opened]
        *exits, head = self.reached[opened]
        on_the_way = link.ms(self.payload_bytes) if self.split != DEVICE else 0.0
        return float(np.dot([*early, 1.0 - sum(early)], [*exits, head + on_the_way + self.tail]))


@dataclass(frozen=True)
class Row:
    """One setting of the thresholds on the same pictures."""

    setting: str
    found: Outcome
    mean_ms: float
    """With the head on the device, the document's mobile link behind it."""
    edge_site_ms: float
    """As in the document: the picture crosses that link, head and exits run behind it, the cloud is near."""


@dataclass(frozen=True)
class Measured:
    """Everything that the table and the figures show of one bundle."""

    bundle: Bundle
    answers: Answers
    """After the bundle's temperatures."""
    thresholds: Thresholds
    """The bundle's own."""
    rows: Sequence[Row]
    """The plain split, the bundle's own thresholds, and the thesis's for its tasks."""
    stages: Stages


def settings(bundle: Bundle) -> dict[str, Thresholds]:
    """Return the thresholds that are compared, by name; the thesis's where a bundle has its tasks."""
    found: dict[str, Thresholds] = {
        PLAIN: NOBODY_LEAVES,
        OWN: {one.name: one.thresholds for one in bundle.exits if one.thresholds},
    }
    if is_thesis(bundle):
        found[BY_HAND] = {one.name: THESIS_THRESHOLDS for one in bundle.exits}
    return found


def is_thesis(bundle: Bundle) -> bool:
    """Tell whether the classifications are those of the document."""
    return {task.name for task in bundle.tasks if task.kind == "classification"} == set(THESIS_THRESHOLDS)


def opened(bundle: Bundle, thresholds: Thresholds) -> Opened:
    """Return the exits that these thresholds ask."""
    tasks = {task.name for task in bundle.tasks if task.kind == "classification"}
    return frozenset(one.name for one in bundle.exits if tasks and tasks <= set(thresholds.get(one.name, {})))


def measured(bundle: Bundle, raw: Answers, stages: Stages) -> Measured:
    """Return what the exits of a bundle do; `raw` is what it says before any temperature."""
    answers, rule = raw.tempered(temperatures_of(bundle)), one_rule(bundle)
    rows = []
    for name, thresholds in settings(bundle).items():
        found = outcome(raw, thresholds, "entropy") if name == BY_HAND else outcome(answers, thresholds, rule)
        asked, shares = opened(bundle, thresholds), _by_name(answers, found)
        at_edge_site = TO_EDGE_SITE.ms(stages.picture_bytes) + stages.mean(shares, asked, TO_CLOUD)
        rows.append(Row(name, found, stages.mean(shares, asked, TO_EDGE_SITE), at_edge_site))
    return Measured(bundle, answers, settings(bundle)[OWN], rows, stages)


def _by_name(answers: Answers, found: Outcome) -> dict[str, float]:
    return {place.name: share for place, share in zip(answers.exits, found.shares[:-1], strict=True)}


def measure_stages(bundle: Bundle, split: str, pictures: Sequence[np.ndarray]) -> Stages:
    """Return the times of a split on this machine, one LiteRT thread, and the bytes of these pictures' activations.

    `pictures` are (height, width, 3) uint8 of the network's size.
    """
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    plain, wanted = StagedHead(engine, bundle, split, {}), bundle.input
    inputs = [to_input(p, plain.inputs[0], wanted.low, wanted.high, wanted.colour) for p in pictures]
    activations = [plain.run(one).values for one in inputs]
    asked = {opened(bundle, thresholds) for thresholds in settings(bundle).values()}
    return Stages(
        split=split,
        reached={names: _reached_ms(engine, bundle, split, names, inputs[0]) for names in asked},
        tail=_chain_ms([engine.tail(split)], activations[0][-1])[0] if split != DEVICE else 0.0,
        payload_bytes=_mean_bytes(plain, activations) if split != DEVICE else 0.0,
        picture_bytes=float(np.mean([len(encode_jpeg(picture)) for picture in pictures])),
    )


def _reached_ms(engine: Engine, bundle: Bundle, split: str, names: Opened, first: np.ndarray) -> tuple[float, ...]:
    never = {one.name: ExitRule("entropy", dict.fromkeys(one.outputs, _NEVER)) for one in bundle.exits}
    head = StagedHead(engine, bundle, split, {name: never[name] for name in names})
    times = [float(ms) for ms in np.cumsum(_chain_ms(head.parts, first))]
    return tuple(times) if len(times) > len(names) else (*times, times[-1])  # an exit right at the split


def _mean_bytes(head: StagedHead, activations: Sequence[tuple[np.ndarray, ...]]) -> float:
    spec = head.outputs[-1]
    codec = Codec.named("auto", spec.dtype)
    sizes = [len(encode_tensor(values[-1], codec, spec.scale, spec.zero_point).data) for values in activations]
    return float(np.mean(sizes))


def _chain_ms(parts: Sequence[Part], first: np.ndarray) -> list[float]:
    """Return the milliseconds of each part, the last output of one being the input of the next."""
    found, values = [], first
    for part in parts:
        ms, outputs = median_ms(part, [values])
        found.append(ms)
        values = outputs[-1]
    return found
