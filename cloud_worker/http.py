"""A worker over HTTP: bounded bodies, a bounded queue, one thread for the models.

Built on Starlette: its routing, streaming and errors are what is needed here, it is pure Python, and the site's web
framework already brings it. FastAPI would add pydantic beside msgspec, Litestar ten packages more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from uvicorn import Config

from cloud_worker.answering import JSON, OFFLOAD, PREDICT, Answer, Answering, Bounds, Request, refused
from cloud_worker.http_document import document, page
from cloud_worker.http_figures import HttpFigures
from cloud_worker.http_protocol import PatientProtocol
from cloud_worker.http_settings import HttpSettings
from cloud_worker.library import Library, open_bundle
from cloud_worker.settings import default_name
from cloud_worker.traces import HttpTraces
from headwater.clock import StageClock
from headwater.errors import HeadwaterError, TooLarge
from headwater.logs import event, settings_line
from headwater.prometheus import CONTENT_TYPE
from headwater.traces import Teller, collected
from headwater.web import AnnouncingServer, bind

log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 1
STOP_S: Final = 30
"""How long a stop waits for what is in hand, beside the time that an upload may take."""
HEADERS: Final = {
    408: {"Connection": "close"},
    413: {"Connection": "close"},
    503: {"Retry-After": str(RETRY_AFTER_S)},
}
UNKNOWN: Final = "unknown"
"""The route, in the figures, of addresses that there are not."""


class Busy(HeadwaterError):
    """There is no room for one more request now."""

    def __init__(self, what: str) -> None:
        super().__init__(f"busy: {what}; send it again in {RETRY_AFTER_S} s, or run more workers")


class Service:
    """What is behind the addresses: requests in, one after the other to the models, answers out."""

    def __init__(
        self,
        answering: Answering,
        settings: HttpSettings,
        figures: HttpFigures,
        now_ns: Callable[[], int],
        traces: HttpTraces | None = None,
    ) -> None:
        self._answering, self._settings = answering, settings
        self._figures, self._now_ns, self._traces = figures, now_ns, traces
        self._models = ThreadPoolExecutor(1, "models")

    async def predict(self, request: HttpRequest) -> Response:
        """Answer a picture."""
        return await self._answer(request, PREDICT, self._answering.predict)

    async def offload(self, request: HttpRequest) -> Response:
        """Answer an activation."""
        return await self._answer(request, OFFLOAD, self._answering.offload)

    async def health(self, _: HttpRequest) -> Response:
        """Say how this worker is; 503 when it is unwell."""
        return Response((found := self._figures.health()).as_json(), found.http_status, media_type=JSON)

    async def metrics(self, _: HttpRequest) -> Response:
        """Say this worker's figures, for Prometheus."""
        return Response(self._figures.exposition(), media_type=CONTENT_TYPE)

    def close(self) -> None:
        """Wait for what is in hand and end the models' thread."""
        self._models.shutdown()

    async def _answer(self, request: HttpRequest, route: str, step: Callable[[Request], Answer]) -> Response:
        held = Held(self._figures, self._settings)
        try:
            answer = await self._finished(request, step, held)
        except Busy as error:
            answer = refused(503, str(error))
        except TooLarge as error:
            answer = refused(413, str(error))
        except TimeoutError:
            limit = self._settings.upload_timeout
            answer = refused(408, f"body: not there after {limit:g} s, expected sooner; send less, or on a faster link")
        except ClientDisconnect:
            answer = refused(499, "the client went away")  # seen by nobody but the figures
        finally:
            held.release()
        self._figures.answered(route, answer.status, answer.stages_ns)
        return response(answer)

    async def _finished(self, request: HttpRequest, step: Callable[[Request], Answer], held: Held) -> Answer:
        async with asyncio.timeout(self._settings.upload_timeout):
            body = await held.body(request)
        found = Request(request.headers.get("content-type", ""), body, request.query_params, self._now_ns())
        if self._figures.waiting >= self._settings.waiting:
            raise Busy(f"{self._figures.waiting} in hand or waiting")
        self._figures.waiting += 1
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._models, self._in_hand, step, found)
        finally:
            self._figures.waiting -= 1
        if self._traces is not None:
            self._traces.answered(request.url.path, request.headers.getlist("traceparent"), found, answer)
        return answer

    def _in_hand(self, step: Callable[[Request], Answer], request: Request) -> Answer:
        self._figures.begin()
        try:
            return step(request)
        finally:
            self._figures.end()


class Held:
    """One request's body, counted among the bytes that this worker holds."""

    def __init__(self, figures: HttpFigures, settings: HttpSettings) -> None:
        self._figures, self._settings = figures, settings
        self._data = bytearray()
        self._bytes = 0

    async def body(self, request: HttpRequest) -> bytes:
        """Return the body as a whole. Raises: TooLarge, Busy, ClientDisconnect.

        One that is refused is still read, up to twice the limit, and forgotten: a client that is cut off while it
        sends would not see why.
        """
        limit, size = self._settings.max_body_bytes, 0
        refusal: TooLarge | Busy | None = None
        announced = request.headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > 2 * limit:
            raise TooLarge("body", int(announced[:20]), limit)
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                refusal = TooLarge("body", size, limit)
            elif refusal is None and self._figures.held_bytes + len(chunk) > self._settings.bodies_bytes:
                refusal = Busy(f"{self._figures.held_bytes:,} B of bodies are held")
            if refusal is None:
                self._data += chunk
                self._bytes += len(chunk)
                self._figures.held_bytes += len(chunk)
            else:
                self.release()
            if size > 2 * limit:
                break
        if refusal is not None:
            raise refusal
        whole, self._data = bytes(self._data), bytearray()
        return whole

    def release(self) -> None:
        """Forget the body. Safe to call again."""
        self._figures.held_bytes -= self._bytes
        self._bytes, self._data = 0, bytearray()


def response(answer: Answer) -> Response:
    """Return an answer as it leaves; where the body may not have been read to its end, the connection ends with it."""
    return Response(answer.body, answer.status, HEADERS.get(answer.status), JSON)


def create_app(service: Service, figures: HttpFigures, settings: HttpSettings) -> Starlette:
    """Return the addresses of a worker."""
    described = document(settings)
    as_json, as_page = msgspec.json.encode(described), page(described)

    async def openapi(_: HttpRequest) -> Response:
        return Response(as_json, media_type=JSON)

    async def docs(_: HttpRequest) -> Response:
        return Response(as_page, media_type="text/html")

    async def not_there(_: HttpRequest, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        figures.answered(UNKNOWN, status, {})
        found = response(refused(status, REMEDIES.get(status, str(error))))
        found.headers.update(getattr(error, "headers", None) or {})
        return found

    app = Starlette(
        routes=[
            Route(PREDICT, service.predict, methods=["POST"]),
            Route(OFFLOAD, service.offload, methods=["POST"]),
            Route("/health", service.health),
            Route("/metrics", service.metrics),
            Route("/openapi.json", openapi),
            Route("/docs", docs),
        ],
        exception_handlers={HTTPException: not_there, Exception: not_there},
    )
    app.router.redirect_slashes = False
    return app


REMEDIES: Final = {
    404: "this address is not there; /docs lists all",
    405: f"method: {PREDICT} and {OFFLOAD} take POST, everything else GET; /docs lists all",
    500: "this worker failed; see its log",
}


def run(settings: HttpSettings, announce: Callable[[str, str], None]) -> None:
    """Answer requests until SIGINT or SIGTERM; `announce` gets name and address once the default model is loaded.

    Raises: SettingsError, WireError, ModelError, all before it is ready.
    """
    name, clock = settings.name or default_name(), StageClock()
    log.info(settings_line(settings))
    library = Library(settings.bundles, lambda bundle: open_bundle(bundle, settings.threads))
    bounds = Bounds(settings.max_body_bytes, settings.max_pixels)
    answering = Answering(library, name, settings.bundle, clock.now_ns, bounds)
    answering.prepare()
    figures = HttpFigures(name, unwell_after_s=settings.unwell_after, models=lambda: library.loaded)
    with (
        collected(settings.traces, Teller("worker-http", name)) as tell,
        bind(settings.host, settings.port) as sock,
    ):
        traces = None if tell is None else HttpTraces(tell, name, settings.trace_share, clock.now_ns)
        service = Service(answering, settings, figures, clock.now_ns, traces)
        protocol = type("Patient", (PatientProtocol,), {"head_s": settings.upload_timeout})
        config = Config(
            create_app(service, figures, settings),
            http=protocol,
            ws="none",
            log_config=None,  # its lines go where all others go
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            limit_concurrency=settings.connections + 1,  # uvicorn refuses the one that reaches its limit
            timeout_graceful_shutdown=round(settings.upload_timeout) + STOP_S,
        )
        AnnouncingServer(config, lambda url: announce(name, url)).run(sockets=[sock])
        service.close()
    log.info(event("stopped", worker=name, finished=figures.finished))
