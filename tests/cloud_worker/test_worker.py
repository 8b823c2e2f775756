"""The loop: publish, then acknowledge; each frame once; no message stops it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_worker.hand import REFUSED, key_of
from cloud_worker.inbox import Delivery
from cloud_worker.tail import Work
from headwater.clock import STAGES
from headwater.messages import VERSION, Finished, Journey, Journeys, encode
from headwater.stopping import stop_on_signals
from tests.cloud_worker.fleet import BOOT, Bench, Camera, Clock, PaperStop, deliver, make_bundle


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(make_bundle(tmp_path))


@pytest.fixture
def bench(tmp_path: Path, camera: Camera) -> Bench:
    return Bench(tmp_path)


def test_a_batch_is_stored_answered_then_acknowledged(bench: Bench, camera: Camera) -> None:
    """One write for the batch, all results, then all acknowledgements."""
    batch = [camera.delivery(1), camera.delivery(2, "image"), camera.delivery(3, "device")]
    bench.finish(*batch)
    assert bench.store.calls == 1
    assert bench.replies.order == ["result"] * 3 + ["ack"] * 3
    assert bench.replies.acked == batch
    assert [result.id.sequence for result in bench.replies.results] == [1, 2, 3]
    assert bench.counters.snapshot() == {"answered": 3, "duplicates": 0, "received": 3, "stored": 3}


def test_nothing_is_answered_before_it_is_stored(bench: Bench, camera: Camera) -> None:
    """While the store is away nothing is said."""
    seen: list[int] = []
    add = bench.store.add

    def looking_add(records):
        seen.append(len(bench.replies.said))
        return add(records)

    bench.store.add = looking_add  # type: ignore[method-assign]
    bench.store.away_for = 2
    bench.finish(camera.delivery(1))
    assert seen == [0, 0, 0]


def test_the_record_says_all_of_the_frame(bench: Bench, camera: Camera) -> None:
    """Device's and worker's stages stand in one record, with who finished the frame."""
    delivery = camera.delivery(7)
    bench.finish(delivery, camera.delivery(8, "device"))
    record, by_device = bench.store.records
    frame = camera.frame(7)
    assert (record.device, record.boot, record.sequence, record.fleet) == ("cam1", BOOT, 7, "demo")
    assert (record.captured_ns, record.name, record.bundle) == (frame.captured_ns, "7.jpg", "tiny")
    assert (record.digest, record.split, record.codec) == (camera.bundle.digest, camera.cuts[0], "native+zstd")
    assert record.payload_bytes == len(delivery.message.payload)
    assert (record.finished_by, record.worker) == ("worker", "w1")
    assert (by_device.finished_by, by_device.worker) == ("device", None)
    assert record.predictions == camera.expected(7)
    assert {"capture", "head", "inbox", "decode", "batch", "tail", "store"} == set(record.stages_ns)
    assert set(record.stages_ns) <= set(STAGES)


def test_the_result_ties_the_clocks(bench: Bench, camera: Camera) -> None:
    """The frame's own stamp comes back with the worker's two, and only the worker's stages."""
    delivery = camera.delivery(7)
    bench.finish(delivery)
    (result,) = bench.replies.results
    assert (result.sent_ns, result.received_ns) == (5007, delivery.received_ns)
    assert result.replied_ns > delivery.taken_ns
    assert list(result.stages_ns) == ["inbox", "batch", "decode", "tail", "store"]
    assert sum(result.stages_ns.values()) <= result.replied_ns - result.received_ns
    assert result.predictions == camera.expected(7)
    assert result.refused is None


def test_an_exit_is_kept(bench: Bench, camera: Camera) -> None:
    """Where a device left its network stands in record and result."""
    bench.finish(camera.delivery(1, "device", body=Finished(camera.expected(1), exit="exit1")))
    assert bench.store.records[0].exit == "exit1"
    assert bench.replies.results[0].exit == "exit1"


def test_a_duplicate_is_answered_and_not_stored_again(bench: Bench, camera: Camera) -> None:
    """The first answer may have been lost, so the second is as good."""
    bench.finish(camera.delivery(1))
    bench.finish(camera.delivery(1), camera.delivery(2), camera.delivery(2))
    assert [record.sequence for record in bench.store.records] == [1, 2]
    assert [result.predictions for result in bench.replies.results] == [camera.expected(n) for n in (1, 1, 2, 2)]
    assert bench.counters["duplicates"] == 2
    assert len(bench.replies.acked) == 4


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"digest": "ab" * 32}, "UnknownModel"),
        ({"version": 9}, "UnknownVersion"),
        ({"split": "device", "body": "activation"}, "UnfitFrame"),
        ({"split": "no_such_cut", "body": "activation"}, "UnfitFrame"),
        ({"split": "block_9", "body": "picture"}, "UnfitFrame"),
    ],
)
def test_a_refused_frame_is_reported_answered_and_acknowledged(
    bench: Bench, camera: Camera, change: dict[str, object], error: str
) -> None:
    """Operators hear the reason, the device too, the broker forgets it, and the frames around it are finished."""
    bodies = {"activation": camera.body(2, camera.cuts[0]), "picture": camera.body(2, "image")}
    if isinstance(change.get("body"), str):
        change = {**change, "body": bodies[str(change["body"])]}
    frame = camera.frame(2, **{"split": camera.cuts[0], **change})  # type: ignore[arg-type]
    poison = deliver(encode(frame), correlation=str(frame.id).encode())
    bench.finish(camera.delivery(1), poison, camera.delivery(3))
    assert [record.sequence for record in bench.store.records] == [1, 3]
    (dead,) = bench.replies.deads
    assert (dead.error, dead.worker, dead.topic) == (error, "w1", "headwater/v1/demo/cam1/frame")
    assert dead.size_bytes == len(poison.message.payload)
    assert dead.sample == poison.message.payload[:1024]
    (refusal,) = [result for result in bench.replies.results if result.refused]
    assert (refusal.id, refusal.refused) == (frame.id, dead.reason)
    assert len(bench.replies.acked) == 3
    assert (bench.counters["refused"], bench.counters[f"refused_{error}"]) == (1, 1)


def test_garbage_is_answered_by_its_correlation_data(bench: Bench) -> None:
    """Where the payload cannot be read, the message's correlation data names the frame."""
    bench.finish(deliver(b"\x00garbage", correlation=f"cam1-{BOOT}-17".encode()))
    assert bench.replies.order == ["dead", "result", "ack"]
    assert str(bench.replies.results[0].id) == f"cam1-{BOOT}-17"
    assert "Malformed" in bench.replies.deads[0].error


@pytest.mark.parametrize("correlation", [None, b"", b"\xff\xfe", b"no id", f"cam2-{BOOT}-17".encode()])
def test_garbage_of_nobody_is_only_reported(bench: Bench, correlation: bytes | None) -> None:
    """Without a frame id, or with that of another device, no device is answered."""
    bench.finish(deliver(bytes(5000), correlation=correlation))
    assert bench.replies.order == ["dead", "ack"]
    assert len(bench.replies.deads[0].sample) == 1024


def test_a_frame_of_another_device_is_not_answered(bench: Bench, camera: Camera) -> None:
    """A device that speaks for another one cannot make a worker refuse the other's frames."""
    bench.finish(deliver(encode(camera.frame(1)), device="cam2", correlation=f"cam1-{BOOT}-1".encode()))
    assert bench.replies.order == ["dead", "ack"]


def test_a_fault_of_the_worker_refuses_one_frame(bench: Bench, camera: Camera, monkeypatch) -> None:
    """An error that nobody foresaw does not stop the stream, nor does the message come again."""
    run = bench.finisher.run

    def faulty(work: Work) -> None:
        if work.frame.id.sequence == 2:
            raise KeyError("surprise")
        run(work)

    monkeypatch.setattr(bench.finisher, "run", faulty)
    bench.finish(*(camera.delivery(n) for n in (1, 2, 3)))
    assert [record.sequence for record in bench.store.records] == [1, 3]
    assert bench.replies.deads[0].error == "FailedFrame"
    assert "KeyError" in bench.replies.deads[0].reason
    assert len(bench.replies.acked) == 3


def test_the_store_is_waited_for_with_back_off(bench: Bench, camera: Camera, caplog) -> None:
    """The batch stays in hand; the pauses grow to 2 s; one line when it is away and one when it is back."""
    bench.store.away_for = 8
    with caplog.at_level("INFO"):
        bench.finish(camera.delivery(1))
    assert bench.stop.waits == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    assert [r.getMessage().split(",")[0] for r in caplog.records] == ["store away", "store back"]
    assert bench.replies.order == ["result", "ack"]
    assert bench.counters["store_outages"] == 1


def test_a_stop_while_the_store_is_away_leaves_frames_unacknowledged(tmp_path: Path, camera: Camera) -> None:
    """They come back to another worker; what was refused in the same batch does not."""
    bench = Bench(tmp_path, stop=PaperStop(after=3))
    bench.store.away_for = 100
    poison = deliver(b"garbage")
    bench.finish(camera.delivery(1), poison, camera.delivery(2))
    assert bench.replies.order == ["dead", "ack"]
    assert bench.replies.acked == [poison]
    assert bench.counters["answered"] == 0


def test_slow_tails_are_answered_one_by_one(tmp_path: Path, camera: Camera) -> None:
    """A frame does not wait for the long tails of the others in its batch."""
    bench = Bench(tmp_path, clock=Clock(step_ns=15_000_000))
    bench.finish(*(camera.delivery(n) for n in (1, 2, 3)))
    assert bench.replies.order == ["result", "ack"] * 3


def test_a_clock_that_goes_back_harms_nothing(tmp_path: Path, camera: Camera) -> None:
    """A stage never lasts less than nothing, so every reader takes the record."""
    bench = Bench(tmp_path, clock=Clock(step_ns=-1000))
    bench.finish(camera.delivery(1), camera.delivery(2))
    for kept in (*bench.store.records, *bench.replies.results):
        assert min(kept.stages_ns.values()) >= 0


def journeys(count: int) -> bytes:
    return encode(Journeys(VERSION, [Journey(BOOT, n, 10, 20, 5, 100 + n) for n in range(count)]))


def test_journeys_are_stored_with_their_device(bench: Bench) -> None:
    """Each entry is kept under the device that the topic names."""
    bench.journeys.put(deliver(journeys(3), kind="journey"))
    bench.worker.keep_journeys()
    assert [(j.device, j.sequence, j.total_ns) for j in bench.store.journeys] == [
        ("cam1", 0, 100), ("cam1", 1, 101), ("cam1", 2, 102),
    ]  # fmt: skip


def test_journeys_never_wait_for_the_store(bench: Bench) -> None:
    """While it is away they are dropped and counted."""
    bench.store.away_for = 1
    bench.journeys.put(deliver(journeys(3), kind="journey"))
    bench.worker.keep_journeys()
    bench.worker.keep_journeys()
    assert bench.stop.waits == []
    assert bench.counters.snapshot() == {"journeys_dropped": 3}


@pytest.mark.parametrize(("payload", "device"), [(b"garbage", "cam1"), (journeys(1), "bad:name")])
def test_broken_journeys_are_refused(bench: Bench, payload: bytes, device: str) -> None:
    """They are reported, and those beside them are kept."""
    bench.journeys.put(deliver(payload, device=device, kind="journey"))
    bench.journeys.put(deliver(journeys(1), kind="journey"))
    bench.worker.keep_journeys()
    assert bench.replies.order == ["dead"]
    assert len(bench.store.journeys) == 1


def test_the_loop_ends_with_the_batch_in_hand(bench: Bench, camera: Camera) -> None:
    """A stop asked for while a batch is finished lets it be answered; what still waits stays for others."""

    class StopAfterOne:
        def is_set(self) -> bool:
            return bool(bench.replies.acked)

        def wait(self, timeout: float) -> bool:
            return self.is_set()

    for sequence in range(12):
        bench.frames.put(camera.delivery(sequence))
    bench.worker.run(StopAfterOne())
    assert len(bench.replies.acked) == 8
    assert len(bench.frames.take(99, 0)) == 4


def test_a_signal_stops_at_once() -> None:
    """SIGTERM sets the stop and ends its wait; the handlers from before come back."""
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as stop:
        assert not stop.is_set()
        assert not stop.wait(0)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(30)
        assert stop.is_set()
        stop.set()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_delivery_is_counted_once(bench: Bench, camera: Camera) -> None:
    """received = answered + refused, always."""
    batch: list[Delivery] = [camera.delivery(1), deliver(b"x"), camera.delivery(2, digest="00" * 32)]
    bench.finish(*batch)
    counts = bench.counters
    assert counts["received"] == counts["answered"] + counts["refused"] == 3


def test_what_came_in_before_the_stop_is_finished(bench: Bench, camera: Camera) -> None:
    """A worker that leaves hands nothing back that it was given."""
    for sequence in range(12):
        bench.frames.put(camera.delivery(sequence))
    bench.worker.drain()
    assert len(bench.replies.acked) == 12
    assert bench.frames.take(99, 0) == []


def test_leaving_takes_no_longer_than_it_may(tmp_path: Path, camera: Camera) -> None:
    """What is not finished by then goes back, and so does all while the store is away."""
    bench = Bench(tmp_path, clock=Clock(step_ns=1_000_000_000))
    for sequence in range(12):
        bench.frames.put(camera.delivery(sequence))
    bench.worker.drain(within_s=5.0)
    assert len(bench.replies.acked) == 8
    away = Bench(tmp_path, stop=PaperStop(after=0))
    away.store.away_for = 100
    for sequence in range(12):
        away.frames.put(camera.delivery(sequence))
    away.worker.drain()
    assert (away.store.calls, away.replies.acked) == (1, [])


def test_a_frame_at_which_a_worker_ended_is_refused(bench: Bench, camera: Camera) -> None:
    """Unread: its device is told by the correlation data, and lets go of it."""
    poison = camera.delivery(2)
    poison.message = replace(poison.message, correlation=f"cam1-{BOOT}-2".encode())
    bench.progress.hand.strike({key_of(poison.message): REFUSED})
    bench.finish(camera.delivery(1), poison, camera.delivery(3))
    assert [record.sequence for record in bench.store.records] == [1, 3]
    (dead,) = bench.replies.deads
    assert dead.error == "PoisonFrame"
    (refusal,) = [result for result in bench.replies.results if result.refused]
    assert (str(refusal.id), refusal.refused) == (f"cam1-{BOOT}-2", dead.reason)
    assert "hung or crashed" in dead.reason
    assert len(bench.replies.acked) == 3


def test_what_is_in_hand_is_known_while_it_runs(bench: Bench, camera: Camera, monkeypatch) -> None:
    """Each frame while it is decoded and run, and nothing while it is stored and answered."""
    held: list[dict[bytes, int]] = []
    run, add = bench.finisher.run, bench.store.add

    def looking_run(work: Work) -> None:
        held.append({delivery.key: 1 for delivery in bench.progress.holds})
        run(work)

    def looking_add(records):
        held.append({delivery.key: 1 for delivery in bench.progress.holds})
        assert bench.progress.waits
        return add(records)

    monkeypatch.setattr(bench.finisher, "run", looking_run)
    bench.store.add = looking_add  # type: ignore[method-assign]
    batch = [camera.delivery(1), camera.delivery(2)]
    bench.finish(*batch)
    assert held == [{key_of(delivery.message): 1} for delivery in batch] + [{}]
    assert not bench.progress.waits


def test_of_a_flood_of_garbage_only_some_is_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """All of it is counted, answered where somebody can be, and acknowledged; topic and log hear of a few."""
    for start in range(0, 400, 8):
        bench.finish(*(deliver(b"junk", correlation=f"cam1-{BOOT}-{start + n}".encode()) for n in range(8)))
    counts = bench.counters
    assert (counts["refused"], len(bench.replies.results), len(bench.replies.acked)) == (400, 400, 400)
    assert len(bench.replies.deads) == 20
    assert counts["refusals_untold"] == 400 - 20
    assert sum(record.levelname == "WARNING" for record in caplog.records) == 20
