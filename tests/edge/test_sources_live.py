"""Live streams: outages, ends, cameras, and what a pipeline writes."""

import itertools
import logging
import os
import threading
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources import camera, gstreamer, live, open_source
from edge.sources.capture import Pixels, WhenFull
from edge.sources.gstreamer import LONGEST_HEADER_BYTES, first_error, launch_arguments, read_header
from edge.sources.live import Live, StreamBroken, StreamEnded, without_secrets
from headwater.errors import MissingPart, SourceError


class Scripted:
    """A stream that follows a script: a number is a frame of that brightness, an exception is raised."""

    def __init__(self, script: list[int | Exception | None]) -> None:
        self._script, self._frame = iter(script), None
        self.closed = False

    def grab(self, stop: threading.Event) -> bool:
        """Do the next step."""
        step = next(self._script)
        if isinstance(step, Exception):
            raise step
        self._frame = None if step is None else np.full((4, 4, 3), step, np.uint8)
        return True

    def retrieve(self) -> Pixels | None:
        """Return the frame."""
        return self._frame

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def connector(*scripts: list[int | Exception | None] | SourceError) -> tuple[Callable[[], Scripted], list[Scripted]]:
    """Return a function that opens one scripted stream after the other, and the list of those it opened."""
    left, opened = iter(scripts), []

    def connect() -> Scripted:
        script = next(left)
        if isinstance(script, SourceError):
            raise script
        opened.append(Scripted(script))
        return opened[-1]

    return connect, opened


@pytest.fixture
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "backoff_s", lambda _: 0.0)


@pytest.mark.usefixtures("_no_wait")
def test_a_broken_stream_is_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    """Frames go on after any number of failed attempts; the outage is logged once, and its end."""
    caplog.set_level(logging.INFO)
    broken, refused = StreamBroken("gone"), SourceError("refused")
    connect, opened = connector([1, 2, broken], refused, refused, [broken], [None], [3, broken], [4])
    source = Live(connect, "camera", rate=None, loop=True)
    found = [int(c.picture[0, 0, 0]) for c in itertools.islice(source.captures(threading.Event()), 4)]
    assert found == [1, 2, 3, 4]
    assert source.outages == 2
    assert [record.getMessage().split(" source=")[0] for record in caplog.records] == ["stream lost", "stream back"] * 2
    assert [stream.closed for stream in opened[:-1]] == [True] * 4
    source.close()
    assert opened[-1].closed


def test_the_first_opening_must_succeed() -> None:
    """A camera that is not there at the start is an error, not an outage."""
    connect, _ = connector(SourceError("no camera"))
    with pytest.raises(SourceError, match="no camera"):
        Live(connect, "camera", rate=None, loop=True)


def test_a_stream_that_ends_is_over() -> None:
    """The end of a pipeline is no outage."""
    connect, opened = connector([1, StreamEnded()])
    source = Live(connect, "gst", rate=None, loop=False)
    assert len(list(source.captures(threading.Event()))) == 1
    assert source.outages == 0
    assert opened[0].closed


@pytest.mark.usefixtures("_no_wait")
def test_a_loop_opens_an_ended_stream_again() -> None:
    """With loop a pipeline begins again; one that ends without a frame counts as an outage, so it cannot spin."""
    connect, _ = connector([1, StreamEnded()], [StreamEnded()], [2])
    source = Live(connect, "gst", rate=None, loop=True)
    assert len(list(itertools.islice(source.captures(threading.Event()), 2))) == 2
    assert source.outages == 1


def test_stop_ends_an_outage_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that waits to try again stops when asked."""
    monkeypatch.setattr(live, "backoff_s", lambda _failures: 60.0)
    connect, _ = connector([StreamBroken("gone")], [1])
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert list(Live(connect, "camera", rate=None, loop=True).captures(stop)) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:pa:ss@host:554/x?a=b", "rtsp://***@host:554/x?a=b"),
        ("rtsp://user:p@ss@host/x", "rtsp://***@host/x"),
        ("rtsp://host/x", "rtsp://host/x"),
        ("rtsp://host/x?password=secret&b=1", "rtsp://host/x?password=***&b=1"),
        (
            "rtspsrc location=rtsp://u:p@h/x user-pw=secret ! decodebin",
            "rtspsrc location=rtsp://***@h/x user-pw=*** ! decodebin",
        ),
    ],
)
def test_passwords_are_never_shown(text: str, shown: str) -> None:
    """Addresses and pipelines are shown without the user's name and password."""
    assert without_secrets(text) == shown


class FakeCapture:
    """What OpenCV's VideoCapture does with a camera, for one that shows red and breaks after three frames."""

    opens = True

    def __init__(self, number: int, backend: int) -> None:
        self.number, self.backend, self._left = number, backend, 3

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def set(self, *_: object) -> bool:
        return True

    def grab(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.full((8, 8, 3), (0, 0, 255), np.uint8)

    def release(self) -> None:
        self._left = 0


@pytest.fixture
def fake_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of devices with camera 2, which OpenCV is made to know."""
    cv2 = pytest.importorskip("cv2")
    fake = types.SimpleNamespace(CAP_V4L2=200, CAP_PROP_BUFFERSIZE=38, VideoCapture=FakeCapture)
    monkeypatch.setattr(camera, "opencv", lambda: fake)
    monkeypatch.setattr(camera, "DEVICES", tmp_path)
    assert cv2.CAP_V4L2 == 200
    (tmp_path / "video2").touch()
    return tmp_path


@pytest.mark.usefixtures("fake_camera", "_no_wait")
@pytest.mark.parametrize("address", ["2", "/dev/video2"])
def test_a_camera_gives_rgb_and_comes_back(address: str) -> None:
    """A camera's frames are RGB, the newest counts, and it is opened again when it breaks."""
    source = open_source(address, rate=None, loop=False, at_least=None)
    assert (source.description, source.when_full) == ("camera 2", WhenFull.DROP_OLDEST)
    frames = [capture.picture for capture in itertools.islice(source.captures(threading.Event()), 7)]
    assert {tuple(frame[0, 0]) for frame in frames} == {(255, 0, 0)}


def test_a_camera_that_does_not_open_is_named(fake_camera: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which cameras there are, and who may be in the way."""
    with pytest.raises(SourceError, match=r"there is no .*video0; cameras here: 2"):
        open_source("0", rate=None, loop=False, at_least=None)
    monkeypatch.setattr(FakeCapture, "opens", False)
    with pytest.raises(SourceError, match="is another program using it"):
        open_source("2", rate=None, loop=False, at_least=None)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SourceError, match="add this user to the group video"):
        open_source("2", rate=None, loop=False, at_least=None)
    assert fake_camera.is_dir()


def test_a_frames_header_is_read_strictly() -> None:
    """Only the PPM that pnmenc writes is read, byte by byte."""
    header = b"P6\n640 480\n255\n"
    assert [read_header(header[:length]) for length in range(3, len(header))] == [None] * (len(header) - 3)
    assert read_header(header) == (640, 480)


@pytest.mark.parametrize(
    "header", [b"P5\n64 48\n", b"Setting pip", b"P6\n# a comment\n64 48", b"P6\n0 9\n255\n" + b" " * 9]
)
def test_what_is_no_header_is_refused(header: bytes) -> None:
    """Anything else than a PPM header ends the stream."""
    with pytest.raises(StreamBroken, match="expected a PPM header"):
        read_header(header)


def test_a_frame_over_the_limit_is_refused_before_memory_is_taken() -> None:
    """The header alone decides."""
    with pytest.raises(StreamBroken, match="over the limit of 20000000 pixels"):
        read_header(b"P6\n99999 99999\n255\n")


@given(st.binary(max_size=LONGEST_HEADER_BYTES) | st.binary(max_size=17).map(lambda data: b"P6\n" + data))
def test_any_header_is_a_size_or_refused(data: bytes) -> None:
    """Whatever a pipeline writes, a header is a size, incomplete, or StreamBroken."""
    try:
        size = read_header(data)
    except StreamBroken:
        return
    assert size is None or min(size) > 0


def test_a_pipeline_is_words_not_a_shell() -> None:
    """The user's pipeline goes to the program word by word; nothing of it reaches a shell."""
    words = launch_arguments("videotestsrc ! 'video/x-raw, width=320' ; touch x", Path("sink"), 2.5)
    assert words[2:8] == ["videotestsrc", "!", "video/x-raw, width=320", ";", "touch", "x"]
    assert "max-rate=3" in words


def test_the_first_error_of_a_pipeline_is_quoted() -> None:
    """The element's complaint and its detail are taken from all that is printed."""
    text = "WARNING: a\nERROR: from element /x: No.\nAdditional debug info:\nfile.c(3): f ():\nNo such file\nERROR: b"
    assert first_error(text) == "ERROR: from element /x: No. No such file"
    assert first_error('WARNING: erroneous pipeline: no element "x"') == 'WARNING: erroneous pipeline: no element "x"'
    assert first_error("") == "it ended and said nothing"


def test_missing_gstreamer_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gst-launch-1.0 the error names Debian's packages."""
    monkeypatch.setattr(gstreamer, "PROGRAM", "gst-launch-of-nobody")
    with pytest.raises(MissingPart, match=r"apt install gstreamer1\.0-tools"):
        open_source("gst:videotestsrc", rate=None, loop=False, at_least=None)
