"""A collector of traces on the loopback address: takes what OpenTelemetry's exporter sends, and decodes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Taken:
    """A span as it came."""

    service: str
    teller: str
    name: str
    trace: str
    id: str
    parent: str
    start_ns: int
    end_ns: int
    kind: int
    facts: dict[str, Any]
    error: str

    @property
    def took_ns(self) -> int:
        """Return how long it took."""
        return self.end_ns - self.start_ns


def decoded(body: bytes) -> Iterator[Taken]:
    """Yield the spans of one request."""
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = values(of_resource.resource.attributes)
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                yield Taken(
                    resource["service.name"], resource["service.instance.id"], span.name, span.trace_id.hex(),
                    span.span_id.hex(), span.parent_span_id.hex(), span.start_time_unix_nano, span.end_time_unix_nano,
                    span.kind, values(span.attributes), span.status.message if span.status.code == 2 else "",
                )  # fmt: skip


def values(attributes: Any) -> dict[str, Any]:
    """Return attributes as Python's own values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class Collector:
    """What came so far; with `answers` cleared, requests are taken and not answered, with `status` refused."""

    def __init__(self) -> None:
        self.answers, self.status, self.asked = threading.Event(), 200, 0
        self.answers.set()
        self.addresses: set[tuple[str, str]] = set()
        self._spans: list[Taken] = []
        self._lock = threading.Lock()
        self.url = ""

    def take(self, path: str, kind: str, body: bytes) -> None:
        """Take one request in."""
        with self._lock:
            self.addresses.add((path, kind))
            self._spans += decoded(body)

    @property
    def spans(self) -> list[Taken]:
        """Return all spans so far."""
        with self._lock:
            return list(self._spans)

    def traces(self) -> dict[str, list[Taken]]:
        """Return the spans by trace."""
        found: dict[str, list[Taken]] = {}
        for span in self.spans:
            found.setdefault(span.trace, []).append(span)
        return found


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector on a free port while the block runs."""
    taken = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = taken.status
            taken.asked += 1
            if not taken.answers.is_set():
                taken.answers.wait(30)
            if status == 200:
                taken.take(self.path, self.headers["Content-Type"], body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # who asked has gone
    taken.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        taken.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()
