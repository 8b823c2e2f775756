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
from uvicorn.protocols.http.h11_impl import H11Protocol

from cloud_worker.answering import JSON, OFFLOAD, PREDICT, Answer, Answering, Bounds, Request, refused
from cloud_worker.http_document import document, page
from cloud_worker.http_figures import HttpFigures
from cloud_worker.http_settings import HttpSettings
from cloud_worker.library import Library, open_bundle
from cloud_worker.settings import default_name
from headwater.clock import StageClock
from headwater.errors import HeadwaterError, TooLarge
from headwater.logs import event, settings_line
from headwater.prometheus import CONTENT_TYPE
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
    ) -> None:
        self._answering, self._settings = answering, settings
        self._figures, self._now_ns = figures, now_ns
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
            return await asyncio.get_running_loop().run_in_executor(self._models, self._in_hand, step, found)
        finally:
            self._figures.waiting -= 1

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


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits only so long for a request's head, and for its answer to be taken; uvicorn would for ever."""

    head_s: float = 30.0
    _deadline: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # writing pauses as soon as a client does not take all at once
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; a head that is complete ends the wait, the first bytes of the next one begin it."""
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_head()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._end_wait()

    def pause_writing(self) -> None:
        """Begin to wait for an answer to be taken; a close would wait for that too."""
        super().pause_writing()
        self._taking = self._taking or self.loop.call_later(self.head_s, self.transport.abort)

    def resume_writing(self) -> None:
        """End that wait: the answer is taken."""
        self._end_taking()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End both waits with the connection."""
        self._end_wait()
        self._end_taking()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._deadline = self.loop.call_later(self.head_s, self.transport.close)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None


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
    service = Service(answering, settings, figures, clock.now_ns)
    with bind(settings.host, settings.port) as sock:
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
