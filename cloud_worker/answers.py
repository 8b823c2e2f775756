"""What a worker makes of a finished frame: the record that the store keeps, and the result for the device."""

from __future__ import annotations

from msgspec import UNSET

from cloud_worker.tail import Work
from headwater.messages import VERSION, Finished, Record, Result


def record(work: Work, fleet: str, worker: str, stored_ns: int, store_ns: int) -> Record:
    """Return what the store keeps of a finished frame; `store_ns` stands for the time of its own writing."""
    frame = work.frame
    by_device = isinstance(frame.body, Finished)
    return Record(
        version=VERSION,
        fleet=fleet,
        device=frame.id.device,
        boot=frame.id.boot,
        sequence=frame.id.sequence,
        captured_ns=frame.captured_ns,
        stored_ns=stored_ns,
        bundle=frame.bundle,
        digest=frame.digest,
        split=frame.split,
        codec=frame.codec,
        payload_bytes=len(work.delivery.message.payload),
        finished_by="device" if by_device else "worker",
        worker=None if by_device else worker,
        predictions=work.predictions,
        stages_ns={**frame.stages_ns, **work.stages_ns, "store": store_ns},
        exit=_exit(work),
        position=frame.position,
        name=frame.name,
        traceparent=UNSET if work.trail is None else str(work.trail.own),
    )


def result(work: Work, worker: str, replied_ns: int) -> Result:
    """Return what the device is answered: the predictions and the worker's own stages."""
    return Result(
        version=VERSION,
        id=work.frame.id,
        worker=worker,
        sent_ns=work.frame.sent_ns,
        received_ns=work.delivery.received_ns,
        replied_ns=replied_ns,
        stages_ns=work.stages_ns,
        predictions=work.predictions,
        exit=_exit(work),
    )


def _exit(work: Work) -> str | None:
    return work.frame.body.exit if isinstance(work.frame.body, Finished) else None
