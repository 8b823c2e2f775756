"""Everything that one drill runs on: servers, workers, devices, their link, and the peer beside them."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from broker.embedded import start_broker
from cloud_worker.embedded_store import MAX_MEMORY_BYTES, start_store
from evaluation.drill import Drill
from evaluation.drill_parts import Camera, Process, Server, Streamer, wait_until_ready
from evaluation.drill_peer import captured_in
from evaluation.drill_relay import Relay
from evaluation.drill_stuck import STALE_AFTER_S, Noticing, make_stuck, stuck_camera
from evaluation.drill_theirs import Theirs
from evaluation.running import pictures
from evaluation.shaped_link import WORKER, ShapedLink
from evaluation.small_memory import SmallMemory
from headwater.address import Address
from headwater.children import own_command
from headwater.probes import free_port
from headwater.servers import RunningServer
from models.bundle import Bundle

ProcessT = TypeVar("ProcessT", bound=Process)
WORKERS: Final = 2
DEVICE: Final = "camera-1"
PATIENCE_S: Final = 2.0
"""After which a device sends a frame again: a fifth of its default, so that a drill shows many resends."""
HISTORY: Final = 10_000_000
"""The store must forget nothing that is to be counted."""
WIDE_BITS_PER_S: Final = 1e9


class Place:
    """What one drill runs on; all of it is gone when `running` closes."""

    def __init__(
        self, running: ExitStack, drill: Drill, fleet: str, folder: Path, frames: int, chance: Random,
        theirs: Theirs | None = None, *, peer: bool = False,
    ) -> None:  # fmt: skip
        """Start the servers; the processes begin with `stream`. Raises: HeadwaterError."""
        self._running, self._drill, self._fleet, self._folder, self._chance = running, drill, fleet, folder, chance
        self.env = {} if theirs is None else dict(theirs.credentials)
        self.broker = None if theirs else self._server(self._start_broker)
        self.store = None if theirs else self._server(self._start_store)
        self._broker_url = self.broker.url if self.broker else str(theirs and theirs.broker)
        self.store_url = self.store.url if self.store else str(theirs and theirs.store)
        self.counted_at = theirs.counted_at if theirs else self.store_url
        self.store_memory_bytes = MAX_MEMORY_BYTES
        self.link = running.enter_context(ShapedLink()) if drill.needs & {"namespaces"} else None
        self.relay = self._relay(self._broker_url, self.link) if "link" in drill.parts else None
        self.store_relay = self._relay(self.store_url) if drill.has("slow", "store") else None
        self.worker_relay = self._relay(self._broker_url) if drill.has("half-open", "worker") else None
        if self.link is not None:
            self.link.shape(WIDE_BITS_PER_S)
        self.memory = running.enter_context(SmallMemory(drill.memory_bytes)) if drill.memory_bytes else None
        brokers = [self._behind(self.worker_relay), *[self._broker_url] * (WORKERS - 1)]
        self.workers = [self._worker(f"worker-{number + 1}", broker) for number, broker in enumerate(brokers)]
        self.site = self._site() if "site" in drill.parts else None
        self.camera = self._camera(frames)
        self.noticing = Noticing(self.camera.reasons) if drill.stuck else None
        self.publisher: Streamer | None = None
        self.subscriber: Process | None = None
        if peer:
            self.publisher, self.subscriber = self._peer(frames)

    @property
    def processes(self) -> list[Process]:
        """Return all that are looked after."""
        found = [*self.workers, self.site, self.camera, self.publisher, self.subscriber]
        return [process for process in found if process is not None]

    @property
    def spool(self) -> Path:
        """Return the folder of the device's spool."""
        return self._folder / "spool"

    @property
    def broker_folder(self) -> Path:
        """Return where our broker keeps what it keeps."""
        return self._folder / "broker"

    @property
    def peer_folder(self) -> Path:
        """Return where the peer's camera says how many pictures it took."""
        return self._folder / "peer"

    def look_after(self) -> None:
        """Start again what has ended by itself, and see what a device says of a camera that is stuck."""
        now_s = time.monotonic()
        for process in self.processes:
            process.look_after(now_s)
        if self.noticing is not None:
            self.noticing.look(now_s)

    def stream(self) -> None:
        """Start everything, and the device last. Raises: ChildError."""
        serving = [one for one in (*self.workers, self.site, self.subscriber) if one is not None]
        for process in serving:
            process.begin()
        wait_until_ready(serving)
        streaming = [one for one in (self.camera, self.publisher) if one is not None]
        for process in streaming:
            process.begin()
        wait_until_ready(streaming)

    # -- what it is made of --------------------------------------------------------------------------------------------

    def _server(self, begin: Callable[[int], RunningServer]) -> Server:
        server = Server(begin)
        self._running.callback(lambda: server.running.stop())  # noqa: PLW0108  the one that runs by then
        return server

    def _start_broker(self, port: int) -> RunningServer:
        return start_broker(self._drill.broker, port=port, folder=self.broker_folder)

    def _start_store(self, port: int) -> RunningServer:
        return start_store(port, self._folder / "store")

    def _relay(self, url: str, link: ShapedLink | None = None) -> Relay:
        """Return a relay to a server of ours; with a link it listens at its far end."""
        host, _, port = url.rpartition("//")[2].rpartition(":")
        if url.startswith("mqtt"):
            address = Address.parse(url)
            host, port = address.host, str(address.port)
        listener = None
        if link is not None:
            with link.inside_worker():
                listener = socket.create_server((WORKER, 0))
        return self._running.enter_context(Relay(host, int(port), self._chance, listener))

    def _behind(self, relay: Relay | None) -> str:
        """Return where the broker is found, through a relay if there is one."""
        return self._broker_url if relay is None else f"mqtt://{relay.host}:{relay.port}"

    def _worker(self, name: str, broker: str) -> Process:
        store = self.store_url if self.store_relay is None else f"redis://127.0.0.1:{self.store_relay.port}"
        words = own_command(
            *("worker", "--processes", "1", "--name", name, "--fleet", self._fleet, "--broker", broker),
            *("--store", store, "--history", str(HISTORY), "--log-level", "error"),
        )
        return self._kept(Process(name, lambda: words, self._log(name), self.env, "ready"))

    def _site(self) -> Process:
        words = own_command(
            *("visualizer", "--port", str(free_port()), "--fleet", self._fleet, "--broker", self._broker_url),
            *("--store", self.store_url, "--log-level", "error"),
        )
        return self._kept(Process("site", lambda: words, self._log("site"), self.env, "listening"))

    def _camera(self, frames: int) -> Camera:
        way = self._drill.way
        at = pictures(None, self._folder, Bundle.load(way.bundle), small=True)
        more: list[str] = []
        if self._drill.stuck:
            make_stuck(Path(at))
            at, more = stuck_camera(Path(at), way.rate), ["--stale-after", f"{STALE_AFTER_S:g}"]
        broker = self._behind(self.relay)

        def words(left: int, port: int) -> list[str]:
            command = own_command(
                *("edge", "--source", at, "--loop", "--rate", f"{way.rate:g}", "--frames", str(left), "--json"),
                *("--bundle", way.bundle, "--split", way.split, "--codec", way.codec, "--threads", "1"),
                *("--name", DEVICE, "--fleet", self._fleet, "--broker", broker, "--spool", str(self.spool)),
                *("--timeout", f"{PATIENCE_S:g}", "--metrics", str(port), "--log-level", "error", *more),
            )
            return self._confined(command)

        spool = self.spool / self._fleet / f"{DEVICE}.sqlite"
        self.spool.mkdir(parents=True, exist_ok=True)
        camera = Camera(DEVICE, words, self._log(DEVICE), self.env, frames, spool, free_port(), self._inside)
        return self._kept(camera)

    def _confined(self, command: Sequence[str]) -> list[str]:
        """Return a command of the device, behind its link, with its memory, and its disk."""
        words = list(command)
        if self._drill.disk_bytes:
            mount = f"mount -t tmpfs -o size={self._drill.disk_bytes},mode=700 headwater"
            words = ["unshare", "--mount", "sh", "-c", f'{mount} "$0" && exec "$@"', str(self.spool), *words]
        if self.memory is not None:
            words = self.memory.inside(words)
        return words if self.link is None else self.link.at_device(words)

    def _inside(self) -> AbstractContextManager[None]:
        """Hold this thread where the device's loopback is."""
        return nullcontext() if self.link is None else self.link.inside_device()

    def _peer(self, frames: int) -> tuple[Streamer, Process]:
        self.peer_folder.mkdir()
        near, far = Address.parse(self._behind(self.relay)), Address.parse(self._behind(self.worker_relay))
        module = [sys.executable, "-P", "-m", "evaluation.drill_peer"]
        rate = f"{self._drill.way.rate:g}"

        def publish(frames: int) -> list[str]:
            left = max(0, frames - captured_in(self.peer_folder))
            words = [*module, "publish", near.host, str(near.port), str(self.peer_folder), rate, str(left)]
            return words if self.link is None else self.link.at_device(words)

        subscribe = [*module, "subscribe", far.host, str(far.port), self.store_url]
        publisher = Streamer("peer-camera", publish, self._log("peer-camera"), {}, frames)
        subscriber = Process("peer-map", lambda: subscribe, self._log("peer-map"), {}, "ready")
        return self._kept(publisher), self._kept(subscriber)

    def _kept(self, process: ProcessT) -> ProcessT:
        self._running.callback(process.remove)
        return process

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"
