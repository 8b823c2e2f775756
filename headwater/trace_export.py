"""Hands spans to OpenTelemetry's SDK, which sends them to a collector in a thread of its own. Needs the extra `traces`.

Of the SDK there is used what sends: the batch processor with its bounded queue, and the exporter (OTLP over HTTP,
protobuf). Its tracers would time spans by a clock of their own; ours are made of times that are known already.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from headwater import version
from headwater.logs import event
from headwater.metrics import Counters
from headwater.traces import Kind, Span, Teller

log = logging.getLogger(__name__)

QUEUE_SPANS: Final = 4096
"""Those of some four hundred frames of a device; while more wait the oldest are lost."""
BATCH_SPANS: Final = 128
"""Some 17 KB: even a link of 50 kbit/s takes them in time."""
EVERY_S: Final = 1.0
ANSWER_S: Final = 5.0
"""So long may a collector take for one batch, further attempts included."""
CLOSE_S: Final = 3.0
"""So long does an end wait for what is still to be sent."""
ABORT_S: Final = 0.2
"""So long for what is then given up."""
KINDS: Final[dict[Kind, SpanKind]] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class Collector:
    """A collector of traces; it may be away, which holds nobody up and is logged once."""

    def __init__(self, address: str, teller: Teller) -> None:
        self._resource = Resource.create(
            {
                "service.namespace": "headwater",
                "service.name": f"headwater-{teller.part}",
                "service.instance.id": teller.name,
                "service.version": version(),
            }
        )
        self._scope = InstrumentationScope("headwater", version())
        self._exporter = _Watched(OTLPSpanExporter(address, timeout=ANSWER_S), address)
        self._sending = BatchSpanProcessor(
            self._exporter,
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=EVERY_S * 1000,
            max_export_batch_size=BATCH_SPANS,
        )
        self._counts = Counters()

    def tell(self, spans: Sequence[Span]) -> None:
        """Queue spans. From any thread."""
        self._counts.add("told", len(spans))
        for span in spans:
            self._sending.on_end(self._readable(span))

    def _readable(self, span: Span) -> ReadableSpan:
        trace_id = int(span.trace_id, 16)
        remote = span.kind in {"consumer", "server"}
        parent = None if span.parent_id is None else _context(trace_id, span.parent_id, is_remote=remote)
        return ReadableSpan(
            span.name,
            _context(trace_id, span.span_id),
            parent,
            self._resource,
            span.facts,
            kind=KINDS[span.kind],
            status=Status() if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=max(0, span.start_ns),  # a negative one would take its whole batch along
            end_time=max(0, span.end_ns),
            instrumentation_scope=self._scope,
        )

    def close(self) -> None:
        """Send what waits, for a few seconds at most, and say what was lost."""
        ending = threading.Thread(target=self._sending.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(CLOSE_S)
        if ending.is_alive():
            self._exporter.shutdown()  # gives up waiting for another attempt
            ending.join(ABORT_S)
        told, sent = self._counts["told"], self._exporter.sent
        level = logging.WARNING if told > sent else logging.INFO
        log.log(level, event("traces", spans=told, sent=sent, lost=told - sent))


def _context(trace_id: int, span_id: str, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, int(span_id, 16), is_remote, SAMPLED)


class _Watched(SpanExporter):
    """An exporter whose failures are said in one line, with the first reason that it gives, and its recovery in one."""

    def __init__(self, exporter: OTLPSpanExporter, address: str) -> None:
        self._exporter, self._address = exporter, address
        self._is_away, self.sent = False, 0
        self._reasons = _Reasons()
        _hush(self._reasons)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch."""
        self._reasons.first = ""
        result = self._exporter.export(spans)
        away = result is not SpanExportResult.SUCCESS
        self.sent += 0 if away else len(spans)
        if away and not self._is_away:
            reason = self._reasons.first or result.name
            log.warning(event("traces are lost, the stream goes on", collector=self._address, reason=reason))
        elif self._is_away and not away:
            log.info(event("traces are taken again", collector=self._address))
        self._is_away = away
        return result

    def shutdown(self) -> None:
        """End, also in the middle of a batch's further attempts."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return at once: nothing waits here."""
        return True


def _hush(instead: logging.Handler) -> None:
    """Let what the SDK says of each batch be heard by `instead` alone; by all, where everything is to be logged."""
    everything = log.isEnabledFor(logging.DEBUG)
    logging.getLogger("opentelemetry.sdk").setLevel(logging.DEBUG if everything else logging.CRITICAL)
    exporter = logging.getLogger("opentelemetry.exporter")
    exporter.propagate, exporter.handlers[:] = everything, [instead]


class _Reasons(logging.Handler):
    """Keeps the first line that the exporter says of a batch."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.first = self.first or record.getMessage()
