"""A request in, an answer out: a picture's predictions, or those of an activation. No socket, no event loop.

The worker over HTTP and the function on AWS Lambda are both rims around this.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cloud_worker.bodies import Ready, answers, most_boxes, ready_activation, ready_pixels
from cloud_worker.library import Library, Model
from cloud_worker.refusals import FAULTS, REASON_CHARACTERS, FailedFrame, UnknownBundle, UnknownModel
from headwater.clock import Stage, Stopwatch
from headwater.errors import Malformed, TooLarge, WireError
from headwater.logs import event
from headwater.messages import MAX_BOXES, Activation, Answered, Box, Offload, Prediction, Refused, decode, encode_json
from models.crop import MAX_FACES, Crop, CropError, open_crop
from models.errors import ModelError
from models.pictures import DataError, decode_picture

log = logging.getLogger(__name__)

PICTURES: Final = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}
"""How a body of each type begins."""
FORMATS: Final = {"image/jpeg": "JPEG", "image/png": "PNG"}
"""What each type is called where it is decoded."""
TENSOR: Final = "application/msgpack"
JSON: Final = "application/json"
PREDICT, OFFLOAD = "/v1/predict", "/v1/offload"
MAX_WHOLE_PIXELS: Final = 16_000_000
"""The most pixels that are held at once: of a JPEG after it was reduced as it is decoded, of a PNG all."""


class WrongType(WireError):
    """A body is of a type that this address does not take."""

    def __init__(self, got: str, expected: str, remedy: str) -> None:
        super().__init__(f"content type: got {got[:80]}, expected {expected}; {remedy}")


STATUSES: Final = (
    (UnknownModel, 404),
    (UnknownBundle, 404),
    (TooLarge, 413),
    (WrongType, 415),
    (Malformed, 400),
    (CropError, 501),
    (DataError, 422),
    (FailedFrame, 500),
    (WireError, 422),
    (ModelError, 500),
)
"""What each error is over HTTP; the first that fits."""


@dataclass(frozen=True)
class Request:
    """One request as a whole."""

    content_type: str
    body: bytes
    query: Mapping[str, str]
    received_ns: int
    """When its last byte was there, by the stage clock."""


@dataclass(frozen=True)
class Answer:
    """What is answered: a status and JSON."""

    status: int
    body: bytes
    said: Answered | None = None
    """What the body says, of a request that has its predictions."""

    @property
    def stages_ns(self) -> Mapping[Stage, int]:
        """Return how long each stage took, none of a request that was refused."""
        return {} if self.said is None else self.said.stages_ns


@dataclass(frozen=True)
class Bounds:
    """The most that one request may ask for."""

    body_bytes: int = 10_000_000
    pixels: int = 50_000_000


def refused(status: int, reason: str) -> Answer:
    """Return the answer to a request that is not finished."""
    line = " ".join(reason.split())[:REASON_CHARACTERS].encode("utf-8", "replace").decode()
    return Answer(status, encode_json(Refused(line)))


class Answering:
    """Answers requests with the models of one library; for one thread at a time."""

    def __init__(
        self, library: Library, worker: str, bundle: str, now_ns: Callable[[], int], bounds: Bounds = Bounds()
    ) -> None:
        """Take what answers; `bundle` is that of requests that name none."""
        self._library, self._worker, self._bundle = library, worker, bundle
        self._now_ns, self._bounds = now_ns, bounds

    def prepare(self) -> None:
        """Load the model of requests that name none, and what cuts its pictures, so that the first is not slow.

        Raises: WireError, ModelError; not for a crop that cannot be had here, without which tensors are still finished.
        """
        model = self._library.named(self._bundle)
        model.runner.whole()
        try:
            self._crop_of(model)
        except CropError as error:
            log.warning(event("pictures cannot be answered", bundle=self._bundle, reason=error))

    def predict(self, request: Request) -> Answer:
        """Return what a model says of a picture of any size, seen as a device would see it."""
        return self._attempt(request, self._predicted)

    def offload(self, request: Request) -> Answer:
        """Return what the tail behind a split says of an activation."""
        return self._attempt(request, self._offloaded)

    def _attempt(self, request: Request, step: Callable[[Request, Stopwatch], Answered]) -> Answer:
        watch = Stopwatch({"inbox": max(0, self._now_ns() - request.received_ns)})
        try:
            answered = step(request, watch)
            return Answer(200, encode_json(answered), answered)
        except (WireError, ModelError) as error:
            return refused(_status(error), str(error))
        except FAULTS as error:
            log.exception(event("failed at a request", content_type=request.content_type, bytes=len(request.body)))
            return refused(500, str(FailedFrame(error)))

    def _predicted(self, request: Request, watch: Stopwatch) -> Answered:
        _check_query(request.query, {"bundle"})
        _check_picture(request)
        model = self._library.named(request.query.get("bundle", self._bundle))
        wanted = model.bundle.input
        crop = self._crop_of(model)
        size = crop.size_to_decode(wanted.width, wanted.height)
        picture = decode_picture(
            request.body,
            max_pixels=self._bounds.pixels,
            at_least=size,
            max_decoded=MAX_WHOLE_PIXELS,
            formats=(FORMATS[_media_type(request)],),
        )
        watch.lap("decode")
        cuts = crop.cut(picture, wanted.width, wanted.height)
        watch.lap("crop")
        if not cuts:
            return self._answered(model, "image", [], request, watch)
        boxes = tuple(Box(*cut.box) for cut in cuts if cut.box is not None)
        return self._run(ready_pixels(model, [cut.pixels for cut in cuts], boxes), "image", request, watch)

    @staticmethod
    def _crop_of(model: Model) -> Crop:
        return _crop(model.bundle.input.crop, max(1, min(MAX_FACES, MAX_BOXES, most_boxes(model))))

    def _offloaded(self, request: Request, watch: Stopwatch) -> Answered:
        _check_query(request.query, set())
        if _media_type(request) != TENSOR:
            raise WrongType(_media_type(request) or "none", TENSOR, f"a picture goes to {PREDICT}")
        asked = decode(Offload, request.body, self._bounds.body_bytes)
        model = self._library.model(asked.digest, asked.bundle)
        body = Activation(asked.tensor, asked.boxes)
        ready = ready_activation(model, asked.split, body, self._bounds.body_bytes)
        watch.lap("decode")
        return self._run(ready, asked.split, request, watch)

    def _run(self, ready: Ready, split: str, request: Request, watch: Stopwatch) -> Answered:
        found = answers(ready)
        watch.lap("tail")
        return self._answered(ready.model, split, found, request, watch)

    def _answered(
        self, model: Model, split: str, found: list[Prediction], request: Request, watch: Stopwatch
    ) -> Answered:
        bundle, replied_ns = model.bundle, self._now_ns()
        return Answered(
            bundle.name, bundle.digest, split, self._worker, request.received_ns, replied_ns, watch.stages_ns, found
        )


@lru_cache(maxsize=4)
def _crop(name: str, most: int) -> Crop:
    return open_crop(name, max_faces=most)


def _status(error: Exception) -> int:
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def _media_type(request: Request) -> str:
    return request.content_type.partition(";")[0].strip().lower()


def _check_picture(request: Request) -> None:
    """Raises: WrongType when the body's type is none that is taken, or its bytes are of another."""
    kind = _media_type(request)
    if kind not in PICTURES:
        expected = " or ".join(PICTURES)
        raise WrongType(kind or "none", expected, f"send the picture's file as it is; an activation goes to {OFFLOAD}")
    if not request.body.startswith(PICTURES[kind]):
        start = request.body[:8].hex() or "no bytes"
        raise WrongType(f"{kind} with a body that begins with {start}", PICTURES[kind].hex(), "name the type it has")


def _check_query(query: Mapping[str, str], known: set[str]) -> None:
    unknown = sorted(query.keys() - known)
    if unknown:
        expected = f"only {', '.join(sorted(known))}" if known else "none"
        raise Malformed(f"query: got {unknown[0][:80]!r}, expected {expected}; correct the address")
