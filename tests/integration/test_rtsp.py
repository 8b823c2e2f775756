"""RTSP cameras: a real server, its death in mid-stream, and how old the frames are."""

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.sources import Capture, CaptureQueue, WhenFull, feed, open_source
from headwater.children import Child, start
from headwater.errors import SourceError
from tests.servers import holds_in_one_of

PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_server.py")
NEEDED = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')\n"
    "from gi.repository import Gst, GstRtspServer; Gst.init(None)\n"
    "raise SystemExit(None in map(Gst.ElementFactory.find, ('videotestsrc', 'x264enc', 'rtph264pay')))"
)


class RtspServer:
    """A server that can die and come back on its port."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, on the port it had if it had one."""
        self._child: Child = start("rtsp", [PYTHON, "-I", SERVER, str(self.port)])
        self.port = int(self._child.wait_for_line("ready", 20.0).split()[1])

    def kill(self) -> None:
        """End it without any goodbye."""
        self._child.kill()

    def url(self, path: str) -> str:
        """Return the address of one of its streams."""
        return f"rtsp://127.0.0.1:{self.port}/{path}"


@pytest.fixture
def server() -> Iterator[RtspServer]:
    """A running RTSP server."""
    pytest.importorskip("cv2")
    if subprocess.run([PYTHON, "-I", "-c", NEEDED], check=False, capture_output=True).returncode:
        what = "gir1.2-gst-rtsp-server-1.0, python3-gi or GStreamer's plugins are not installed"
        pytest.fail(f"{what}, and CI is set") if os.environ.get("CI") else pytest.skip(what)
    running = RtspServer()
    yield running
    running.kill()


class Watching:
    """A source read in its own thread, as the device does it."""

    def __init__(self, address: str, rate: float | None = None) -> None:
        self.source = open_source(address, rate=rate, loop=False, at_least=None)
        self.queue, self._stop = CaptureQueue(self.source.when_full), threading.Event()
        self._thread = threading.Thread(target=feed, args=(self.source, self.queue, self._stop))
        self._thread.start()

    def take(self, timeout_s: float = 20.0) -> Capture:
        """Return the next picture."""
        capture = self.queue.take(timeout_s)
        assert capture is not None
        return capture

    def __enter__(self) -> "Watching":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_a_red_stream_is_received_as_red(server: RtspServer) -> None:
    """An RTSP stream gives RGB pictures of its size, and is described by its address."""
    with Watching(server.url("red")) as watching:
        capture = watching.take()
    assert watching.source.description == server.url("red")
    assert watching.source.when_full is WhenFull.DROP_OLDEST
    assert capture.picture.shape == (240, 320, 3)
    assert np.abs(capture.picture.mean(axis=(0, 1)) - (255, 0, 0)).max() < 12


def test_the_stream_resumes_after_the_server_died(server: RtspServer, caplog: pytest.LogCaptureFixture) -> None:
    """A server killed in mid-stream and started again is one outage, logged once; pictures go on."""
    caplog.set_level("INFO")
    with Watching(server.url("red")) as watching:
        before = watching.take()
        server.kill()
        while watching.queue.take(1.0) is not None:
            pass
        server.start()
        after = watching.take(60.0)
    assert after.captured_ns > before.captured_ns
    assert after.picture.shape == before.picture.shape
    events = [record.getMessage().split(" source=")[0] for record in caplog.records]
    assert events == ["stream lost", "stream back"]


def test_a_slow_taker_gets_fresh_pictures(server: RtspServer) -> None:
    """Who takes five pictures a second of 25 sees each less than a second old; the others are counted."""
    holds_in_one_of(3, lambda: assert_fresh(server))


def assert_fresh(server: RtspServer) -> None:
    """Take fifteen pictures slowly, and look how old each is."""
    with Watching(server.url("clock")) as watching:
        watching.take()
        ages_s = []
        for _ in range(15):
            time.sleep(0.2)
            capture = watching.take()
            shown = float(np.median(capture.picture))
            steps = (time.time() * 50 - (shown - 20) + 10) % 200 - 10  # coding may change the grey by a step
            ages_s.append(steps / 50)
        print(f"age of the pictures: median {statistics.median(ages_s):.3f} s, oldest {max(ages_s):.3f} s")
    assert max(ages_s) < 1.0
    assert watching.queue.dropped > 15


def test_a_rate_thins_the_stream(server: RtspServer) -> None:
    """At rate 5 a stream of 25 gives pictures a fifth of a second apart."""
    holds_in_one_of(3, lambda: assert_thinned(server))


def assert_thinned(server: RtspServer) -> None:
    """Take eight pictures, and look how far apart they are."""
    with Watching(server.url("red"), rate=5) as watching:
        watching.take()
        times_s = [watching.take().captured_ns / 1e9 for _ in range(8)]
    assert statistics.mean(np.diff(times_s)) == pytest.approx(0.2, abs=0.05)


def test_a_path_that_is_not_there_is_one_clear_error(server: RtspServer, capfd: pytest.CaptureFixture[str]) -> None:
    """A server that refuses the path is a SourceError, and FFmpeg prints nothing of its own."""
    capfd.readouterr()
    with pytest.raises(SourceError, match="no stream, the address was refused"):
        open_source(server.url("nowhere"), rate=None, loop=False, at_least=None)
    assert capfd.readouterr().err == ""
