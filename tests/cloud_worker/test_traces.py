"""A worker goes on with the trace of a frame that its device has sampled, and with no other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from cloud_worker.answering import PREDICT
from cloud_worker.inbox import Delivery
from cloud_worker.refusals import REASON_CHARACTERS
from cloud_worker.traces import HttpTraces, follow
from headwater.errors import Malformed
from headwater.messages import encode
from headwater.trace_context import TraceContext, read_traceparent
from headwater.traces import Span
from models.pictures import encode_png
from tests.cloud_worker.fleet import BOOT, Bench, Camera, deliver, make_bundle
from tests.cloud_worker.requests import answering, request

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", is_sampled=True)
UNSAMPLED = TraceContext(PARENT.trace_id, PARENT.span_id, is_sampled=False)


class Told(list[Span]):
    """A collector of paper."""

    def __call__(self, spans: Sequence[Span]) -> None:
        self.extend(spans)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(make_bundle(tmp_path))


@pytest.fixture
def bench(tmp_path: Path, camera: Camera, told: Told) -> Bench:
    return Bench(tmp_path, tell=told)


def traced(camera: Camera, sequence: int, context: TraceContext | str | None = PARENT, split: str = "") -> Delivery:
    """Return a frame with its traceparent, as it comes in."""
    found = None if context is None else str(context)
    return deliver(encode(camera.frame(sequence, split or None)), traceparent=found)


@pytest.mark.parametrize("split", ["conv_a", "image", "device"])
def test_a_frame_is_a_span_below_the_device_s_and_its_stages_add_up(
    bench: Bench, camera: Camera, told: Told, split: str
) -> None:
    """From its coming in until it is stored, each wait for other frames where it was."""
    delivery = traced(camera, 7, split=split)
    bench.finish(delivery)
    whole, *parts = told
    assert (whole.name, whole.kind, whole.trace_id, whole.parent_id) == (
        "finish", "consumer", PARENT.trace_id, PARENT.span_id,
    )  # fmt: skip
    assert {(part.trace_id, part.parent_id) for part in parts} == {(whole.trace_id, whole.span_id)}
    names = ["inbox", "batch", "decode", "batch", *(["tail"] if split != "device" else []), "batch", "store"]
    assert [part.name for part in parts] == names
    assert (whole.start_ns, whole.end_ns) == (parts[0].start_ns, parts[-1].end_ns)
    assert whole.start_ns == delivery.received_ns
    assert all(one.end_ns == following.start_ns for one, following in pairwise(parts))
    (result,) = bench.replies.results
    for stage, took_ns in result.stages_ns.items():
        assert sum(part.end_ns - part.start_ns for part in parts if part.name == stage) == took_ns
    assert whole.facts == {
        "headwater.fleet": "demo",
        "headwater.worker": "w1",
        "headwater.bytes": len(delivery.message.payload),
        "headwater.frame.id": f"cam1-{BOOT}-7",
        "headwater.device": "cam1",
        "headwater.bundle": "tiny",
        "headwater.digest": camera.bundle.digest,
        "headwater.split": split,
        "headwater.codec": "native+zstd",
        "headwater.duplicate": False,
    }


def test_who_reads_the_store_can_go_on_with_the_trace(bench: Bench, camera: Camera, told: Told) -> None:
    """The record names the worker's span; that of a frame which is not traced is as it ever was."""
    bench.finish(traced(camera, 1), traced(camera, 2, UNSAMPLED), traced(camera, 3, None))
    first, *others = bench.store.records
    assert first.traceparent == f"00-{PARENT.trace_id}-{told[0].span_id}-01"
    assert [record.traceparent for record in others] == [UNSET, UNSET]
    assert {span.trace_id for span in told} == {PARENT.trace_id}
    assert [span.name for span in told].count("finish") == 1


def test_a_frame_that_comes_again_is_marked(bench: Bench, camera: Camera, told: Told) -> None:
    """Two spans below one parent, the second of a duplicate."""
    bench.finish(traced(camera, 1))
    bench.finish(traced(camera, 1))
    wholes = [span for span in told if span.name == "finish"]
    assert [span.facts["headwater.duplicate"] for span in wholes] == [False, True]
    assert len({span.span_id for span in wholes}) == 2


def test_a_refused_frame_is_an_error(bench: Bench, camera: Camera, told: Told) -> None:
    """With the reason; of bytes that are no frame there are no facts but whose they are and how many."""
    broken = deliver(b"\x93garbage", traceparent=str(PARENT))
    bench.finish(broken, deliver(encode(camera.frame(2, digest="ab" * 32)), traceparent=str(PARENT)))
    assert [span.name for span in told] == ["finish", "finish"]
    assert [str(span.error).partition(":")[0] for span in told] == ["Malformed", "UnknownModel"]
    assert told[0].facts == {"headwater.fleet": "demo", "headwater.worker": "w1", "headwater.bytes": 8}
    assert told[1].facts["headwater.frame.id"] == f"cam1-{BOOT}-2"
    assert all(span.start_ns < span.end_ns for span in told)


def test_a_long_reason_is_cut(bench: Bench, camera: Camera, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is cut for the device: no span grows with what somebody sends."""

    def refuse(*_: object) -> None:
        raise Malformed("x" * 100_000)

    monkeypatch.setattr(bench.finisher, "prepare", refuse)
    bench.finish(traced(camera, 1))
    assert len(str(told[0].error)) == REASON_CHARACTERS


@pytest.mark.parametrize("traceparent", [None, "", "00-a-b-01", f"{PARENT}-x", f"ff{str(PARENT)[2:]}", str(UNSAMPLED)])
def test_a_traceparent_that_says_nothing_changes_nothing(
    bench: Bench, camera: Camera, told: Told, traceparent: str | None
) -> None:
    """The frame is finished, its record is as without, nobody is told."""
    bench.finish(traced(camera, 1, traceparent), deliver(b"garbage", traceparent=traceparent))
    assert [record.sequence for record in bench.store.records] == [1]
    assert bench.store.records[0].traceparent is UNSET
    assert told == []


@given(st.text())
def test_no_text_does_harm(text: str) -> None:
    """Whatever a device sends as its traceparent: no trail, or one that goes on with what it says."""
    trail = follow(text)
    assert trail is None or (trail.own.trace_id == trail.parent.trace_id and trail.own.span_id != trail.parent.span_id)


def test_a_worker_that_is_not_told_to_tells_nothing(tmp_path: Path, camera: Camera) -> None:
    """A sampled frame is finished as any other, and nothing is kept of its trace."""
    bench = Bench(tmp_path)
    bench.finish(traced(camera, 1), deliver(b"garbage", traceparent=str(PARENT)))
    assert bench.store.records[0].traceparent is UNSET


def test_a_stop_while_the_store_is_away_tells_nothing(bench: Bench, camera: Camera, told: Told) -> None:
    """The frame goes back, and whoever finishes it tells of it."""
    bench.store.away_for = 10**6
    bench.stop._after = 1
    bench.finish(traced(camera, 1))
    assert told == []


def asked(tmp_path: Path, told: Told, *traceparents: str, share: float = 0.0, body: bytes | None = None) -> Told:
    """Answer one picture over HTTP, and tell."""
    picture = encode_png(Camera(make_bundle(tmp_path)).picture(1))
    came = request(picture if body is None else body, "image/png")
    answer = answering(tmp_path).predict(came)
    HttpTraces(told, "w1", share, lambda: 10**9, lambda: 0.5).answered(PREDICT, traceparents, came, answer)
    return told


def test_a_request_is_a_span_below_that_of_who_asks(tmp_path: Path, told: Told) -> None:
    """Its stages are those of the answer, one after the other, and it ends when the answer was made."""
    whole, *parts = asked(tmp_path, told, str(PARENT))
    assert (whole.name, whole.kind, whole.trace_id, whole.parent_id) == (
        "POST /v1/predict", "server", PARENT.trace_id, PARENT.span_id,
    )  # fmt: skip
    assert [part.name for part in parts] == ["inbox", "decode", "crop", "tail"]
    assert all(one.end_ns == following.start_ns for one, following in pairwise(parts))
    assert whole.start_ns == parts[0].start_ns
    assert parts[-1].end_ns <= whole.end_ns
    assert whole.facts["http.response.status_code"] == 200
    assert (whole.facts["headwater.bundle"], whole.facts["headwater.split"]) == ("tiny", "image")
    assert whole.error is None


def test_a_request_that_is_refused_is_told_with_its_status(tmp_path: Path, told: Told) -> None:
    """It is the asker's fault, so it is no error of the worker; it has no stages."""
    (whole,) = asked(tmp_path, told, str(PARENT), body=b"no picture")
    assert (whole.facts["http.response.status_code"], whole.error, whole.end_ns) == (415, None, 10**9)


@pytest.mark.parametrize(
    ("traceparents", "share", "is_told"),
    [
        ((), 0.0, False),
        ((), 0.5, False),
        ((), 0.6, True),
        ((str(UNSAMPLED),), 1.0, False),
        (("nonsense",), 0.6, True),
        ((str(PARENT), str(PARENT)), 0.0, False),
        ((str(PARENT), str(PARENT)), 0.6, True),
    ],
)
def test_who_asks_decides_and_else_the_share(
    tmp_path: Path, told: Told, traceparents: tuple[str, ...], share: float, is_told: bool
) -> None:
    """The draw is 0.5. What is malformed, or there twice, is as good as none: a trace of the worker's own."""
    asked(tmp_path, told, *traceparents, share=share)
    assert bool(told) == is_told
    if told:
        assert told[0].parent_id is None
        assert told[0].trace_id != PARENT.trace_id
        assert read_traceparent(f"00-{told[0].trace_id}-{told[0].span_id}-01")
