"""How a device stands: what it says of itself, retained, every few seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass

from edge.head import Head
from edge.ledger import Ledger
from edge.spool import Spool
from headwater.clock import Offset
from headwater.host import temperature_c
from headwater.messages import VERSION, Clock, FinishedCounts, Link, Position, Status
from models.bundle import Bundle


@dataclass(frozen=True)
class Standing:
    """What a device is and does at one moment."""

    name: str
    since_ns: int
    bundle: Bundle
    source: str
    head: Head
    position: Position | None
    last_captured_ns: int | None

    def status(self, ledger: Ledger, spool: Spool, link: Link | None) -> Status:
        """Return it as it is published, with what the books and the kernel say now."""
        counts = ledger.counts()
        frames_per_s, bytes_per_frame = ledger.rates(time.monotonic())
        return Status(
            version=VERSION,
            device=self.name,
            online=True,
            since_ns=self.since_ns,
            sent_ns=time.time_ns(),
            bundle=self.bundle.name,
            digest=self.bundle.digest,
            split=self.head.split,
            codec=self.head.codec,
            source=self.source[:512],
            position=self.position,
            frames_per_s=round(frames_per_s, 2),
            bytes_per_frame=round(bytes_per_frame, 1),
            captured=counts.captured,
            recovered=counts.recovered,
            finished=FinishedCounts(**counts.finished),
            exits=counts.exits,
            unreported=counts.unreported,
            dropped=counts.dropped,
            in_flight=counts.in_flight,
            spool_bytes=spool.size_bytes,
            spool_limit_bytes=spool.limit_bytes,
            link=link,
            last_captured_ns=self.last_captured_ns,
            last_finished_ns=ledger.last_finished_ns,
            resent=ledger.tally["resent"],
            clock=clock(ledger.clock),
            temperature_c=temperature_c(),
        )


def clock(offset: Offset | None) -> Clock | None:
    """Return what is known of the worker's clock as a status says it."""
    return None if offset is None else Clock(round(offset.offset_ns / 1e6, 4), round(offset.uncertainty_ns / 1e6, 4))
