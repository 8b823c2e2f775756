"""Sources of pictures: what the user may write, and what comes out in which order, colour and pace."""

import io
import itertools
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edge.sources import Capture, WhenFull, open_source
from edge.sources.capture import Pace, Thinner
from edge.sources.files import Files, natural
from edge.sources.pattern import pattern
from edge.sources.video import frame_index
from headwater.errors import SourceError
from tests.edge.data import shared
from tests.edge.test_location_exif import GPS, exif_of

RED = (220, 30, 40)


def write(path: Path, colour: tuple[int, int, int] = RED, size: tuple[int, int] = (64, 48), **options: object) -> None:
    """Write a picture of one colour."""
    Image.new("RGB", size, colour).save(path, **options)


def all_of(address: str | Path, **options: object) -> list[Capture]:
    """Return every capture of a source that ends."""
    source = open_source(str(address), **{"rate": None, "loop": False, "at_least": None, **options})
    return list(source.captures(threading.Event()))


def test_names_sort_as_people_do(tmp_path: Path) -> None:
    """img2 comes before img10, whatever the case; odd digits do no harm."""
    names = ["img10.png", "IMG2.png", "img²3.png", "a.png", "10.png", "9.png"]
    for name in names:
        write(tmp_path / name)
    assert [capture.name for capture in all_of(tmp_path)] == sorted(names, key=natural)
    assert sorted(names[:2] + names[3:], key=natural) == ["9.png", "10.png", "a.png", "IMG2.png", "img10.png"]


@pytest.mark.parametrize("name", ["red.png", "red.jpg", "red.webp", "red.bmp", "red.ppm", "red.gif"])
def test_a_red_picture_is_red(tmp_path: Path, name: str) -> None:
    """Pixels are RGB, in every format; the capture owns them and names its file."""
    write(tmp_path / name)
    (capture,) = all_of(tmp_path / name)
    assert capture.picture.shape == (48, 64, 3)
    assert capture.picture.dtype == np.uint8
    assert np.abs(capture.picture.mean(axis=(0, 1)) - RED).max() < 3
    assert capture.name == name


def test_a_capture_says_where_and_when(tmp_path: Path) -> None:
    """Position and time of taking come from EXIF; the time of capture is the time of reading."""
    before_ns = time.time_ns()
    write(tmp_path / "a.jpg", exif=exif_of(GPS, {0x9003: "2024:04:26 14:53:30", 0x9011: "+00:00"}))
    write(tmp_path / "b.jpg")
    placed, bare = all_of(tmp_path)
    assert placed.position is not None
    assert placed.position.source == "exif"
    assert placed.taken_ns == 1_714_143_210_000_000_000
    assert (bare.position, bare.taken_ns) == (None, None)
    assert before_ns <= placed.captured_ns <= bare.captured_ns <= time.time_ns()
    assert 0 < placed.capture_ns <= time.time_ns() - before_ns


@pytest.mark.parametrize("name", ["p.png", "p.webp"])
def test_exif_is_read_from_other_formats(tmp_path: Path, name: str) -> None:
    """PNG and WebP carry positions too."""
    write(tmp_path / name, exif=exif_of(GPS))
    (capture,) = all_of(tmp_path)
    assert capture.position is not None


def test_what_is_no_picture_is_skipped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Broken pictures, empty files and other files are warned of once and counted; the rest goes on."""
    write(tmp_path / "1.png")
    (tmp_path / "2.jpg").write_bytes(b"\xff\xd8 no more")
    (tmp_path / "3.mp4").write_bytes(b"no video")
    (tmp_path / "4.png").touch()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    write(tmp_path / "5.png")
    source = open_source(str(tmp_path), rate=None, loop=True, at_least=None)
    names = [capture.name for capture in itertools.islice(source.captures(threading.Event()), 5)]
    assert names == ["1.png", "5.png", "1.png", "5.png", "1.png"]
    assert source.skipped == 4
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 4
    assert "files=1 such_as=notes.txt" in caplog.text


def test_a_folder_whose_pictures_are_all_broken_is_an_error(tmp_path: Path) -> None:
    """A source that gives nothing in a whole round says so instead of spinning."""
    (tmp_path / "1.jpg").write_bytes(b"broken")
    source = open_source(str(tmp_path), rate=None, loop=True, at_least=None)
    with pytest.raises(SourceError, match="none of its files could be decoded"):
        list(source.captures(threading.Event()))


def test_a_folder_says_what_it_is(tmp_path: Path) -> None:
    """A description counts what is in the folder; a file source waits."""
    write(tmp_path / "a.png")
    source = open_source(str(tmp_path), rate=1, loop=False, at_least=None)
    assert source.description == f"folder {tmp_path.name} (1 picture)"
    assert source.when_full is WhenFull.WAIT


def test_a_large_jpeg_is_read_no_larger_than_needed(tmp_path: Path) -> None:
    """at_least reaches the decoder: a quarter of a large JPEG is enough."""
    write(tmp_path / "large.jpg", size=(1600, 1200))
    (capture,) = all_of(tmp_path, at_least=(320, 240))
    assert capture.picture.shape == (300, 400, 3)


def test_names_that_are_no_utf8_can_travel(tmp_path: Path) -> None:
    """A folder and a picture named in Latin-1 are described and named with a replacement."""
    folder = tmp_path / os.fsdecode(b"stra\xdfe")
    folder.mkdir()
    write(folder / os.fsdecode(b"stra\xdfe.png"))
    source = open_source(str(folder), rate=None, loop=False, at_least=None)
    (capture,) = list(source.captures(threading.Event()))
    assert capture.name is not None
    assert (capture.name + source.description).encode()


def test_a_huge_picture_is_refused(tmp_path: Path) -> None:
    """A picture that would fill the memory is an error that says so."""
    write(tmp_path / "huge.png", size=(5000, 4000))
    with pytest.raises(SourceError, match=r"huge\.png"):
        all_of(tmp_path / "huge.png")


BAD = [
    ("", "no such file"),
    ("no/such/folder", "no such file or folder; expected a folder, a picture, a video"),
    ("x" * 5000, "no such file"),
    ("a\0b", "no such file"),
    ("empty", "got no files, expected pictures"),
    ("texts", "got 2 other files, expected pictures"),
    ("texts/a.txt", "not a picture or video by its name"),
    ("broken.jpg", "broken.jpg"),
    ("broken.mp4", "cannot be decoded"),
    ("999", "there is no /dev/video999"),
    ("/dev/video998", "there is no /dev/video998"),
    ("ftp://host/x", "ftp addresses are not read"),
    ("rtsp://u:secret@127.0.0.1:1/x", r"rtsp://\*\*\*@127.0.0.1:1/x: no stream"),
    ("pattern:0x0", "each from 32 to 4096"),
    ("pattern:big", "expected pattern: or pattern:WIDTHxHEIGHT"),
    ("pipe", "neither a file nor a folder"),
]


@pytest.mark.parametrize(("address", "says"), BAD)
def test_a_bad_address_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], address: str, says: str
) -> None:
    """What cannot be a source is a SourceError of one line, without passwords, and nothing else is printed."""
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "texts"):
        Path(folder).mkdir()
    for name in ("texts/a.txt", "texts/b.txt", "broken.jpg", "broken.mp4"):
        Path(name).write_text("no picture")
    os.mkfifo("pipe")
    with pytest.raises(SourceError, match=says) as raised:
        open_source(address, rate=None, loop=False, at_least=None)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_is_more_than_nothing(rate: float) -> None:
    """Zero, negative and endless rates are refused."""
    with pytest.raises(SourceError, match="more than 0 pictures per second"):
        open_source("pattern:", rate=rate, loop=False, at_least=None)


def test_no_permission_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may not be read is named, with what to do."""
    write(tmp_path / "a.png")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SourceError, match="no permission to read it"):
        all_of(tmp_path)
    monkeypatch.undo()

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceError, match=r"cannot be read \(Permission denied\)"):
        Files(tmp_path, rate=None, loop=False, at_least=None)


def test_the_pattern_is_a_pure_function() -> None:
    """The same index and size give the same pixels, another index others; the number is legible."""
    assert np.array_equal(pattern(7, 200, 100), pattern(7, 200, 100))
    assert not np.array_equal(pattern(7, 200, 100), pattern(8, 200, 100))
    digits = pattern(1)[:63, :224]
    assert {tuple(pixel) for pixel in digits.reshape(-1, 3)} == {(0, 0, 0), (255, 255, 255)}
    assert np.array_equal(pattern(12, 32, 32), pattern(12, 32, 32))
    assert tuple(pattern(0, 640, 480)[479, 500]) == (192, 0, 0)


def test_the_pattern_never_ends_but_stops() -> None:
    """A pattern source counts frames until it is stopped."""
    source = open_source("pattern:64x48", rate=None, loop=False, at_least=None)
    stop = threading.Event()
    found = []
    for capture in source.captures(stop):
        found.append((capture.name, capture.picture.shape))
        if len(found) == 300:
            stop.set()
    assert found[-1] == ("pattern#299", (48, 64, 3))
    assert len(found) == 300


def test_stop_ends_a_slow_source_at_once(tmp_path: Path) -> None:
    """A source that waits for its next picture stops when asked."""
    write(tmp_path / "a.png")
    source = open_source(str(tmp_path), rate=0.01, loop=True, at_least=None)
    stop = threading.Event()
    begin_s, captures = time.monotonic(), source.captures(stop)
    assert next(captures).name == "a.png"
    threading.Timer(0.05, stop.set).start()
    assert list(captures) == []
    assert time.monotonic() - begin_s < 5


def test_pace_is_even_and_does_not_catch_up() -> None:
    """Pictures are due one period apart; after a delay the schedule begins anew."""
    pace = Pace()
    assert pace.wait_s(100.0, 5) == 0
    assert pace.wait_s(100.05, 5) == pytest.approx(0.15)
    assert pace.wait_s(100.25, 5) == pytest.approx(0.15)
    assert pace.wait_s(110.0, 5) == 0
    assert pace.wait_s(110.0, 5) == pytest.approx(0.2)
    assert Pace().wait_s(1.0, None) == 0


@pytest.mark.parametrize(("camera", "rate", "kept"), [(30, 5, 50), (30, 30, 300), (30, 60, 300), (30, 25, 250)])
def test_a_live_stream_is_thinned_evenly(camera: float, rate: float, kept: int) -> None:
    """Ten seconds of a camera keep rate × 10 frames, in spite of a few milliseconds of jitter."""
    thinner = Thinner(rate)
    arrivals_s = [index / camera + 0.004 * (index % 3 - 1) for index in range(int(10 * camera))]
    assert sum(thinner.picks(now_s) for now_s in arrivals_s) == pytest.approx(kept, abs=1)


def test_frames_of_a_clip_are_picked_evenly() -> None:
    """A 30 frames/s clip at rate 5 gives every sixth frame; without a rate every one."""
    assert [frame_index(n, 30, 5) for n in range(4)] == [0, 6, 12, 18]
    assert [frame_index(n, 12.5, 5) for n in range(5)] == [0, 2, 5, 7, 10]
    assert [frame_index(n, 30, None) for n in range(3)] == [0, 1, 2]
    assert frame_index(1, 30, 0.1) == 300


def clip(path: Path, frames: int = 30, frames_per_s: float = 30.0, codec: str = "mp4v") -> None:
    """Write a clip that is red at first and blue in its second half."""
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), frames_per_s, (96, 64))
    for index in range(frames):
        writer.write(np.full((64, 96, 3), RED[::-1] if index < frames / 2 else (200, 20, 20), np.uint8))
    writer.release()


def test_a_red_clip_is_red_and_gives_every_frame(tmp_path: Path) -> None:
    """Video pixels are RGB too; without a rate every frame comes, named by its index."""
    clip(tmp_path / "red.mp4")
    captures = all_of(tmp_path / "red.mp4")
    assert [capture.name for capture in captures] == [f"red.mp4#{index}" for index in range(30)]
    assert np.abs(captures[0].picture.mean(axis=(0, 1)) - RED).max() < 12
    assert captures[-1].picture.mean(axis=(0, 1)).argmax() == 2
    assert captures[0].picture.flags.owndata or captures[0].picture.flags.writeable


class Waited(threading.Event):
    """Is never set, and waits by putting its own clock forward."""

    now_s = 1000.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now_s += timeout or 0
        return False

    def now_ns(self) -> int:
        return round(self.now_s * 1e9)


def test_a_clip_at_a_rate_gives_every_sixth_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip of one second at rate 5 gives five frames, a fifth of a second apart."""
    clip(tmp_path / "c.mp4")
    stop = Waited()
    clock = SimpleNamespace(monotonic=lambda: stop.now_s, monotonic_ns=stop.now_ns, time_ns=stop.now_ns)
    monkeypatch.setattr("edge.sources.video.time", clock)
    captures = list(open_source(str(tmp_path / "c.mp4"), rate=5, loop=False, at_least=None).captures(stop))
    assert [capture.name for capture in captures] == [f"c.mp4#{index}" for index in (0, 6, 12, 18, 24)]
    assert np.diff([capture.captured_ns for capture in captures]) / 1e9 == pytest.approx([0.2] * 4)


def test_a_rate_above_the_clips_own_plays_it_as_it_is(tmp_path: Path) -> None:
    """A clip is never played faster than it was filmed, and no frame comes twice."""
    clip(tmp_path / "c.mp4", frames=5, frames_per_s=10)
    begin_s = time.monotonic()
    assert len(all_of(tmp_path / "c.mp4", rate=1000)) == 5
    assert time.monotonic() - begin_s >= 0.4


def test_a_folder_may_hold_clips_and_pictures(tmp_path: Path) -> None:
    """Clips are played between the pictures, in the order of the names; loop begins again."""
    write(tmp_path / "1.png")
    clip(tmp_path / "2.mp4", frames=3)
    write(tmp_path / "10.png")
    source = open_source(str(tmp_path), rate=None, loop=True, at_least=None)
    assert source.description == f"folder {tmp_path.name} (2 pictures, 1 video)"
    names = [capture.name for capture in itertools.islice(source.captures(threading.Event()), 7)]
    assert names == ["1.png", "2.mp4#0", "2.mp4#1", "2.mp4#2", "10.png", "1.png", "2.mp4#0"]


def test_a_clip_that_is_cut_short_gives_what_it_has(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A clip that ends before its announced end is warned of, and its frames so far are kept."""
    clip(tmp_path / "c.avi", frames=60, codec="MJPG")
    whole = (tmp_path / "c.avi").read_bytes()
    (tmp_path / "c.avi").write_bytes(whole[: len(whole) // 2])
    captures = all_of(tmp_path / "c.avi")
    assert 10 < len(captures) < 50
    assert "video ended early" in caplog.text or len(captures) > 0.9 * 30


def test_a_folder_of_pictures_loads_no_opencv(tmp_path: Path) -> None:
    """The device's memory is not spent on OpenCV (nor on TensorFlow) unless a video or camera is opened."""
    write(tmp_path / "a.png")
    program = (
        "import sys, threading; from edge.sources import open_source; from edge.location import open_location\n"
        "open_location('48,11').close()\n"
        "source = open_source(sys.argv[1], rate=None, loop=False, at_least=None)\n"
        "assert len(list(source.captures(threading.Event()))) == 1\n"
        "print(sorted({'cv2', 'tensorflow', 'gpxpy', 'lxml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_street_pictures_are_read() -> None:
    """All 14 real photographs come with their positions, in natural order, and EXIF turns them upright."""
    captures = all_of(shared("street"), at_least=(160, 160))
    assert [capture.name for capture in captures][-5:] == [f"IMG_{number}.jpg" for number in range(2, 7)]
    assert len(captures) == 14
    assert all(capture.position and capture.taken_ns for capture in captures)
    assert all(min(capture.picture.shape[:2]) >= 160 for capture in captures)


@pytest.mark.parametrize(
    ("name", "second"),
    [("car-detection.mp4", 12), ("one-by-one-person-detection.mp4", 10), ("street_park_tram_5s.mp4", 30)],
)
def test_real_clips_are_read(name: str, second: int) -> None:
    """The first frames of three real clips come evenly: rate 1 gives frames one second apart."""
    source = open_source(str(shared("video") / name), rate=1, loop=False, at_least=None)
    found = list(itertools.islice(source.captures(threading.Event()), 2))
    assert [capture.name for capture in found] == [f"{name}#0", f"{name}#{second}"]


def test_pictures_hold_no_link_to_their_bytes(tmp_path: Path) -> None:
    """A capture may be changed by its receiver without any effect on the next one."""
    write(tmp_path / "a.png")
    source = open_source(str(tmp_path), rate=None, loop=True, at_least=None)
    captures = source.captures(threading.Event())
    first = next(captures).picture
    if first.flags.writeable:
        first[:] = 0
    assert np.abs(next(captures).picture.mean(axis=(0, 1)) - RED).max() < 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_warnings_of_the_picture_library_do_no_harm(tmp_path: Path) -> None:
    """A JPEG whose EXIF block is nonsense is read, without a position."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), RED).save(out, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff nonsense")
    (tmp_path / "a.jpg").write_bytes(out.getvalue())
    (capture,) = all_of(tmp_path)
    assert capture.position is None
