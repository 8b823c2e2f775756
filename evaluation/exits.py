"""What early exits do to accuracy and latency: the age and gender thesis's chapter 4 on a bundle of ours.

Source: thesis on age and gender estimation (papers/000), table 4.4 and figures 3.11, 3.12, 4.5 to 4.7; its link to the
edge site, section 4.2: 34.5 Mbit/s and a round trip of 24.16 ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from headwater.codec import Codec, encode_tensor
from models.answers import NOBODY_LEAVES, Answers, Outcome, Thresholds, outcome
from models.bundle import Bundle
from models.engine import DEVICE, Engine, Part
from models.exits import ExitRule
from models.judge import temperatures_of
from models.pictures import to_input
from models.profile import median_ms
from models.stages import StagedHead, exits_before

THESIS_THRESHOLDS: Final[Mapping[str, float]] = {"gender": 0.6, "age-group": 0.8}
"""In nats, at both exits. Source: papers/000, section 3.5.3."""
BANDWIDTH_BITS_PER_S: Final = 34.5e6
ROUND_TRIP_S: Final = 24.16e-3
_NEVER: Final = -1.0


@dataclass(frozen=True)
class Stages:
    """Measured milliseconds of one split, and the bytes that travel there."""

    split: str
    exits: tuple[float, ...]
    """Until each exit's answer, all exits before it included."""
    head: float
    """Until the split, with all exits asked on the way."""
    plain_head: float
    """Until the split without any exit: the plain split."""
    tail: float
    payload_bytes: float
    """Mean over pictures."""

    def link(self) -> float:
        """Return the milliseconds on the thesis's link: the bytes at its bandwidth, and one round trip."""
        return 1000 * (self.payload_bytes * 8 / BANDWIDTH_BITS_PER_S + ROUND_TRIP_S)

    def plain(self) -> float:
        """Return the milliseconds of every picture when there are no exits."""
        return self.plain_head + self.link() + self.tail

    def mean(self, shares: Sequence[float]) -> float:
        """Return the mean milliseconds when these shares leave at each exit and the rest goes on."""
        every = [*self.exits, self.head + self.link() + self.tail]
        return float(np.dot(shares, every))


@dataclass(frozen=True)
class Row:
    """One setting of the thresholds on the same pictures."""

    setting: str
    found: Outcome
    mean_ms: float


@dataclass(frozen=True)
class Measured:
    """Everything that the table and the figures show of one bundle."""

    bundle: Bundle
    answers: Answers
    """After the bundle's temperatures."""
    thresholds: Thresholds
    """The bundle's own."""
    rows: Sequence[Row]
    """The plain split, the bundle's own thresholds, the thesis's."""
    stages: Stages


def measured(bundle: Bundle, raw: Answers, stages: Stages) -> Measured:
    """Return what the exits of a bundle do; `raw` is what it says before any temperature."""
    answers, rule = raw.tempered(temperatures_of(bundle)), bundle.exits[0].rule
    own = {found.name: found.thresholds for found in bundle.exits if found.thresholds}
    plain, ours = outcome(answers, NOBODY_LEAVES, rule), outcome(answers, own, rule)
    hand = outcome(raw, by_hand(bundle), "entropy")
    rows = (
        Row("plain split, no exits", plain, stages.plain()),
        Row("calibrated thresholds", ours, stages.mean(ours.shares)),
        Row("entropy 0.6 / 0.8 by hand", hand, stages.mean(hand.shares)),
    )
    return Measured(bundle, answers, own, rows, stages)


def by_hand(bundle: Bundle) -> Thresholds:
    """Return the thesis's thresholds for every exit of a bundle; a task that it has not gets none."""
    return {
        found.name: {task: limit for task, limit in THESIS_THRESHOLDS.items() if task in found.outputs}
        for found in bundle.exits
    }


def measure_stages(bundle: Bundle, split: str, pictures: Sequence[np.ndarray]) -> Stages:
    """Return the times of a split on this machine, one LiteRT thread, and the bytes of these pictures' activations.

    `pictures` are (height, width, 3) uint8 of the network's size.
    """
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    never = {found.name: ExitRule("entropy", dict.fromkeys(found.outputs, _NEVER)) for found in bundle.exits}
    asked, plain = StagedHead(engine, bundle, split, never), StagedHead(engine, bundle, split, {})
    wanted, parts = bundle.input, asked.parts
    inputs = [to_input(p, asked.inputs[0], wanted.low, wanted.high, wanted.colour) for p in pictures]
    spec = asked.outputs[-1]
    codec = Codec.named("auto", spec.dtype)
    activations = [asked.run(one).values[0] for one in inputs]
    sizes = [len(encode_tensor(values, codec, spec.scale, spec.zero_point).data) for values in activations]
    times = np.cumsum(_chain_ms(parts, inputs[0]))
    exits = len(exits_before(engine, bundle, split))
    return Stages(
        split=split,
        exits=tuple(float(ms) for ms in times[:exits]),
        head=float(times[-1]),
        plain_head=_chain_ms(plain.parts, inputs[0])[-1],
        tail=_chain_ms([engine.tail(split)], activations[0])[0] if split != DEVICE else 0.0,
        payload_bytes=float(np.mean(sizes)),
    )


def _chain_ms(parts: Sequence[Part], first: np.ndarray) -> list[float]:
    """Return the milliseconds of each part, the last output of one being the input of the next."""
    found, values = [], first
    for part in parts:
        ms, outputs = median_ms(part, [values])
        found.append(ms)
        values = outputs[-1]
    return found
