"""A worker with a process for each core, beside LiteRT alone, LitServe and Flask with the same tail on the same cores.

Each is kept busy by one client over loopback that sends what was encoded beforehand and does not decode the answers:
ours with 64 frames under way, the others with 64 connections that stay open. Ours alone stores every answer and
answers through a broker. All are measured in turn, several times over, and the median of each counts: what the machine
does besides changes from minute to minute.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import multiprocessing
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from benchmarks.installation import installation
from benchmarks.measure import Row
from benchmarks.nets import cut_with_tail_of, keras_file, random_input
from benchmarks.peer_server import tail_of
from benchmarks.worker import WARM_UP, WINDOW, answers_per_s, folder_of, frame_message
from headwater.children import start
from headwater.codec import Codec, encode_tensor
from headwater.host import usable_cores
from headwater.probes import free_port
from models.bundle import Bundle
from models.engine import Engine

SECONDS, ROUNDS = 5.0, 3
READY_S = 60.0
PEERS = {"LitServe": "benchmarks.peer_litserve", "Flask": "benchmarks.peer_server"}
"""What serves with each."""
TAILS = ((1, "MobileNetV2", 160, {"LitServe": 2.0}), (30, "EfficientNetB4", 380, {"LiteRT alone": 0.95}))
"""Milliseconds, network, its size, and how many times as many frames as others a worker should finish."""


def run() -> list[Row]:
    """Return frames a second of all, and the ratios."""
    missing = [name for name in PEERS if importlib.util.find_spec(name.lower()) is None]
    if missing:
        raise SystemExit(
            f"benchmarks: {' and '.join(missing)} not installed; install the extra bench (docs/install.md)"
        )
    return [row for tail in TAILS for row in _one(*tail)]


def _one(tail_ms: int, network: str, size: int, goals: dict[str, float]) -> list[Row]:
    bundle, cores = Bundle.load(keras_file(network, size, "float32")), usable_cores()
    engine = Engine(bundle.model_path, outputs=bundle.finals, threads=1)
    split, _ = cut_with_tail_of(engine, tail_ms)
    array = random_input(engine.tail(split))
    message, body = frame_message(bundle, split, array), json.dumps({"tensor": _as_text(array)}).encode()

    def ours_per_s() -> float:
        with installation(bundles=folder_of(bundle), processes=cores) as at:
            return answers_per_s(at.broker, message, SECONDS)

    ways: dict[str, Callable[[], float]] = {
        "LiteRT alone": lambda: _alone_per_s(str(bundle.model_path), split, cores),
        "worker": ours_per_s,
        **{name: partial(_peer_per_s, name, bundle.model_path, split, cores, body) for name in PEERS},
    }
    rounds = [{name: measure() for name, measure in ways.items()} for _ in range(ROUNDS)]
    found = {name: statistics.median(one[name] for one in rounds) for name in ways}
    ours = found.pop("worker")
    what = f"tail of {tail_ms} ms, {cores} cores"
    return [
        Row(f"{what} ({network} at {split}): LiteRT alone", found["LiteRT alone"], "/s"),
        Row(f"{what}: worker, frames of {len(message):,} B", ours, "/s"),
        *(Row(f"{what}: {name}, bodies of {len(body):,} B", found[name], "/s") for name in PEERS),
        *(
            Row(f"{what}: worker / {name}", ours / theirs, "×", goals.get(name), "higher")
            for name, theirs in found.items()
        ),
    ]


def _as_text(array: np.ndarray) -> str:
    tensor = encode_tensor(array, Codec("native", "zstd"))
    return base64.b64encode(msgspec.msgpack.encode(tensor)).decode()


# -- LiteRT alone ------------------------------------------------------------------------------------------------------


def _alone_per_s(model: str, split: str, processes: int) -> float:
    """Return how many tails a second so many processes run that do nothing else."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        return sum(pool.starmap(_loop, [(model, split)] * processes, chunksize=1))


def _loop(model: str, split: str) -> float:
    tail = tail_of(model, split)
    array, end_s, done = random_input(tail), 0.0, -50
    while done <= 0 or time.monotonic() < end_s:
        tail.run(array)
        done += 1
        if done == 0:
            end_s = time.monotonic() + SECONDS
    return done / SECONDS


# -- peers -------------------------------------------------------------------------------------------------------------


def _peer_per_s(name: str, model: Path, split: str, processes: int, body: bytes) -> float:
    port = free_port()
    command = [sys.executable, "-m", PEERS[name], model, split, str(processes), str(port)]
    with start(name, command, log=Path(f".cache/bench/{name}.log")):
        _wait_until_it_answers(port, body)
        with _clients(port, body) as answered:
            until_s = time.monotonic() + READY_S
            while answered[0] < WARM_UP:
                if time.monotonic() > until_s:
                    raise SystemExit(f"benchmarks: {name} gave {answered[0]} answers in {READY_S:g} s")
                time.sleep(0.01)
            begin_s, begun = time.monotonic(), answered[0]
            time.sleep(SECONDS)
            return (answered[0] - begun) / (time.monotonic() - begin_s)


def _wait_until_it_answers(port: int, body: bytes) -> None:
    until_s = time.monotonic() + READY_S
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as link, link.makefile("rb") as answers:
                link.sendall(_request(body))
                return _read_answer(answers)
        except (OSError, ValueError) as error:
            if time.monotonic() > until_s:
                raise SystemExit(f"benchmarks: no answer on port {port} within {READY_S:g} s: {error}") from None
            time.sleep(0.2)


@contextmanager
def _clients(port: int, body: bytes) -> Iterator[list[int]]:
    """Ask over as many open connections as we have frames under way; what is given counts the answers."""
    request, answered, over, lock = _request(body), [0], threading.Event(), threading.Lock()
    failed: list[Exception] = []

    def ask() -> None:
        try:
            keep_asking()
        except (OSError, ValueError) as error:
            failed.append(error)

    def keep_asking() -> None:
        with socket.create_connection(("127.0.0.1", port)) as link, link.makefile("rb") as answers:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not over.is_set():
                link.sendall(request)
                _read_answer(answers)
                with lock:
                    answered[0] += 1

    asking = [threading.Thread(target=ask) for _ in range(WINDOW)]
    for thread in asking:
        thread.start()
    try:
        yield answered
    finally:
        over.set()
        for thread in asking:
            thread.join()
    if failed:
        raise SystemExit(f"benchmarks: {len(failed)} of {WINDOW} connections failed: {failed[0]}")


def _request(body: bytes) -> bytes:
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _read_answer(answers: BinaryIO) -> None:
    """Read one answer of HTTP/1.1 that says its length. Raises: ValueError for one that is no 200."""
    status, length = answers.readline(), 0
    if b" 200 " not in status:
        raise ValueError(f"answered {status!r}, expected 200")
    while (line := answers.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    answers.read(length)
