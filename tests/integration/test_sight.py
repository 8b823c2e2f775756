"""Real processes tell their figures and their health, and both are true."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headwater.children import Child, start
from headwater.messages import encode
from headwater.probes import free_port
from tests.cloud_worker.fleet import make_bundle
from tests.edge.samples import write_pictures
from tests.integration.test_device import Bench, summary
from tests.integration.test_worker import Site, assert_each_once
from tests.metrics_page import told
from tests.servers import BrokerUnderTest, StoreUnderTest, eventually, need

DONE_S = 40.0
SOON = ("--unwell-after", "1")


class Looker:
    """Who asks one process."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.flags = ("--metrics", str(self.port))

    def get(self, path: str) -> tuple[int, str, bytes]:
        """Return status, type and body."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read()
        finally:
            link.close()

    def health(self) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of /health."""
        status, _, body = self.get("/health")
        return status, json.loads(body)

    def turns(self, status: int) -> dict[str, Any]:
        """Wait until /health has that status; return what it says then."""
        found: list[dict[str, Any]] = []

        def has_turned() -> bool:
            is_now, said = self.health()
            found.append(said)
            return is_now == status

        assert eventually(has_turned, DONE_S), found[-1]
        return found[-1]

    def says(self, reason: str) -> None:
        """Wait until /health is 503 with a reason that begins so."""

        def is_said() -> bool:
            status, said = self.health()
            return status == 503 and any(one.startswith(reason) for one in said["reasons"])

        assert eventually(is_said, DONE_S), (reason, self.health())

    def samples(self) -> dict[str, float]:
        """Return every sample by its name and the values of its labels."""
        return {
            " ".join([sample.name, *sample.labels.values()]): sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[2].decode())
            for sample in family.samples
        }

    def asked(self, *arguments: str) -> tuple[int, str]:
        """Return exit status and line of `headwater health`."""
        command = [sys.executable, "-m", *arguments, f"127.0.0.1:{self.port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DONE_S)
        return done.returncode, done.stdout


def assert_as_told(looker: Looker, part: str) -> None:
    """Names, types and labels are those of docs/metrics.md, beside the process's own."""
    status, kind, body = looker.get("/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    page, found = told(part), {}
    for family in text_string_to_metric_families(body.decode()):
        if family.name.startswith("process_"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = family.type
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(page[name][1]), sample
    assert found == {name: kind for name, (kind, _) in page.items()}
    assert b"process_resident_memory_bytes " in body


def test_a_worker_s_figures_add_up(site: Site) -> None:
    """received = answered + refused, answered = stored + duplicates, every frame in one batch; as the page tells."""
    looker = Looker()
    site.worker(*looker.flags, "--batch", "4")
    device = site.device(resend_s=DONE_S)
    splits = ["image", "device", device.camera.cuts[0]]
    for sequence in range(12):
        device.send(sequence, splits[sequence % 3])
    assert_each_once(site, device, 12)
    device.publish(encode(device.camera.frame(0, "device")))  # again
    device.publish(b"nonsense")
    ended = "headwater_worker_frames_"
    assert eventually(lambda: looker.samples().get(f"{ended}refused_total Malformed") == 1, DONE_S)
    assert eventually(lambda: looker.samples()[f"{ended}duplicate_total"] >= 1, DONE_S)
    found = looker.samples()
    assert found[f"{ended}answered_total picture"] == found[f"{ended}answered_total activation"] == 4
    answered = sum(n for name, n in found.items() if name.startswith(f"{ended}answered_total"))
    assert found[f"{ended}received_total"] == answered + 1
    assert answered == found[f"{ended}stored_total"] + found[f"{ended}duplicate_total"]
    assert found[f"{ended}stored_total"] == 12
    assert found[f"{ended}refused_total UnknownModel"] == 0
    assert found["headwater_worker_stage_seconds_count store"] == answered
    assert found["headwater_worker_stage_seconds_count tail"] == 8
    assert found["headwater_worker_batch_frames_sum"] == found[f"{ended}received_total"]
    batches = sum(n for name, n in found.items() if name.startswith("headwater_worker_batches_total"))
    assert found["headwater_worker_batch_frames_count"] == batches
    assert found["headwater_worker_well"] == found["headwater_worker_connected"] == 1
    assert_as_told(looker, "worker")
    status, said = looker.health()
    assert (status, said["status"], said["part"], said["name"], said["reasons"]) == (200, "well", "worker", "w1", [])
    assert said["counts"]["received"] == said["counts"]["answered"] + said["counts"]["refused"]
    assert 0 <= said["last_finished_s_ago"] <= said["up_s"]


def test_a_tail_that_hangs_makes_the_worker_unwell_and_the_command_says_so(site: Site, tmp_path: Path) -> None:
    """503 while one frame is in hand, with the reason; `headwater health` ends with 0, 1 and 2."""
    looker, held = Looker(), tmp_path / "held"
    addresses = ["--broker", site.broker.url, "--store", site.store.url, "--bundles", str(site.folder)]
    held_up = [sys.executable, "-m", "tests.integration.held_up", "cloud_worker.tail:answers", str(held)]
    worker = start("w1", [*held_up, "worker", *addresses, "--processes", "1", "--name", "w1", *looker.flags, *SOON])
    site.workers.append(worker)
    worker.wait_for_line("ready worker", DONE_S)
    device = site.device(resend_s=60.0)
    assert looker.asked("headwater.health")[0] == 0
    held.touch()
    for sequence in range(3):
        device.send(sequence)
    looker.says("one frame has been in hand for ")
    assert looker.get("/alive")[0] == 503
    status, line = looker.asked("headwater", "health")
    assert (status, line.startswith("unwell: worker w1: one frame has been in hand")) == (1, True)
    assert looker.samples()["headwater_worker_well"] == 0
    assert looker.samples()["headwater_worker_in_hand_seconds"] > 1
    assert looker.samples()["headwater_worker_busy_seconds_total"] > 1
    device.send(3)
    assert eventually(lambda: looker.samples()["headwater_worker_inbox_oldest_seconds"] > 0.5, DONE_S)
    held.unlink()
    assert looker.turns(200)["reasons"] == []
    assert_each_once(site, device, 4)
    assert looker.samples()["headwater_worker_inbox_oldest_seconds"] == 0
    worker.signal_all(signal.SIGSTOP)
    assert looker.asked("headwater.health")[0] == 2
    worker.signal_all(signal.SIGCONT)
    assert looker.turns(200)["counts"]["answered"] == 4


def test_a_store_or_broker_that_is_away_makes_an_idle_worker_unwell(site: Site) -> None:
    """503 while either is gone, though no frame needs it; 200 again when it is back."""
    looker = Looker()
    site.worker(*looker.flags, *SOON)
    assert looker.turns(200)["last_finished_s_ago"] is None
    site.store.stop()
    looker.says("the store has taken nothing for ")
    assert looker.get("/alive")[0] == 200
    assert looker.samples()["headwater_worker_store_up"] == 0
    site.store.start()
    assert looker.turns(200)["store_up"] is True
    site.broker.stop()
    looker.says("no connection to the broker for ")
    assert looker.get("/alive")[0] == 200
    site.broker.start()
    assert looker.turns(200)["connected"] is True


def test_a_store_that_hangs_with_frames_in_hand_is_seen(site: Site) -> None:
    """It answers nothing and refuses nothing: unwell; when it goes on, everything is stored once."""
    looker = Looker()
    site.worker(*looker.flags, *SOON)
    device = site.device(resend_s=60.0)
    device.send(0)
    assert_each_once(site, device, 1)
    site.store.pause()
    device.send(1)
    looker.says("the store has taken nothing")
    site.store.resume()
    looker.turns(200)
    assert_each_once(site, device, 2)


def test_a_camera_that_goes_on_handing_out_the_same_picture_is_stale(bench: Bench) -> None:
    """A live pipeline of one colour: 503 with the reason, a figure, and no new picture in the status; frames go on."""
    need("gst-launch-1.0")
    looker, worker = Looker(), bench.worker()
    pipeline = "gst:videotestsrc is-live=true pattern=red ! video/x-raw,width=64,height=48,framerate=20/1"
    bench.device("--source", pipeline, "--stale-after", "1", *looker.flags)
    looker.says("stale camera: the source has given the same picture")
    assert looker.samples()["headwater_edge_same_picture_seconds"] > 1
    came = worker.different
    assert eventually(lambda: worker.different > came, DONE_S)
    before = len(worker.statuses)
    assert eventually(lambda: len(worker.statuses) >= before + 2, DONE_S)
    first, second = worker.statuses[before : before + 2]
    assert second.captured > first.captured
    assert first.last_captured_ns is not None
    assert second.last_captured_ns == first.last_captured_ns < worker.frames[-1].captured_ns


def test_a_device_s_figures_add_up(bench: Bench) -> None:
    """captured = finished + dropped + in flight; stages, bytes, link and clock are told; as the page tells."""
    looker, worker = Looker(), bench.worker()
    device = bench.device("--loop", "--rate", "40", *looker.flags)
    edge = "headwater_edge_"
    assert eventually(lambda: looker.samples()[f"{edge}frames_finished_total worker"] >= 40, DONE_S)
    worker.answers = False
    assert eventually(lambda: looker.samples()[f"{edge}spool_frames"] >= 5, DONE_S)
    assert eventually(lambda: looker.samples()[f"{edge}frames_resent_total"] >= 1, DONE_S)  # no answer is on its way
    found = looker.samples()
    ended = sum(n for name, n in found.items() if "frames_finished_total" in name or "frames_dropped_total" in name)
    assert found[f"{edge}frames_captured_total"] == ended + found[f"{edge}frames_in_flight"]
    assert found[f"{edge}stage_seconds_count head"] == found[f"{edge}frames_finished_total worker"]
    assert found[f"{edge}journey_seconds_count"] == found[f"{edge}frames_finished_total worker"]
    assert found[f"{edge}frames_dropped_total overflow"] == 0
    assert found[f"{edge}sent_bytes_total"] >= sum(len(encode(frame)) for frame in worker.frames[:40])
    assert 0 < found[f"{edge}spool_bytes"] <= found[f"{edge}spool_limit_bytes"]
    assert 0 < found[f"{edge}link_round_trip_seconds"] < 5
    assert abs(found[f"{edge}clock_offset_seconds"]) <= found[f"{edge}clock_uncertainty_seconds"] + 1
    (info,) = [name.split()[1:] for name in found if name.startswith(f"{edge}way_info")]
    assert sorted(info) == sorted(["tiny", "add", worker.frames[-1].codec])
    assert_as_told(looker, "edge")
    status, said = looker.health()
    counts = said["counts"]
    assert (status, said["name"], said["connected"]) == (200, "cam1", True)
    assert counts["captured"] + counts["recovered"] == counts["finished"] + counts["dropped"] + counts["in_flight"]
    worker.answers = True
    device.signal(signal.SIGTERM)
    assert summary(device)["in_flight"] == 0


def test_frames_sent_again_are_counted(bench: Bench) -> None:
    """A silent worker makes the device send again, and the figure grows."""
    looker, worker = Looker(), bench.worker(answers=False)
    bench.device(*looker.flags)
    assert eventually(lambda: looker.samples()["headwater_edge_frames_resent_total"] >= 1, DONE_S)
    assert worker.different >= 1


def test_a_broken_link_is_said_and_is_no_illness(bench: Bench, mosquitto: BrokerUnderTest) -> None:
    """The broker is gone for longer than anything may take: the device goes on, well, and says so."""
    looker = Looker()
    bench.worker()
    bench.device("--loop", "--rate", "20", *looker.flags, *SOON)
    assert eventually(lambda: looker.health()[1]["counts"]["finished"] > 5, DONE_S)
    mosquitto.stop()
    assert eventually(lambda: (looker.health()[1]["broker_away_s"] or 0) > 2, DONE_S)
    said = looker.turns(200)
    assert (said["reasons"], said["connected"]) == ([], False)
    assert looker.samples()["headwater_edge_connected"] == 0
    mosquitto.start()
    assert eventually(lambda: looker.health()[1]["connected"], DONE_S)


def held_up(bench: Bench, where: str, held: Path, looker: Looker, *flags: str) -> Child:
    """Start a device in which one function waits while the file is there."""
    pictures = write_pictures(bench.folder / "held-up", 20)
    command = [sys.executable, "-m", "tests.integration.held_up", where, str(held), "edge", "--source", str(pictures)]
    device = [*("--bundle", str(bench.bundle), "--spool", str(bench.spool), "--broker", bench.url, "--name", "cam1")]
    child = start(
        "device", [*command, *device, "--split", "add", "--loop", "--rate", "20", *flags, *looker.flags, *SOON]
    )
    bench.children.append(child)
    child.wait_for_line("ready device", DONE_S)
    return child


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("edge.sources.files:read_picture", "the source has given no picture for "),
        ("models.stages:StagedHead.run", "the head has worked on one picture for "),
        ("edge.outbox:Outbox.commit", "the sender has not moved for "),
    ],
)
def test_what_hangs_in_a_device_makes_it_unwell(bench: Bench, tmp_path: Path, where: str, reason: str) -> None:
    """Its source, its head or its sender: 503 with the reason, and 200 again when it goes on."""
    looker, held = Looker(), tmp_path / "held"
    bench.worker()
    held_up(bench, where, held, looker)
    assert eventually(lambda: looker.health()[1]["counts"]["finished"] > 3, DONE_S)
    held.touch()
    looker.says(reason)
    held.unlink()
    assert looker.turns(200)["reasons"] == []


def test_a_file_that_ended_is_well_and_a_source_that_failed_is_not(bench: Bench) -> None:
    """Both devices wait for a worker that does not answer; only the second one's source owes pictures."""
    looker, worker = Looker(), bench.worker(answers=False)
    device = bench.device(*looker.flags, *SOON, pictures=5)
    assert eventually(lambda: worker.different == 5, DONE_S)
    assert eventually(lambda: looker.health()[1]["up_s"] > 3, DONE_S)
    assert looker.health()[0] == 200
    worker.answers = True
    assert summary(device)["in_flight"] == 0
    worker.answers = False
    pictures = write_pictures(bench.folder / "some", 5)
    bench.device(*looker.flags, "--source", str(pictures), "--loop", "--rate", "20")
    assert eventually(lambda: looker.health()[1]["counts"]["captured"] > 5, DONE_S)
    for picture in pictures.iterdir():
        picture.unlink()
    looker.says("the source failed: ")


def test_the_site_is_unwell_without_its_store(valkey: StoreUnderTest) -> None:
    """At its own address and at --metrics: 200, 503 while the store is away, 200 again; as the page tells."""
    beside = Looker()
    flags = ["--store", valkey.url, "--port", "0", "--tiles", "none", *SOON, *beside.flags]
    with start("site", [sys.executable, "-m", "headwater", "visualizer", *flags]) as child:
        line = child.wait_for_line("listening", DONE_S)
        own = Looker(int(line.rpartition(":")[2]))
        for looker in (own, beside):
            assert looker.turns(200)["counts"] == {"frames": 0, "browsers": 0, "devices": 0}
            assert_as_told(looker, "visualizer")
        valkey.stop()
        own.says("the store has not been read for ")
        assert beside.samples()["headwater_site_store_errors_total"] >= 1
        assert beside.get("/alive")[0] == 200
        assert beside.samples()["headwater_site_well"] == 0
        valkey.start()
        assert beside.turns(200)["store_up"] is True
        assert own.samples()["headwater_site_store_read_age_seconds"] < 5


def test_the_http_worker_s_figures_are_those_of_the_page(tmp_path: Path) -> None:
    """It tells them at its own address, and `headwater health` reads them there."""
    make_bundle(tmp_path / "bundles")
    flags = ["--port", "0", "--bundle", "tiny", "--bundles", str(tmp_path / "bundles"), "--name", "h1"]
    with start("http", [sys.executable, "-m", "headwater", "worker-http", *flags]) as child:
        looker = Looker(int(child.wait_for_line("ready http", DONE_S).rpartition(":")[2]))
        looker.get("/nothing")
        assert_as_told(looker, "worker-http")
        assert looker.asked("headwater.health") == (
            0, "well: worker-http h1, nothing finished yet, finished 0, waiting 0\n",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "more", "words"),
    [
        ("edge", ["--source", "pattern:"], "--metrics: got '0', expected"),
        ("worker", [], "--metrics: got '0', expected"),
        ("visualizer", ["--port", "0"], "--metrics: got '0', expected"),
    ],
)
def test_an_address_that_is_none_is_refused_in_one_line(command: str, more: list[str], words: str) -> None:
    """Before anything begins, with status 2."""
    done = subprocess.run(
        [sys.executable, "-m", "headwater", command, *more, "--metrics", "0"],
        capture_output=True, text=True, check=False, timeout=DONE_S,
    )  # fmt: skip
    assert (done.returncode, words in done.stderr, len(done.stderr.splitlines())) == (2, True, 1)


def test_logs_are_json_from_the_first_line_to_the_last(site: Site, tmp_path: Path) -> None:
    """Settings, life and refusals of a real worker: every line of ours is one object."""
    looker = Looker()
    worker = site.worker(*looker.flags, "--log-format", "json")
    device = site.device()
    device.publish(b"nonsense")
    assert eventually(lambda: looker.health()[1]["counts"]["refused"] == 1, DONE_S)
    assert worker.stop() == 0
    lines = [line for line in (tmp_path / "w1.log").read_text().splitlines() if line.startswith("{")]
    events = {entry["event"]: entry for entry in map(json.loads, lines)}
    assert {"settings", "connected", "in sight", "refused", "stopped"} <= set(events)
    assert events["in sight"]["health"] == f"http://127.0.0.1:{looker.port}/health"
    assert (events["refused"]["level"], events["refused"]["error"]) == ("WARNING", "Malformed")
    assert (events["stopped"]["received"], events["stopped"]["refused"]) == (1, 1)
    assert all(entry["time"].endswith("+00:00") for entry in events.values())
