"""Finish one frame: check it, decode it, run what is left of its model, read the predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cloud_worker.bodies import Ready, answers, answers_at_once, ready_activation, ready_picture
from cloud_worker.inbox import Delivery
from cloud_worker.library import Library
from cloud_worker.refusals import UnfitFrame
from cloud_worker.traces import Trail, TrailOf, no_trail
from headwater import messages
from headwater.clock import Stage
from headwater.messages import Finished, Frame, Picture
from headwater.topics import Topics


@dataclass(slots=True)
class Work:
    """One frame under way: what is left to run, and the worker's stages so far."""

    delivery: Delivery
    frame: Frame
    ready: Ready | None = None
    predictions: list[messages.Prediction] = field(default_factory=list)
    stages_ns: dict[Stage, int] = field(default_factory=dict)
    since_ns: int = 0
    trail: Trail | None = None
    """Of a frame that a collector of traces is told of."""

    @property
    def key(self) -> tuple[str, str, tuple[int, ...], str]:
        """What frames have in common that can be run one after the other without a change: model, split, tensor."""
        shape, dtype = (self.ready.values.shape, self.ready.values.dtype.name) if self.ready is not None else ((), "")
        return self.frame.digest, self.frame.split, shape, dtype

    def lap(self, stage: Stage, now_ns: int) -> None:
        """End a stage: the time since the last lap belongs to it. A clock that went back counts as no time."""
        self.stages_ns[stage] = self.stages_ns.get(stage, 0) + max(0, now_ns - self.since_ns)
        if self.trail is not None:
            self.trail.lap(stage, self.since_ns, now_ns)
        self.since_ns = now_ns


class Finisher:
    """Turns deliveries into predictions with the models of one library."""

    def __init__(
        self,
        library: Library,
        topics: Topics,
        max_frame_bytes: int,
        now_ns: Callable[[], int],
        trail_of: TrailOf = no_trail,
    ) -> None:
        """Take what finishes frames; `trail_of` says by a frame's `traceparent` whether it is followed."""
        self._library, self._topics, self._trail_of = library, topics, trail_of
        self._max_frame_bytes, self._now_ns = max_frame_bytes, now_ns

    def read(self, delivery: Delivery) -> Frame:
        """Return the message as a frame of the device that its topic names. Raises: WireError."""
        frame = messages.decode(Frame, delivery.message.payload, self._max_frame_bytes)
        device = self._topics.device_in(delivery.message.topic)
        if frame.id.device != device:
            raise UnfitFrame("device in the frame", frame.id.device, device, "publish under the device's own topic")
        return frame

    def prepare(self, delivery: Delivery, frame: Frame) -> Work:
        """Return the frame decoded and ready to run. Raises: WireError, ModelError."""
        trail = self._trail_of(delivery.message.traceparent)
        work = Work(delivery, frame, since_ns=delivery.received_ns, trail=trail)
        work.lap("inbox", delivery.taken_ns)
        work.lap("batch", self._now_ns())
        body = frame.body
        if isinstance(body, Finished):
            work.predictions = body.predictions
        else:
            model = self._library.model(frame.digest, frame.bundle)
            if isinstance(body, Picture):
                work.ready = ready_picture(model, frame.split, body)
            else:
                work.ready = ready_activation(model, frame.split, body, self._max_frame_bytes)
        work.lap("decode", self._now_ns())
        return work

    def run(self, work: Work) -> None:
        """Run what is left of the frame's model and read its predictions. Raises: WireError, ModelError."""
        work.lap("batch", self._now_ns())
        if work.ready is not None:
            work.predictions = answers(work.ready)
            work.ready = None
            work.lap("tail", self._now_ns())

    def run_at_once(self, works: Sequence[Work]) -> None:
        """Run what is left of these frames of one key in one call: all of them or none. Raises: WireError, ModelError.

        The time of the call is that of each frame's tail.
        """
        begun_ns = self._now_ns()
        found = answers_at_once([work.ready for work in works if work.ready is not None])
        ended_ns = self._now_ns()
        for work, said in zip(works, found, strict=True):
            work.lap("batch", begun_ns)
            work.predictions, work.ready = said, None
            work.lap("tail", ended_ns)


def portions(works: Sequence[Work]) -> list[Sequence[Work]]:
    """Return frames of one key in pieces, a run each: single frames, or as many as their engine takes at once."""
    ready = works[0].ready
    size = 1
    if ready is not None and ready.part.rows_at_once > 1:
        size = max(1, ready.part.rows_at_once // len(ready.values))
    return [works[start : start + size] for start in range(0, len(works), size)]
