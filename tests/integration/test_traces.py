"""Real processes and a collector of traces: one frame is one trace, and a collector that is away harms nobody."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import websockets.sync.client

from headwater.children import Child, start
from headwater.clock import STAGES
from headwater.probes import free_port
from headwater.trace_export import BATCH_SPANS, QUEUE_SPANS
from headwater.traces import Span, Teller, collected, new_span_id
from models.pictures import encode_png
from tests.cloud_worker.fleet import Camera, make_bundle
from tests.collector import Collector, Taken, collector
from tests.edge.samples import bundle_folder, write_pictures
from tests.servers import BrokerUnderTest, StoreUnderTest, eventually

READY_S, DONE_S = 30.0, 40.0
FRAMES = 6
TELLER = Teller("edge", "cam1")
NOTHING_OF_IT = ("opentelemetry.exporter", "opentelemetry.sdk.trace", "headwater.trace_export")
TELL_WHAT_IS_LOADED = f"""
import atexit, sys
found = lambda: [name for name in sys.modules if name.startswith({NOTHING_OF_IT!r})]
atexit.register(lambda: print("loaded", sorted(found()), file=sys.stderr))
sys.argv[0] = "headwater"
from headwater.cli import main
main()
"""


class Bench:
    """Broker, store and collector, and the processes that are started on them."""

    def __init__(self, folder: Path, broker: str, store: str, told: Collector, running: ExitStack) -> None:
        self.folder, self.broker, self.store, self.told = folder, broker, store, told
        self.bundle = bundle_folder(folder / "bundles" / "tiny")
        self.said: dict[str, str] = {}
        self._running = running

    def start(self, name: str, *arguments: str, ready: str, program: tuple[str, ...] = ("-m", "headwater")) -> Child:
        """Return a command that has said that it is ready; its log is in a file."""
        log = self.folder / f"{name}.log"
        child = start(name, [sys.executable, *program, *arguments], log=log)
        self._running.callback(child.stop)
        self.said[name] = child.wait_for_line(ready, READY_S)
        return child

    def device(self, *flags: str, **options: Any) -> Child:
        pictures = write_pictures(self.folder / "pictures", FRAMES)
        at = ["--broker", self.broker, "--spool", str(self.folder / "spool"), "--name", "cam1", "--bundle"]
        usual = [*at, str(self.bundle), "--source", str(pictures), "--split", "add", "--log-level", "info", "--json"]
        return self.start("device", "edge", *usual, *flags, ready="ready device", **options)

    def worker(self, *flags: str, **options: Any) -> Child:
        at = ["--broker", self.broker, "--store", self.store, "--bundles", str(self.bundle.parent)]
        usual = [*at, "--name", "w1", "--processes", "1"]
        return self.start("worker", "worker", *usual, *flags, ready="ready worker", **options)

    def site(self, *flags: str, **options: Any) -> Child:
        usual = ["--store", self.store, "--port", "0", "--tiles", "none"]
        return self.start("site", "visualizer", *usual, *flags, ready="listening", **options)

    def log(self, name: str) -> list[str]:
        """Return what a process has written to stderr."""
        return (self.folder / f"{name}.log").read_text().splitlines()

    def loaded(self, name: str) -> str:
        """Return what a process that has ended had loaded of OpenTelemetry."""
        return next(line for line in self.log(name) if line.startswith("loaded "))


@pytest.fixture
def told() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture
def bench(mosquitto: BrokerUnderTest, valkey: StoreUnderTest, told: Collector, tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as running:
        yield Bench(tmp_path, mosquitto.url, valkey.url, told, running)


def summary(device: Child) -> dict[str, Any]:
    """Return a device's figures at its end."""
    found: dict[str, Any] = json.loads(device.wait_for_line("{", DONE_S))
    assert device.wait(10) == 0
    return found


def one(spans: list[Taken], name: str) -> Taken:
    """Return the only span of that name."""
    (found,) = [span for span in spans if span.name == name]
    return found


def below(spans: list[Taken], parent: Taken) -> list[Taken]:
    """Return the children of a span, in the order of their beginning."""
    return sorted((span for span in spans if span.parent == parent.id), key=lambda span: (span.start_ns, span.end_ns))


def assert_in_a_row(parts: list[Taken], whole: Taken) -> None:
    """They fill their parent without a gap, one after the other."""
    assert (parts[0].start_ns, parts[-1].end_ns) == (whole.start_ns, whole.end_ns)
    assert all(first.end_ns == following.start_ns for first, following in pairwise(parts))
    assert sum(part.took_ns for part in parts) == whole.took_ns


def assert_one_frame(spans: list[Taken]) -> None:
    """Device, worker and site in one tree; durations add up, and what is known of the clocks ties them."""
    assert len({span.id for span in spans}) == len(spans)
    (whole,) = [span for span in spans if not span.parent]
    assert (whole.name, whole.service, whole.teller, whole.error) == ("frame", "headwater-edge", "cam1", "")
    parts = below(spans, whole)
    assert [part.name for part in parts] == ["capture", "crop", "head", "encode", "spool", "send"]
    assert [STAGES.index(part.name) for part in parts[:-1]] == list(range(5))  # type: ignore[arg-type]
    assert_in_a_row(parts, whole)
    sent, finish = one(spans, "send"), one(spans, "finish")
    assert {span.id for span in below(spans, sent)} == {one(spans, n).id for n in ("uplink", "finish", "downlink")}
    assert (finish.service, finish.teller, finish.parent) == ("headwater-worker", "w1", sent.id)
    at_worker = [part for part in below(spans, finish) if part.service == finish.service]
    assert_in_a_row(at_worker, finish)
    assert [part.name for part in at_worker if part.name != "batch"] == ["inbox", "decode", "tail", "store"]
    ways_ns = one(spans, "uplink").took_ns + one(spans, "downlink").took_ns
    assert ways_ns + finish.took_ns <= sent.took_ns
    offset_ns, unsure_ns = (whole.facts[f"headwater.clock.{one}_ns"] for one in ("offset", "uncertainty"))
    assert sent.start_ns - unsure_ns <= finish.start_ns - offset_ns
    assert finish.end_ns - offset_ns <= sent.end_ns + unsure_ns
    read, push = one(spans, "read"), one(spans, "push")
    assert (read.service, read.parent, push.parent) == ("headwater-visualizer", finish.id, read.id)
    assert read.end_ns == push.start_ns <= push.end_ns


def test_one_frame_is_one_trace_from_the_capture_to_the_browser(bench: Bench) -> None:
    """Device, worker and site tell of each frame, and a collector finds the pieces to belong together."""
    flags = ("--traces", bench.told.url)
    site = bench.site(*flags)
    address = bench.said["site"].split()[1]
    worker = bench.worker(*flags)
    with websockets.sync.client.connect(address.replace("http", "ws") + "/live", origin=address) as browser:
        while not json.loads(browser.recv(READY_S)).get("header", {}).get("store", {}).get("there"):
            pass  # what the site catches up with it does not tell of
        found = summary(bench.device(*flags))
        assert found["finished"]["worker"] == FRAMES
        assert eventually(lambda: [span.name for span in bench.told.spans].count("push") == FRAMES, DONE_S)
        assert eventually(lambda: [span.name for span in bench.told.spans].count("finish") == FRAMES, DONE_S)
    assert (worker.stop(), site.stop()) == (0, 0)
    traces = bench.told.traces()
    assert len(traces) == FRAMES
    for spans in traces.values():
        assert_one_frame(spans)
        facts = {span.name: span.facts for span in spans}
        for name in ("frame", "finish", "read"):
            assert facts[name]["headwater.frame.id"] == facts["frame"]["headwater.frame.id"]
        digest = facts["frame"]["headwater.digest"]
        assert (facts["finish"]["headwater.digest"], len(digest)) == (digest, 64)
        assert facts["frame"]["headwater.bytes"] == facts["finish"]["headwater.bytes"]
        assert facts["frame"]["headwater.outcome"] == "finished"
    assert bench.told.addresses == {("/v1/traces", "application/x-protobuf")}


@pytest.mark.parametrize("how", ["refuses", "hangs", "has no such address"])
def test_a_collector_that_is_away_holds_up_and_loses_nothing(bench: Bench, how: str) -> None:
    """Every frame is finished once; one line says so, without a traceback, and both processes end in good time."""
    url = f"http://127.0.0.1:{free_port()}" if how == "refuses" else bench.told.url
    bench.told.status = 404 if how == "has no such address" else 200
    if how == "hangs":
        bench.told.answers.clear()
    worker = bench.worker("--traces", url)
    found = summary(bench.device("--traces", url))
    assert (found["captured"], found["finished"]["worker"], found["dropped"]) == (FRAMES, FRAMES, {})
    assert found["in_flight"] == 0
    assert worker.stop() == 0
    for name in ("device", "worker"):
        lost = [line for line in bench.log(name) if "traces are lost, the stream goes on" in line]
        ended = [line for line in bench.log(name) if " traces spans=" in line]
        assert len(lost) <= 1
        assert len(ended) == 1
        assert "sent=0" in ended[0]
        assert not any("Traceback" in line or " opentelemetry." in line for line in bench.log(name))
        if how != "hangs":  # then it may end before the first batch has failed
            (line,) = lost
            assert {"refuses": "refused", "has no such address": "404"}[how] in line


def span(name: str) -> Span:
    """Return a span of a trace of its own."""
    return Span(name, new_span_id() * 2, new_span_id(), None, 1, 2)


def test_a_collector_that_comes_back_is_told_again(told: Collector, caplog: pytest.LogCaptureFixture) -> None:
    """The log has one line for each turn, however many batches fail; at the end it says what was lost."""
    caplog.set_level(logging.INFO, "headwater.trace_export")
    told.status = 404
    with collected(told.url, TELLER) as tell:
        assert tell is not None
        for number in (1, 2):
            tell([span("lost")])
            assert eventually(lambda number=number: told.asked == number, DONE_S)
        told.status = 200
        tell([span("found")])
        assert eventually(lambda: told.spans, DONE_S)
    assert [taken.name for taken in told.spans] == ["found"]
    lines = [record.getMessage().partition(" collector=")[0] for record in caplog.records]
    assert lines == [
        "traces are lost, the stream goes on", "traces are taken again", "traces spans=3 sent=1 lost=2",
    ]  # fmt: skip


def test_while_a_collector_hangs_only_so_much_is_kept(told: Collector) -> None:
    """Telling never waits; the oldest of what waits goes, and what came last is sent when it answers."""
    told.answers.clear()
    with collected(told.url, TELLER) as tell:
        assert tell is not None
        for number in range(3 * QUEUE_SPANS // 8):
            tell([span(f"{number}")] * 8)
        told.answers.set()
        assert eventually(lambda: f"{number}" in {taken.name for taken in told.spans}, DONE_S)
    assert len(told.spans) <= QUEUE_SPANS + 2 * BATCH_SPANS


def test_times_that_no_clock_shows_harm_no_other_span(told: Collector) -> None:
    """The encoding has no negative times: such a span is moved, and those sent with it come too."""
    with collected(told.url, TELLER) as tell:
        assert tell is not None
        tell([span("first"), replace(span("odd"), start_ns=-(2**62), end_ns=-1), span("last")])
    assert {taken.name: (taken.start_ns, taken.end_ns) for taken in told.spans} == {
        "first": (1, 2), "odd": (0, 0), "last": (1, 2),
    }  # fmt: skip


def test_without_traces_nothing_of_it_is_loaded(bench: Bench) -> None:
    """By none of the processes, from their start to their end; with --traces it is."""
    program = ("-c", TELL_WHAT_IS_LOADED)
    alone = ("--in-hand-file", str(bench.folder / "in-hand"))
    worker, site = bench.worker(*alone, program=program), bench.site(program=program)
    assert summary(bench.device(program=program))["finished"]["worker"] == FRAMES
    assert (worker.stop(), site.stop()) == (0, 0)
    assert {name: bench.loaded(name) for name in ("device", "worker", "site")} == dict.fromkeys(
        ("device", "worker", "site"), "loaded []"
    )
    bench.worker("--traces", bench.told.url)
    summary(bench.device("--traces", bench.told.url, program=program))
    assert "'headwater.trace_export'" in bench.log("device")[-1]


@pytest.mark.parametrize(
    "command",
    [["edge", "--source", "pattern:64x64"], ["worker"], ["worker-http"], ["visualizer"], ["demo"]],
)
def test_without_the_extra_one_line_says_what_to_install(command: list[str]) -> None:
    """Before anything begins, with status 2."""
    program = "import sys; sys.modules['opentelemetry.exporter'] = None; from headwater.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "--traces", "http://127.0.0.1:4318"],
        capture_output=True, text=True, check=False, timeout=DONE_S,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "headwater: error: OpenTelemetry's exporter is not installed, needed for --traces;"
        " install the extra traces (docs/install.md)"
    ]


@pytest.mark.parametrize(
    ("command", "flags", "words"),
    [
        (["edge", "--source", "pattern:64x64"], ["--traces", "127.0.0.1:4318"], "--traces: got '127.0.0.1:4318'"),
        (["worker"], ["--traces", "grpc://127.0.0.1:4317"], "--traces: got 'grpc://127.0.0.1:4317'"),
        (["worker-http"], ["--trace-share", "2"], "--trace-share: got 2.0, expected 0 to 1"),
        (["edge", "--source", "pattern:64x64"], ["--trace-share", "-1"], "--trace-share: got -1.0, expected 0 to 1"),
        (["visualizer"], ["--traces", "http://"], "--traces: got 'http://'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(command: list[str], flags: list[str], words: str) -> None:
    """Before anything begins, with status 2."""
    done = subprocess.run(
        [sys.executable, "-m", "headwater", *command, *flags],
        capture_output=True, text=True, check=False, timeout=DONE_S,
    )  # fmt: skip
    assert (done.returncode, words in done.stderr, len(done.stderr.splitlines())) == (2, True, 1)


def test_a_request_over_http_goes_on_with_the_trace_of_who_asks(told: Collector, tmp_path: Path) -> None:
    """With a traceparent it is below that span; without one it is a trace of its own, by the share; 00 is not told."""
    camera = Camera(make_bundle(tmp_path / "bundles"))
    flags = ["--port", "0", "--bundle", "tiny", "--bundles", str(tmp_path / "bundles"), "--name", "h1"]
    command = [sys.executable, "-m", "headwater", "worker-http", *flags, "--traces", told.url, "--trace-share", "0"]
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with start("http", command) as child:
        address = child.wait_for_line("ready http", READY_S).split()[-1]
        for traceparent in (f"00-{trace}-{parent}-01", f"00-{trace}-{parent}-00", "nonsense"):
            headers = {"Content-Type": "image/png", "traceparent": traceparent}
            body = encode_png(camera.picture(1))
            with urllib.request.urlopen(urllib.request.Request(f"{address}/v1/predict", body, headers)) as answer:
                assert answer.status == 200
        assert child.stop() == 0
    whole = one(told.spans, "POST /v1/predict")
    assert (whole.service, whole.teller, whole.trace, whole.parent) == ("headwater-worker-http", "h1", trace, parent)
    parts = below(told.spans, whole)
    assert [part.name for part in parts] == ["inbox", "decode", "crop", "tail"]
    assert all(first.end_ns == following.start_ns for first, following in pairwise(parts))
    assert len(told.spans) == 5
