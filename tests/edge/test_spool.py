"""The disk queue keeps what was committed, in order, within its bound, for one process."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.keeping import Durable
from edge.reserve import RESERVE_BYTES
from edge.spool import Key, Note, Spool
from headwater.errors import SpoolError
from tests.edge.samples import EARLIER_BOOT, Clock, key

LIMIT = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the spool lies, in a folder that does not exist yet."""
    return tmp_path / "state" / "demo" / "cam1.sqlite"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    """An empty spool."""
    opened = Spool(path, LIMIT, "process")
    yield opened
    opened.close()


def test_nobody_else_may_enter_its_folder(path: Path, spool: Spool) -> None:
    """What waits there is pictures and places."""
    assert path.exists()
    assert spool.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("durable", ["power", "process"])
def test_what_was_committed_is_there_after_a_restart(path: Path, durable: Durable) -> None:
    """Frames outlive the process in the order they came, with their bytes and sizes."""
    first = Spool(path, LIMIT, durable)
    first.commit([(key(1), b"one"), (key(0, EARLIER_BOOT), b"zero!")], [])
    first.commit([(key(2), b"two")], [key(1)])
    first.close()
    again = Spool(path, LIMIT)
    assert again.keys() == [key(0, EARLIER_BOOT), key(2)]
    kept = again.keys()
    assert [again.read(one) for one in kept] == [b"zero!", b"two"]
    assert (len(again), again.size_bytes, again.size_of(key(2)), again.size_of(key(1))) == (2, 8, 3, 0)
    assert key(2) in again
    assert key(1) not in again
    again.close()


@pytest.mark.parametrize("durable", ["power", "process"])
def test_a_process_that_is_killed_loses_no_committed_frame(path: Path, durable: Durable) -> None:
    """SIGKILL in mid-stream: every frame whose commit returned is there at the next start."""
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom edge.spool import Key, Spool\n"
        "spool = Spool(Path(sys.argv[1]), 10**9, sys.argv[2])\n"
        "for n in range(200):\n    spool.commit([(Key('0123abcd', n), bytes(5000))], [])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path), durable], check=False)
    spool = Spool(path, LIMIT)
    assert spool.keys() == [key(n) for n in range(200)]
    spool.close()


def test_a_message_that_is_not_there_is_none(spool: Spool) -> None:
    """Reading an unknown frame is no error, and forgetting it changes nothing."""
    assert spool.read(key(5)) is None
    spool.commit([], [key(5)])
    assert (len(spool), spool.size_bytes) == (0, 0)


def test_the_bound_counts_the_bytes_of_messages(path: Path) -> None:
    """A message fits as long as all together stay within the limit."""
    spool = Spool(path, 10)
    spool.commit([(key(0), b"123456")], [])
    assert spool.fits(4)
    assert not spool.fits(5)
    spool.commit([], [key(0)])
    assert spool.fits(10)
    spool.close()


def test_the_files_stay_near_the_bound(path: Path) -> None:
    """A queue that is full and always moving takes its bound on the disk, and 20 MB of its own at most."""
    limit, size = 5_000_000, 50_000
    spool = Spool(path, limit, "process")
    for number in range(400):
        oldest = [key(number - 99)] if number >= 99 else []
        spool.commit([(key(number), os.urandom(size))], oldest)
    used = sum(file.stat().st_size for file in path.parent.iterdir())
    spool.close()
    assert used < limit + 20_000_000


def test_a_full_disk_changes_nothing_and_is_told(path: Path) -> None:
    """A transaction that finds no space is rolled back whole; with space again the spool goes on."""
    spool = Spool(path, LIMIT)
    spool.commit([(key(0), b"kept")], [])
    pages = spool._db.execute("PRAGMA page_count").fetchone()[0]
    spool._db.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(SpoolError, match=r"cam1.sqlite: database or disk is full; free disk space or give --spool"):
        spool.commit([(key(1), b"small"), (key(2), bytes(100_000))], [key(0)])
    assert (spool.keys(), spool.size_bytes, spool.read(key(0)), spool.read(key(1))) == ([key(0)], 4, b"kept", None)
    spool._db.execute("PRAGMA max_page_count = 1000000")
    spool.commit([(key(1), b"small"), (key(2), bytes(100_000))], [key(0)])
    assert spool.keys() == [key(1), key(2)]
    spool.close()


def test_the_same_frame_twice_is_refused_and_changes_nothing(spool: Spool) -> None:
    """A key is there once."""
    spool.commit([(key(0), b"first")], [])
    with pytest.raises(SpoolError):
        spool.commit([(key(1), b"other"), (key(0), b"second")], [])
    assert (spool.keys(), spool.read(key(0))) == ([key(0)], b"first")


def test_a_second_process_is_refused_in_one_line(path: Path, spool: Spool) -> None:
    """Two devices of one name do not share a spool: the second one says why it does not start."""
    program = "import sys\nfrom pathlib import Path\nfrom edge.spool import Spool\nSpool(Path(sys.argv[1]), 1)\n"
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "SpoolError" in last
    assert "locked; is another device running with this name" in last
    with pytest.raises(SpoolError, match="locked"):
        Spool(path, 1)
    spool.commit([(key(0), b"still ours")], [])


def test_a_folder_in_the_way_is_refused(tmp_path: Path) -> None:
    """A path that cannot be created or is a folder is a SpoolError, not a traceback."""
    (tmp_path / "file").write_text("")
    for bad in (tmp_path, tmp_path / "file" / "cam1.sqlite"):
        with pytest.raises(SpoolError):
            Spool(bad, LIMIT)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 40), st.booleans()), max_size=30))
def test_what_it_says_is_what_the_file_holds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool]]
) -> None:
    """After any additions and removals its sizes and order are those that a fresh start reads from the file."""
    path = tmp_path_factory.mktemp("spool") / "cam1.sqlite"
    spool, expected = Spool(path, LIMIT, "process"), dict[Key, bytes]()
    for number, size, add in steps:
        if add and key(number) not in spool:
            spool.commit([(key(number), bytes(size))], [])
            expected[key(number)] = bytes(size)
        elif not add:
            spool.commit([], [key(number)])
            expected.pop(key(number), None)
    size_bytes = spool.size_bytes
    spool.close()
    again = Spool(path, LIMIT)
    kept = again.keys()
    assert kept == list(expected)
    assert {one: again.read(one) for one in kept} == expected
    assert size_bytes == again.size_bytes == sum(map(len, expected.values()))
    again.close()


def test_a_frame_is_forced_to_the_disk_before_its_commit_returns_and_no_other(path: Path) -> None:
    """With `power` a commit that adds is one fsync for all its frames; one that only forgets needs none."""
    said = statements(path, "power")
    assert said["add"] == ["PRAGMA synchronous = FULL", "BEGIN", "INSERT", "INSERT", "INSERT", "COMMIT"]
    assert said["forget"] == ["PRAGMA synchronous = NORMAL", "BEGIN", "DELETE", "COMMIT"]
    assert statements(path.with_name("other.sqlite"), "process")["add"][0] == "PRAGMA synchronous = NORMAL"


def statements(path: Path, durable: Durable) -> dict[str, list[str]]:
    """Return what SQLite is told when three frames come, and when one goes; rows only by their first word."""
    spool, said = Spool(path, LIMIT, durable), list[str]()
    spool._db.set_trace_callback(lambda text: said.append(text.split()[0] if " frames" in text else text))
    found = {}
    spool.commit([(key(n), bytes(500)) for n in range(3)], [])
    found["add"] = list(said)
    assert spool._db.execute("PRAGMA synchronous").fetchone() == (2 if durable == "power" else 1,)  # FULL, NORMAL
    said.clear()
    spool.commit([], [key(1)])
    found["forget"] = list(said)
    assert spool._db.execute("PRAGMA synchronous").fetchone() == (1,)
    spool.close()
    return found


def test_off_keeps_nothing_and_leaves_what_is_there(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Frames live in memory, within the same bound; what an earlier run left on the disk waits for one that uses it."""
    before = Spool(path, LIMIT)
    before.commit([(key(0, EARLIER_BOOT), b"waits")], [])
    before.close()
    spool = Spool(path, 10, "off")
    assert "frames of earlier runs stay" in caplog.text
    spool.commit([(key(1), b"123456")], [])
    assert (spool.keys(), spool.read(key(1)), spool.fits(4), spool.fits(5)) == ([key(1)], b"123456", True, False)
    assert not spool.outlives_us
    spool.close()
    again = Spool(path, LIMIT)
    assert again.keys() == [key(0, EARLIER_BOOT)]
    again.close()


def test_a_frame_that_is_forgotten_and_added_has_its_new_message(spool: Spool) -> None:
    """In one transaction; its place in the bound is the new one's."""
    spool.commit([(key(0), bytes(1000)), (key(1), b"other")], [], {key(0): Note(3.0, b"answer")})
    assert (spool.size_bytes, spool.size_of(key(0)), spool.answer(key(0)), spool.answer(key(1))) == (
        1011, 1006, b"answer", None,
    )  # fmt: skip
    spool.commit([(key(0), b"answer")], [key(0)], {key(0): Note(5.0)})
    assert (spool.read(key(0)), spool.answer(key(0)), spool.size_bytes) == (b"answer", None, 11)
    assert spool.age_s(key(0)) == pytest.approx(5.0, abs=1.0)


def test_ages_go_on_over_a_restart_whatever_the_wall_clock_does(path: Path) -> None:
    """Ten seconds before the kill and twenty after it are thirty, with the wall a year ahead or behind meanwhile."""
    clock = Clock()
    for year_s in (-365 * 86_400.0, 365 * 86_400.0):
        spool = Spool(path, LIMIT, "process", clock.machine())
        spool.commit([(key(0), b"x")], [], {key(0): Note(10.0)})
        spool.close()
        clock.s += 20.0
        clock.wall_s += year_s
        again = Spool(path, LIMIT, "process", clock.machine())
        assert again.age_s(key(0)) == pytest.approx(30.0)
        clock.s += 5.0
        clock.wall_s -= year_s
        assert again.age_s(key(0)) == pytest.approx(35.0)
        again.commit([], [key(0)])
        again.close()
    assert again.age_s(key(0)) is None


def test_ages_over_a_start_of_the_machine_are_the_wall_s_within_bounds(path: Path) -> None:
    """Two hours without power count; a year's step does not, and leaves what is sure: the time since the start."""
    for off_s, expected_s in ((7200.0, 7210.0), (365 * 86_400.0, 60.0), (-365 * 86_400.0, 60.0)):
        clock = Clock()
        spool = Spool(path, LIMIT, "process", clock.machine("start-1"))
        spool.commit([(key(0), b"x")], [], {key(0): Note(10.0)})
        spool.close()
        clock.wall_s += clock.s + off_s - 60.0
        clock.s = 60.0
        again = Spool(path, LIMIT, "process", clock.machine("start-2"))
        assert again.age_s(key(0)) == pytest.approx(expected_s)
        again.commit([], [key(0)])
        again.close()


def test_room_is_held_for_the_journal_and_given_up_where_there_is_no_other(path: Path) -> None:
    """It is there from the first frame on; a disk without room takes it, and the next success brings it back."""
    spool, reserve, said = Spool(path, LIMIT, "process"), path.with_name("cam1.sqlite.reserve"), list[str]()
    spool.commit([(key(0), b"x")], [])
    assert reserve.stat().st_size == RESERVE_BYTES
    real, tries = spool._transact, [Full(), Full()]

    def transact(*given: Any) -> None:
        said.append("held" if reserve.exists() else "given up")
        if tries:
            raise tries.pop()
        real(*given)

    spool._transact = transact  # type: ignore[method-assign]
    with pytest.raises(SpoolError, match="disk is full"):
        spool.commit([], [key(0)])
    spool.commit([], [key(0)])
    spool.commit([(key(1), b"y")], [])
    assert said == ["held", "given up", "given up", "held"]
    assert spool.keys() == [key(1)]
    spool.close()
    assert [file.name for file in path.parent.iterdir()] == ["cam1.sqlite"]


def test_off_leaves_what_another_device_of_that_name_holds_in_reserve(path: Path, spool: Spool) -> None:
    """Nothing keeps the second one from starting; its end takes nothing of the first one's."""
    spool.commit([(key(0), b"x")], [])
    Spool(path, LIMIT, "off").close()
    assert path.with_name("cam1.sqlite.reserve").stat().st_size == RESERVE_BYTES


class Full(sqlite3.OperationalError):
    """What SQLite says on a disk without room."""

    def __init__(self) -> None:
        super().__init__("database or disk is full")
        self.sqlite_errorcode = sqlite3.SQLITE_FULL


def test_for_how_long_the_disk_takes_no_frame_is_told(path: Path) -> None:
    """Frames that can be forgotten meanwhile do not end it; a frame that can be added does."""
    clock = Clock()
    spool = Spool(path, LIMIT, "process", clock.machine())
    spool.commit([(key(0), b"x")], [])
    assert spool.failing_s() is None
    spool._db.execute("PRAGMA query_only = 1")
    for clock.s in (2000.0, 2010.0):
        with pytest.raises(SpoolError):
            spool.commit([(key(1), b"y")], [])
    spool._db.execute("PRAGMA query_only = 0")
    spool.commit([], [key(0)])
    assert spool.failing_s() == 10.0
    spool.commit([(key(1), b"y")], [])
    assert spool.failing_s() is None
    spool.close()


def test_a_disk_may_be_asked_whether_it_takes_frames_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one: it must take a write, and have room for the largest frame that it refused."""
    spool, free_bytes = Spool(path, LIMIT, "process"), 150_000
    spool._db.execute("PRAGMA query_only = 1")
    with pytest.raises(SpoolError):
        spool.commit([(key(0), b"x"), (key(1), bytes(40_000))], [])
    with pytest.raises(SpoolError, match="readonly"):
        spool.commit([], [])
    spool._db.execute("PRAGMA query_only = 0")
    monkeypatch.setattr("edge.reserve.shutil.disk_usage", lambda _: SimpleNamespace(free=free_bytes))
    with pytest.raises(SpoolError, match="disk is full"):
        spool.commit([], [])
    spool.commit([], [key(9)])
    assert spool.failing_s() is not None
    free_bytes = 200_000
    spool.commit([], [])
    assert (spool.failing_s(), len(spool)) == (None, 0)
    spool.close()


def test_a_disk_that_is_nearly_full_is_left_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that the file has no room for is refused while the journal still has some; another one is taken."""
    spool = Spool(path, LIMIT, "process")
    spool.commit([(key(n), bytes(40_000)) for n in range(3)], [])
    monkeypatch.setattr("edge.reserve.shutil.disk_usage", lambda _: SimpleNamespace(free=40_960))
    with pytest.raises(SpoolError, match="disk is full"):
        spool.commit([(key(3), bytes(40_000))], [])
    spool.commit([], [key(0), key(1)])
    spool.commit([(key(3), bytes(40_000))], [])
    assert spool.keys() == [key(2), key(3)]
    spool.close()
