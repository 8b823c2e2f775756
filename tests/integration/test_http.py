"""A real worker over HTTP on loopback: every refusal in one line, nobody held up by anybody else."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cloud_worker.answering import OFFLOAD, PREDICT, TENSOR
from headwater.children import Child, start
from headwater.codec import Codec, encode_tensor
from headwater.messages import Answered, Refused, decode_json
from models.pictures import encode_png
from tests.cloud_worker.fleet import Camera, make_bundle
from tests.cloud_worker.requests import offload
from tests.servers import eventually

READY_S, DONE_S = 30.0, 30.0
LARGE = encode_png(np.tile(np.arange(3900, dtype=np.uint32)[:, None, None] // 16 % 256, (1, 3900, 3)).astype(np.uint8))
"""A picture of few bytes that takes some hundred milliseconds to decode."""


class Running:
    """A worker and how it is asked."""

    def __init__(self, folder: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "headwater", "worker-http", "--port", "0", "--name", "w1", "--bundle", "tiny"]
        self.log = folder.parent / "worker.log"
        self.child: Child = start("w1", [*command, "--bundles", str(folder), *flags], log=self.log)
        line = self.child.wait_for_line("ready http", READY_S)
        found = re.fullmatch(r"ready http w1 http://127\.0\.0\.1:(\d+)", line)
        assert found, line
        self.port = int(found[1])

    def ask(
        self, path: str, body: bytes | None = None, kind: str = "", method: str | None = None, timeout_s: float = DONE_S
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            headers = {"Content-Type": kind} if kind else {}
            connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
            got = connection.getresponse()
            return got.status, {name.lower(): value for name, value in got.getheaders()}, got.read()
        finally:
            connection.close()

    def refusal(self, path: str, body: bytes | None, kind: str = "", method: str | None = None) -> tuple[int, str]:
        """Return the status and the one line of a request that is refused."""
        status, headers, found = self.ask(path, body, kind, method)
        assert headers["content-type"] == "application/json"
        return status, decode_json(Refused, found).error

    def raw(self, *pieces: bytes) -> socket.socket:
        """Return a connection on which some bytes were sent."""
        link = socket.create_connection(("127.0.0.1", self.port), DONE_S)
        for piece in pieces:
            link.sendall(piece)
        return link


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(make_bundle(tmp_path / "bundles"))


@pytest.fixture
def worker(tmp_path: Path, camera: Camera) -> Iterator[Running]:
    running = Running(tmp_path / "bundles")
    yield running
    running.child.stop()


def png(camera: Camera, sequence: int) -> bytes:
    return encode_png(camera.picture(sequence))


def head(length: int, path: str = PREDICT, kind: str = "image/png") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: w\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()


def answer(link: socket.socket) -> tuple[int, bytes]:
    """Return the status and body of the answer on a connection."""
    response = http.client.HTTPResponse(link)
    response.begin()
    return response.status, response.read()


def bomb(side: int) -> bytes:
    """Return a PNG of few bytes whose header announces side x side pixels."""
    chunks = (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 10**6, 9))
    packed = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_pictures_and_tensors_are_answered(worker: Running, camera: Camera) -> None:
    """With the whole model's own predictions, on one connection after the other and on one that is kept."""
    for sequence in range(3):
        status, _, body = worker.ask(PREDICT, png(camera, sequence), "image/png")
        assert status == 200
        assert decode_json(Answered, body).predictions == camera.expected(sequence)
    kept = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=DONE_S)
    for split in camera.cuts:
        kept.request("POST", OFFLOAD, offload(camera, 5, split), {"Content-Type": TENSOR})
        got = kept.getresponse()
        assert decode_json(Answered, got.read()).predictions == camera.expected(5)
    kept.close()


def test_what_cannot_be_answered_is_refused_in_one_line(worker: Running, camera: Camera) -> None:
    """Type, address, method, bundle, digest, numbers, picture bombs; and the worker goes on."""
    picture, split = png(camera, 1), camera.cuts[0]
    (values,) = camera.engine.head(split).run(camera.input(1))
    nan = encode_tensor(np.full_like(values, np.nan), Codec("native", "zstd"))
    cases = [
        (PREDICT, picture, "text/plain", None, 415, "got text/plain"),
        (PREDICT, picture, "image/jpeg", None, 415, "begins with 89504e47"),
        (f"{PREDICT}?bundle=tinny", picture, "image/png", None, 404, "did you mean tiny?"),
        (f"{PREDICT}?bundel=tiny", picture, "image/png", None, 400, "'bundel'"),
        (PREDICT, bomb(20_000), "image/png", None, 422, "pixels"),
        (PREDICT, None, "", None, 405, "take POST"),
        ("/v2/predict", picture, "image/png", None, 404, "/docs"),
        (f"{PREDICT}/", picture, "image/png", None, 404, "/docs"),
        ("/health", b"", "", "DELETE", 405, "take POST"),
        (OFFLOAD, b"not a message", TENSOR, None, 400, "offload of 13 B"),
        (OFFLOAD, offload(camera, 1, split, digest="f" * 64), TENSOR, None, 404, "in no bundle"),
        (OFFLOAD, offload(camera, 1, split, tensor=nan), TENSOR, None, 422, "NaN or infinity"),
    ]  # fmt: skip
    for path, body, kind, method, status, hint in cases:
        got, line = worker.refusal(path, body, kind, method)
        assert (got, hint in line) == (status, True), (path, got, line)
    assert worker.ask(PREDICT, picture, "image/png")[0] == 200


def test_a_body_over_the_limit_is_never_held(tmp_path: Path, camera: Camera) -> None:
    """413 to one that says so, to one that says it is much longer, and to one that does not say how long it is."""
    worker = Running(tmp_path / "bundles", "--max-body-bytes", "100000", "--bodies-bytes", "100000")
    assert worker.refusal(PREDICT, b"x" * 150_000, "image/png") == (
        413, "body of 150000 B is over the limit of 100000 B; raise the limit or pick a deeper split")  # fmt: skip
    with worker.raw(head(10**12)) as link:
        assert answer(link)[0] == 413
    with worker.raw(b"POST /v1/predict HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n") as link:
        sent = 0
        try:
            while sent < 10**9:
                link.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                sent += 65_536
        except OSError:
            pass
    assert sent < 50_000_000  # what sockets hold on the way, then it was cut off
    assert json.loads(worker.ask("/health")[2])["status"] == "well"
    assert b"headwater_http_held_bytes 0.0\n" in worker.ask("/metrics")[2]
    worker.child.stop()


def test_all_bodies_together_are_bounded(tmp_path: Path, camera: Camera) -> None:
    """What slow clients have sent so far counts; one for which there is no room is answered 503."""
    worker = Running(tmp_path / "bundles", "--max-body-bytes", "100000", "--bodies-bytes", "150000")
    with worker.raw(head(90_000), b"x" * 80_000) as first:
        assert eventually(lambda: b"held_bytes 80000.0" in worker.ask("/metrics")[2])
        status, headers, body = worker.ask(PREDICT, b"x" * 90_000, "image/png")
        assert (status, headers["retry-after"]) == (503, "1")
        assert "bodies are held" in decode_json(Refused, body).error
        first.sendall(b"x" * 10_000)
        assert answer(first)[0] == 415
    assert worker.ask(PREDICT, png(camera, 1), "image/png")[0] == 200
    worker.child.stop()


def test_a_busy_worker_says_so(tmp_path: Path, camera: Camera) -> None:
    """With one place, of twelve that come at once some are answered and the others told when to come again."""
    worker = Running(tmp_path / "bundles", "--waiting", "1")
    with ThreadPoolExecutor(12) as clients:
        found = list(clients.map(lambda _: worker.ask(PREDICT, LARGE, "image/png"), range(12)))
    statuses = {status for status, _, _ in found}
    assert statuses == {200, 503}
    busy = [(headers, decode_json(Refused, body).error) for status, headers, body in found if status == 503]
    assert all(
        headers["retry-after"] == "1" and line.startswith("busy: 1 in hand or waiting") for headers, line in busy
    )
    assert worker.ask(PREDICT, png(camera, 1), "image/png")[0] == 200
    worker.child.stop()


def test_slow_clients_hold_up_nobody(tmp_path: Path, camera: Camera) -> None:
    """Half a head, half a body: others are answered meanwhile, and the slow are let go after the time they have."""
    worker = Running(tmp_path / "bundles", "--waiting", "2", "--upload-timeout", "2")
    halves = [worker.raw(head(50_000), b"\x89PNG") for _ in range(20)]
    heads = [worker.raw(b"POST /v1/predict HTTP/1.1\r\nHost:") for _ in range(20)]
    for sequence in range(5):
        status, _, body = worker.ask(PREDICT, png(camera, sequence), "image/png", timeout_s=5)
        assert status == 200
        assert decode_json(Answered, body).predictions == camera.expected(sequence)
    for link in halves:
        status, body = answer(link)
        assert (status, "not there after 2 s" in decode_json(Refused, body).error) == (408, True)
        link.close()
    for link in heads:
        assert link.recv(1) == b""
        link.close()
    worker.child.stop()


def test_connections_are_bounded(tmp_path: Path, camera: Camera) -> None:
    """The last that there may be is answered, one more is answered 503 at once; when others are gone it is answered."""
    worker = Running(tmp_path / "bundles", "--connections", "3", "--upload-timeout", "5")
    idle = [worker.raw() for _ in range(2)]
    assert worker.ask("/health")[0] == 200
    idle.append(worker.raw())
    status, headers, _ = worker.ask("/health")
    assert (status, "retry-after" in headers) == (503, False)
    for link in idle:
        assert link.recv(1) == b""  # nothing came of them in their time
        link.close()
    assert worker.ask(PREDICT, png(camera, 1), "image/png")[0] == 200
    worker.child.stop()


def test_a_client_that_takes_no_answers_is_let_go(tmp_path: Path, camera: Camera) -> None:
    """It asks again and again and reads nothing: after its time the one connection that there may be is free."""
    worker = Running(tmp_path / "bundles", "--connections", "1", "--upload-timeout", "5")
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.connect(("127.0.0.1", worker.port))
        link.setblocking(False)
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: w\r\n\r\n" * 2000
        assert link.send(asked) > len(asked) / 2
        assert worker.ask("/health")[0] == 503
        assert eventually(lambda: worker.ask(PREDICT, png(camera, 1), "image/png")[0] == 200)
    worker.child.stop()


def test_a_head_without_end_is_cut_off(worker: Running, camera: Camera) -> None:
    """No more of it is held than the parser's bound."""
    with worker.raw(b"POST /v1/predict HTTP/1.1\r\nHost: w\r\nX: ") as link:
        sent = 0
        try:
            while sent < 10**9:
                link.sendall(b"x" * 65_536)
                sent += 65_536
        except OSError:
            pass
    assert sent < 50_000_000
    assert worker.ask(PREDICT, png(camera, 1), "image/png")[0] == 200


def test_a_kept_connection_that_dribbles_is_let_go(tmp_path: Path, camera: Camera) -> None:
    """The time for a head counts for every request of a connection."""
    worker = Running(tmp_path / "bundles", "--upload-timeout", "1")
    picture = png(camera, 1)
    with worker.raw(head(len(picture)), picture) as link:
        assert answer(link)[0] == 200
        link.sendall(b"POST /v1/predict HTTP/1.1\r\n")
        assert link.recv(1) == b""
    worker.child.stop()


def test_a_client_that_goes_away_changes_nothing(worker: Running, camera: Camera) -> None:
    """In the middle of its body, or before its answer."""
    worker.raw(head(50_000), b"x" * 10_000).close()
    worker.raw(head(len(LARGE)), LARGE).close()
    assert worker.ask(PREDICT, png(camera, 1), "image/png")[0] == 200
    assert eventually(lambda: b"held_bytes 0.0\n" in worker.ask("/metrics")[2])
    assert b'status="499"' in worker.ask("/metrics")[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_is_in_hand(worker: Running, camera: Camera, number: signal.Signals) -> None:
    """One that is being computed and one whose body is half here are answered; new ones find nobody; status 0."""
    picture = png(camera, 2)
    with worker.raw(head(len(picture)), picture[:100]) as half, worker.raw(head(len(LARGE)), LARGE) as whole:
        eventually(lambda: json.loads(worker.ask("/health")[2])["in_hand_s"] is not None)
        worker.child.signal(number)
        eventually(lambda: not _listens(worker.port))
        assert not _listens(worker.port)
        half.sendall(picture[100:])
        for link, expected in ((whole, None), (half, camera.expected(2))):
            status, body = answer(link)
            assert status == 200
            assert expected in (None, decode_json(Answered, body).predictions)
    assert worker.child.wait(DONE_S) == 0
    assert "Traceback" not in worker.log.read_text()
    assert "finished=2" in worker.log.read_text()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_example_runs(worker: Running, camera: Camera, tmp_path: Path) -> None:
    """examples/offload.py gets the whole model's answer for a picture, and says in one line what is wrong."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(png(camera, 3))
    example, bundle = Path(__file__).parents[2] / "examples" / "offload.py", str(camera.bundle.folder)
    url = f"http://127.0.0.1:{worker.port}"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(example), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    done = run(bundle, camera.cuts[0], str(picture), url)
    assert decode_json(Answered, done.stdout).predictions == camera.expected(3), done.stderr
    assert done.stderr.endswith(" B sent\n")
    for arguments, hint in (
        ((bundle, "none", str(picture), url), "none"),
        ((bundle, camera.cuts[0], str(picture), "http://127.0.0.1:9"), "refused"),
        ((bundle, camera.cuts[0], str(picture), "127.0.0.1"), "unknown url type"),
        (("litter", "block_9_add", str(picture)), "give a bundle"),
    ):
        wrong = run(*arguments)
        assert (wrong.returncode, hint in wrong.stderr.splitlines()[-1]) == (1, True), wrong.stderr
        assert "Traceback" not in wrong.stderr


def test_health_tells_the_truth(worker: Running, camera: Camera) -> None:
    """What is loaded, how many were finished, how long ago, and whether one is in hand now."""
    before = json.loads(worker.ask("/health")[2])
    assert (before["status"], before["models"], before["counts"]["finished"]) == ("well", ["tiny"], 0)
    assert before["last_finished_s_ago"] is before["in_hand_s"] is None
    sent = threading.Thread(target=worker.ask, args=(PREDICT, LARGE, "image/png"))
    sent.start()
    assert eventually(lambda: json.loads(worker.ask("/health")[2])["counts"]["waiting"] == 1)
    sent.join()
    worker.ask(PREDICT, b"x", "image/png")
    after = json.loads(worker.ask("/health")[2])
    assert (after["counts"], after["in_hand_s"]) == ({"finished": 1, "waiting": 0}, None)
    assert 0 <= after["last_finished_s_ago"] < after["up_s"]


def test_figures_are_those_of_prometheus(worker: Running, camera: Camera) -> None:
    """Every line has the form; buckets only grow and end at the count; requests are counted by route and status."""
    for _ in range(3):
        worker.ask(PREDICT, png(camera, 1), "image/png")
    worker.ask(PREDICT, b"x", "image/png")
    worker.ask("/nothing/of/ours")
    status, headers, body = worker.ask("/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    samples = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    assert samples['headwater_http_requests_total{route="/v1/predict",status="200"}'] == 3
    assert samples['headwater_http_requests_total{route="/v1/predict",status="415"}'] == 1
    assert samples['headwater_http_requests_total{route="unknown",status="404"}'] == 1
    buckets = [value for name, value in samples.items() if "_bucket{" in name and 'stage="tail"' in name]
    assert buckets == sorted(buckets)
    assert buckets[-1] == samples['headwater_http_stage_seconds_count{route="/v1/predict",stage="tail"}'] == 3


def test_the_document_leads_nowhere_else_and_says_what_is_there(worker: Running) -> None:
    """Every address of the document answers, every reference resolves, and the page loads nothing."""
    status, _, body = worker.ask("/openapi.json")
    found = json.loads(body)
    assert (status, found["openapi"]) == (200, "3.1.0")
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            got = worker.ask(path, b"" if method == "post" else None)[0]
            assert str(got) in operation["responses"], (path, got)
    for name in re.findall(r'"#/components/schemas/(\w+)"', body.decode()):
        assert found["components"]["schemas"][name]["description"]
    assert "\\\\Z" not in body.decode()
    page = worker.ask("/docs")[2].decode()
    assert not re.search(r"<script|https?://|<link|<img|@import", page)
    assert set(re.findall(r'href="#(\w+)"', page)) <= set(re.findall(r'id="(\w+)"', page))


def test_a_wrong_start_is_one_line(tmp_path: Path, camera: Camera) -> None:
    """A bundle that there is not, a taken port, bounds that contradict: status 2 before it is ready."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for number, (flags, hint) in enumerate(
            (
                (["--bundle", "litterr"], "did you mean litter?"),
                (["--port", port], "cannot listen on 127.0.0.1"),
                (["--max-body-bytes", "100000000"], "--bodies-bytes: got 64000000, expected at least"),
                (["--waiting", "0"], "--waiting: got 0, expected 1 to 65535"),
            )
        ):
            log = tmp_path / f"{number}.log"
            child = start("wrong", [sys.executable, "-m", "headwater", "worker-http", *flags], log=log)
            assert child.wait(DONE_S) == 2
            said = log.read_text()
            assert "Traceback" not in said
            assert hint in said.splitlines()[-1]
