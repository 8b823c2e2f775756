"""Try every way of a frame on this machine: how long each stage takes here, and how much would travel."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle
from typing import Final, NamedTuple, TypeVar

import numpy as np

from edge.crop import as_rows
from edge.evidence import leaks_of, with_evidence
from edge.head import Body, Faceless, Head, Hopeless, Pixels, measured_codec, prepare_head
from edge.splits import DEVICE, IMAGE, codec_fits, resolve_codec
from headwater.clock import STAGES, Stage, Stopwatch
from headwater.codec import LOSSLESS, decode_tensor
from headwater.errors import SettingsError
from headwater.messages import VERSION, Activation, Frame, FrameId, Picture, Position, encode
from models.bundle import Bundle
from models.crop import Crop, Cut, Whole
from models.engine import Engine
from models.exits import ExitRule
from models.pictures import decode_to_fit, to_input
from models.runtime import work_clock
from models.stages import StagedHead, exits_before, rules_of
from planning.monotone import falling, rising
from planning.ways import ExitChance, Way

RUNS: Final = 9
LEAST_RUNS: Final = 3
SHORTEST_PER_STEP_S, LONGEST_PER_STEP_S = 0.02, 0.5
"""A step is run RUNS times, more often for the first of these, less often past the second."""
_LARGEST_BYTES: Final = 1 << 30
_COMPUTED: Final[tuple[Stage, ...]] = ("head", "encode")
_T = TypeVar("_T")
Clock = Callable[[], int]
"""Nanoseconds."""
Progress = Callable[[int, int], None]


def rehearse(
    bundle: Bundle,
    engine: Engine,
    pictures: Sequence[Pixels],
    *,
    codecs: Sequence[str] = (LOSSLESS,),
    crop: Crop | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Way]:
    """Return every way with the times of this machine: the picture, each cut point offered, and the device alone.

    Times are medians over the pictures, of which those count in which the crop finds something. With one thread they
    are the processor's, so that neither other load nor a quota is in them; with more they are the clock's. Exits cost
    what their branches take; how many leave there is the bundle's own figure, none where it has none. A codec is tried
    where it fits. Raises: SettingsError where no picture can be used.
    """
    crop, clock_ns = crop or Whole(), work_clock(engine.threads)
    check_codecs(engine, codecs, bundle.cut_points)
    seen = _usable(bundle, crop, pictures)
    pictures = [picture for picture, _ in seen]
    asked = {name: rule for name, rule in rules_of(bundle).items() if rule.can_end}
    splits = [IMAGE, *bundle.cut_points, DEVICE]
    size = bundle.input.width, bundle.input.height
    crop_s = _median_s(clock_ns, pictures, lambda picture: crop.cut(picture, *size))
    finished = prepare_head(bundle, engine, DEVICE, LOSSLESS, {}, crop)
    finished_bytes = statistics.fmean(
        len(as_message(bundle, finished, body_of(finished, one, Stopwatch()))) for one in pictures
    )
    stages, ways = [], list[Way]()
    for place, split in enumerate(splits):
        progress(place, len(splits))
        stages.append(_stages(bundle, engine, split, asked, seen, clock_ns))
        for codec in _fitting(bundle, engine, split, codecs):
            head = prepare_head(bundle, engine, split, codec, {}, crop)
            way = Way(split, head.codec, place, 0.0, finished_bytes, crop_s=crop_s, finishes=split == DEVICE)
            ways.append(_timed(way, head, bundle, engine, pictures, clock_ns))
        if stages[-1].head_s is None:
            found = [way.head_s for way in ways if way.place == place]
            stages[-1] = _Stages((), (), statistics.median(found) if found else 0.0)
    progress(len(splits), len(splits))
    leaks = leaks_of(bundle, splits)
    return [with_evidence(way, bundle, engine, asked, leaks) for way in _smoothed(ways, stages)]


def _smoothed(ways: Sequence[Way], stages: Sequence[_Stages]) -> list[Way]:
    """Return the ways with heads that never get shorter with depth, tails that never get longer, and exits alike."""
    heads = rising([one.head_s or 0.0 for one in stages])
    tail_at = {way.place: way.tail_s for way in ways}
    tails = dict(zip(tail_at, falling(list(tail_at.values())), strict=True))
    asked: dict[str, list[float]] = {}
    for one in stages:
        for found in one.exits:
            asked.setdefault(found.name, []).append(found.after_s)
    after_s = {name: statistics.median(times) for name, times in asked.items()}
    return [
        replace(
            way,
            head_s=heads[way.place],
            tail_s=tails[way.place],
            exits=tuple(replace(found, after_s=after_s[found.name]) for found in stages[way.place].exits),
            unknown_exits=stages[way.place].unknown,
        )
        for way in ways
    ]


def drawn_pictures(count: int, seed: int = 0) -> list[Pixels]:
    """Return pictures that nobody took, with the spectrum of photographs: half the contrast at twice the detail.

    Source: Field 1987, "Relations between the statistics of natural images": amplitudes fall with the frequency.
    """
    rng, height, width = np.random.default_rng(seed), 480, 640
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1.0
    found = []
    for _ in range(count):
        phases = np.exp(2j * np.pi * rng.random((3, *frequency.shape)))
        light, *colours = (np.fft.irfft2(phase / frequency, (height, width)) for phase in phases)
        channels = np.stack([light, light + 0.3 * colours[0], light + 0.3 * colours[1]], axis=2)
        channels = (channels - channels.mean()) / channels.std()
        found.append(np.clip(128 + 50 * channels, 0, 255).astype(np.uint8))
    return found


def _usable(bundle: Bundle, crop: Crop, pictures: Sequence[Pixels]) -> list[tuple[Pixels, list[Cut]]]:
    cuts = [(picture, crop.cut(picture, bundle.input.width, bundle.input.height)) for picture in pictures]
    seen = [(picture, found) for picture, found in cuts if found]
    if not seen:
        what = (
            f"in none of {len(cuts)} pictures the crop {bundle.input.crop!r} finds anything" if cuts else "no picture"
        )
        raise SettingsError(f"nothing to rehearse with: {what}; give pictures like those of the camera (--source)")
    return seen


def check_codecs(engine: Engine, codecs: Sequence[str], cut_points: Sequence[str]) -> None:
    """Pass where each codec fits something that may travel. Raises: SettingsError, with what is wrong with one."""
    for codec in codecs:
        if not any(codec_fits(engine.graph, split, codec) for split in (IMAGE, *cut_points)):
            resolve_codec(engine.graph, cut_points[0] if cut_points else IMAGE, codec)


def _fitting(bundle: Bundle, engine: Engine, split: str, codecs: Sequence[str]) -> list[str]:
    """Return the codecs that fit a split, each way of sending once."""
    if split == DEVICE:
        return [LOSSLESS]
    fitting = [codec for codec in codecs if codec_fits(engine.graph, split, codec)]
    return list({measured_codec(bundle, engine.graph, split, codec): codec for codec in fitting}.values())


class _Stages(NamedTuple):
    """What a split's head takes: the exits before it with the time until each is asked, and all of it."""

    exits: tuple[ExitChance, ...]
    unknown: tuple[str, ...]
    head_s: float | None
    """None where no exit is asked: then the head that is really run tells."""


def _stages(
    bundle: Bundle,
    engine: Engine,
    split: str,
    rules: Mapping[str, ExitRule],
    seen: Sequence[tuple[Pixels, list[Cut]]],
    clock_ns: Clock,
) -> _Stages:
    staged = None if split == IMAGE else StagedHead(engine, bundle, split, rules)
    if staged is None or not staged.exits:
        return _Stages((), (), None)
    rows = partial(as_rows, spec=staged.inputs[0], bundle=bundle)
    inputs = [rows(cuts) for _, cuts in seen]
    ends, so_far = [], _median_s(clock_ns, [cuts for _, cuts in seen], rows)
    for part in staged.parts:
        so_far += _median_s(clock_ns, inputs, part.run)
        ends.append(so_far)
        inputs = [part.run(values)[-1] for values in inputs]
    known = {found.name: found.leave for found in exits_before(engine, bundle, split)}
    chances = [
        ExitChance(name, share, end)
        for name, end in zip(staged.exits, ends, strict=False)
        if (share := known[name]) is not None
    ]
    return _Stages(tuple(chances), tuple(name for name in staged.exits if known[name] is None), so_far)


def _timed(way: Way, head: Head, bundle: Bundle, engine: Engine, pictures: Sequence[Pixels], clock_ns: Clock) -> Way:
    """Return a way with its encoding, what travels, and what the worker does with it."""
    bodies, laps = [body_of(head, picture, Stopwatch()) for picture in pictures], list[Stopwatch]()
    for picture in _often_enough(pictures):  # and let go of: memory that is new each time would be timed with it
        laps.append(Stopwatch(clock_ns=clock_ns))
        body_of(head, picture, laps[-1])
    head_s, encode_s = (statistics.median(one.stages_ns.get(name, 0) for one in laps) / 1e9 for name in _COMPUTED)
    way = replace(way, head_s=head_s, encode_s=encode_s)
    sent = [body for body in bodies if isinstance(body, Activation | Picture)]
    if not sent:
        return way
    inputs = [_decoded(body, bundle, engine) for body in sent]
    tail = engine.whole() if way.split == IMAGE else engine.tail(way.split)
    sizes = [len(as_message(bundle, head, body)) for body in sent]
    return replace(
        way,
        payload_bytes=statistics.fmean(sizes),
        largest_bytes=max(sizes),
        decode_s=_median_s(clock_ns, sent, lambda body: _decoded(body, bundle, engine)),
        tail_s=_median_s(clock_ns, inputs, tail.run),
    )


def as_message(bundle: Bundle, head: Head, body: Body) -> bytes:
    """Return a frame as it would be published, all that may stand in it filled in."""
    stages_ns = dict.fromkeys(STAGES[:5], 10**7)
    now_ns, here = time.time_ns(), Position(-12.3456789, -123.456789, "gpx")
    frame_id = FrameId("a-camera-of-the-fleet", "0123abcd", 10**6)
    name = "a-picture-of-the-camera.jpg"
    return encode(
        Frame(
            VERSION,
            frame_id,
            now_ns,
            now_ns,
            bundle.name,
            bundle.digest,
            head.split,
            head.codec,
            body,
            stages_ns,
            here,
            name,
        )
    )


def body_of(head: Head, picture: Pixels, watch: Stopwatch) -> Body:
    """Return what a head makes of a picture. Raises: SettingsError where the picture is dropped."""
    body = head.run(picture, watch)
    if isinstance(body, Hopeless | Faceless):
        raise SettingsError("a picture of the rehearsal was dropped, expected a face in each; give others (--source)")
    return body


def _decoded(body: Activation | Picture, bundle: Bundle, engine: Engine) -> np.ndarray:
    if isinstance(body, Activation):
        return decode_tensor(body.tensor, _LARGEST_BYTES)
    wanted = bundle.input
    pixels = decode_to_fit(bytes(body.data), body.width, body.height)
    rows = pixels.reshape(-1, wanted.height, wanted.width, 3)
    spec = engine.whole().inputs[0]
    return np.concatenate([to_input(row, spec, wanted.low, wanted.high, wanted.colour) for row in rows])


def _median_s(clock_ns: Clock, inputs: Sequence[_T], run: Callable[[_T], object]) -> float:
    """Return the median time of one run over the inputs in turn, after one run to warm up."""
    run(inputs[0])
    times: list[float] = []
    for one in _often_enough(inputs):
        start_ns = clock_ns()
        run(one)
        times.append(clock_ns() - start_ns)
    return statistics.median(times) / 1e9


def _often_enough(inputs: Sequence[_T]) -> Iterator[_T]:
    """Yield the inputs in turn, until what is done with them was done often enough to be timed."""
    began_s = time.perf_counter()
    for count, one in enumerate(cycle(inputs)):
        taken_s = time.perf_counter() - began_s
        if taken_s >= SHORTEST_PER_STEP_S and count >= (RUNS if taken_s <= LONGEST_PER_STEP_S else LEAST_RUNS):
            break
        yield one
