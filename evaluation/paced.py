"""One real device at a pace at which none of its frames waits for another."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Final

from evaluation.running import END_S, FLEET, Installation, Seen, ended, wait
from headwater.errors import HeadwaterError
from headwater.session import Address, Callbacks, Received, Session
from headwater.topics import Topics

FRAMES: Final = 240
WARM_UP: Final = 20
LEAST: Final = 30
RATE: Final = 20.0
"""Pictures a second of the one device at first: the processor rests between two, as with a camera."""
MOST_BUSY: Final = 0.5
"""Up to here, of one picture after the other through device and worker, nothing waits for the one before …"""
BUSY: Final = 0.3
"""… and what is aimed at with fewer pictures a second, when it was more."""
SLOWEST: Final = 0.2
PACED_S: Final = 60.0
"""So long a slower device is measured, or for WARM_UP and LEAST frames."""


def paced(
    at: Installation, bundle: str, split: str, codec: str, source: str, name: str
) -> tuple[list[Seen], list[bytes]]:
    """Return what one device's frames took, and some of their messages, at a pace at which none waits for another.

    Raises: HeadwaterError for a device that is too slow for that.
    """
    rate: float | None = RATE
    while rate is not None and rate >= SLOWEST:
        at_rate = f"{name}-{rate:.3g}".replace(".", "-")
        seen, messages = _at_rate(at, bundle, split, codec, source, at_rate, rate)
        measured, rate = rate, slower(seen, rate)
    if rate is not None:
        raise HeadwaterError(
            f"{split}: frames wait for each other at {measured:.3g} pictures a second, expected them not to at "
            f"{SLOWEST} or more; give smaller pictures (--source), another split or a smaller model"
        )
    return [one for one in seen if one.record.sequence >= WARM_UP], messages


def slower(seen: Sequence[Seen], rate: float) -> float | None:
    """Return at how many pictures a second to measure again because frames waited for each other; None if they did not.

    Where they do, `capture` holds the wait of a file source for its queue; the least of it is the reading alone.
    Raises: HeadwaterError of nothing.
    """
    if not seen:
        raise HeadwaterError(f"no frame came back at {rate:.3g} pictures a second; give other pictures (--source)")
    counted = [one for one in seen if one.record.sequence >= WARM_UP]
    if counted and fmean(one.device_s + one.worker_s for one in counted) * rate < MOST_BUSY:
        return None
    read_s = min(one.stage_s("capture") for one in seen)
    work_s = read_s + fmean(one.device_s - one.stage_s("capture") + one.worker_s for one in seen)
    return min(rate / 2, BUSY / max(work_s, 1e-6))


def _at_rate(
    at: Installation, bundle: str, split: str, codec: str, source: str, name: str, rate: float
) -> tuple[list[Seen], list[bytes]]:
    frames = max(WARM_UP + LEAST, min(FRAMES, round(rate * PACED_S)))
    messages: list[bytes] = []

    def keep(message: Received) -> None:
        if len(messages) < frames:
            messages.append(bytes(message.payload))

    topic = Topics(FLEET).of_device(name, "frame")
    tap = Session(Address.parse(at.broker), f"tap-{name}", Callbacks(on_message=keep), subscriptions=[(topic, 0)])
    tap.start(10.0)
    arguments = [
        "--bundle",
        bundle,
        "--split",
        split,
        "--codec",
        codec,
        "--rate",
        f"{rate:.6f}",
        "--frames",
        str(frames),
    ]
    device = at.device(name, source, arguments)
    wait([device], frames / rate + END_S, at.parts)
    ended([device])
    tap.stop()
    return [one for one in at.seen() if one.record.device == name], messages
