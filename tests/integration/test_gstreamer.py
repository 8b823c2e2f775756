"""GStreamer pipelines: the real gst-launch-1.0, its colours, its end, its errors and its death."""

import itertools
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge.sources import WhenFull, open_source
from headwater.errors import SourceError
from tests.servers import eventually, holds_in_one_of, need


@pytest.fixture(autouse=True)
def _gstreamer() -> None:
    need("gst-launch-1.0")


def gst_children() -> list[int]:
    """Return the ids of the pipelines that this process runs."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            state = (folder / "status").read_text()
            command = (folder / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if f"PPid:\t{os.getpid()}\n" in state and b"gst-launch-1.0" in command:
            found.append(int(folder.name))
    return found


def test_a_red_pipeline_is_red_and_ends() -> None:
    """Every frame comes as RGB, whatever its width; then the source ends and nothing is left."""
    pipeline = (
        "gst:videotestsrc pattern=red num-buffers=20 ! video/x-raw,format=I420,width=322,height=50,framerate=100/1"
    )
    source = open_source(pipeline, rate=None, loop=False, at_least=None)
    assert source.when_full is WhenFull.DROP_OLDEST
    captures = list(source.captures(threading.Event()))
    assert len(captures) == 20
    assert {capture.picture.shape for capture in captures} == {(50, 322, 3)}
    assert np.abs(captures[0].picture.reshape(-1, 3) - np.array((255, 0, 0), int)).max() < 6
    assert captures[0].picture.flags.writeable
    source.close()
    assert gst_children() == []


def test_a_pipeline_runs_at_its_own_speed_and_is_thinned() -> None:
    """A pipeline of 50 frames/s at rate 10 gives ten pictures a second."""
    holds_in_one_of(3, lambda: assert_thinned_to(10))


def assert_thinned_to(rate: int) -> None:
    """Play two seconds, and look at what comes."""
    pipeline = "gst:videotestsrc num-buffers=100 ! video/x-raw,width=64,height=48,framerate=50/1"
    source = open_source(pipeline, rate=rate, loop=False, at_least=None)
    captures = list(source.captures(threading.Event()))
    assert 17 <= len(captures) <= 22
    assert (captures[-1].captured_ns - captures[0].captured_ns) / 1e9 == pytest.approx(1.9, abs=0.5)


def test_a_loop_starts_the_pipeline_again() -> None:
    """With loop a pipeline that ends begins again."""
    source = open_source("gst:videotestsrc num-buffers=2", rate=None, loop=True, at_least=None)
    assert len(list(itertools.islice(source.captures(threading.Event()), 5))) == 5
    source.close()
    assert gst_children() == []


def test_a_pipeline_that_dies_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """A killed gst-launch-1.0 is one outage, logged once."""
    source = open_source("gst:videotestsrc is-live=true", rate=None, loop=False, at_least=None)
    captures = source.captures(threading.Event())
    next(captures)
    (pid,) = gst_children()
    os.kill(pid, signal.SIGKILL)
    while not caplog.records:
        next(captures)
    assert next(captures).picture.shape == (240, 320, 3)
    assert [record.getMessage().split(" source=")[0] for record in caplog.records] == ["stream lost"]
    source.close()


def test_stop_ends_a_silent_pipeline_at_once() -> None:
    """A pipeline that gives no more frames does not keep the device from stopping."""
    pipeline = "gst:videotestsrc ! video/x-raw,framerate=1/60"
    source = open_source(pipeline, rate=None, loop=True, at_least=None)
    stop = threading.Event()
    captures = source.captures(stop)
    next(captures)
    begin_s = time.monotonic()
    threading.Timer(0.1, stop.set).start()
    assert list(captures) == []
    assert time.monotonic() - begin_s < 5
    assert eventually(lambda: gst_children() == [])


@pytest.mark.parametrize(
    ("pipeline", "says"),
    [
        ("nosuchelement ! fakesink", 'no element "nosuchelement"; apt install gstreamer1'),
        ("filesrc location=/nowhere ! decodebin", 'Resource not found. No such file "/nowhere"'),
        ("videotestsrc ! fakesink", "could not link fakesink0"),
        ("videotestsrc num-buffers=0", "it ended before the first frame"),
        ("videotestsrc ! video/x-raw,width=8000,height=8000", "over the limit of 20000000 pixels"),
        ("", "it is empty"),
        ("videotestsrc 'x", "close the quotes"),
        ("rtspsrc location=rtsp://u:secret@127.0.0.1:1/x user-pw=secret ! decodebin", "gst-launch-1.0"),
    ],
)
def test_a_bad_pipeline_is_one_clear_error(capfd: pytest.CaptureFixture[str], pipeline: str, says: str) -> None:
    """What GStreamer complained of first is quoted in one line, without passwords; nothing else is printed or left."""
    source = None
    with pytest.raises(SourceError) as raised:
        source = open_source(f"gst:{pipeline}", rate=None, loop=False, at_least=None)
    assert source is None
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)
    assert capfd.readouterr() == ("", "")
    assert gst_children() == []
