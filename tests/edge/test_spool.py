"""The disk queue keeps what was committed, in order, within its bound, for one process."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.spool import Key, Spool
from headwater.errors import SpoolError
from tests.edge.samples import EARLIER_BOOT, key

LIMIT = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the spool lies, in a folder that does not exist yet."""
    return tmp_path / "state" / "demo" / "cam1.sqlite"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    """An empty spool."""
    opened = Spool(path, LIMIT)
    yield opened
    opened.close()


def test_what_was_committed_is_there_after_a_restart(path: Path) -> None:
    """Frames outlive the process in the order they came, with their bytes and sizes."""
    first = Spool(path, LIMIT)
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


def test_a_process_that_is_killed_loses_no_committed_frame(path: Path) -> None:
    """SIGKILL in mid-stream: every frame whose commit returned is there at the next start."""
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom edge.spool import Key, Spool\n"
        "spool = Spool(Path(sys.argv[1]), 10**9)\n"
        "for n in range(200):\n    spool.commit([(Key('0123abcd', n), bytes(5000))], [])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
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
    spool = Spool(path, limit)
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


@pytest.mark.parametrize(
    "content", [b"this is no database, and longer than one page" * 200, b"SQLite format 3\0" * 300]
)
def test_a_file_that_is_no_spool_is_refused(path: Path, content: bytes) -> None:
    """What is not SQLite's, or damaged, is a SpoolError and stays as it is."""
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(SpoolError, match=str(path)):
        Spool(path, LIMIT)
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    """A table of that name with other columns is not taken for a spool."""
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE frames (something INTEGER)")
    other.close()
    with pytest.raises(SpoolError, match="no such column"):
        Spool(path, LIMIT)


def test_a_folder_in_the_way_is_refused(tmp_path: Path) -> None:
    """A path that cannot be created or is a folder is a SpoolError, not a traceback."""
    (tmp_path / "file").write_text("")
    for bad in (tmp_path, tmp_path / "file" / "cam1.sqlite"):
        with pytest.raises(SpoolError):
            Spool(bad, LIMIT)


def test_damage_while_running_is_told(path: Path) -> None:
    """A read that fails is a SpoolError; the caller drops the frame and goes on."""
    spool = Spool(path, LIMIT)
    spool.commit([(key(0), b"x")], [])
    spool._db.execute("DROP TABLE frames")
    with pytest.raises(SpoolError, match="no such table"):
        spool.read(key(0))
    spool.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 40), st.booleans()), max_size=30))
def test_what_it_says_is_what_the_file_holds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool]]
) -> None:
    """After any additions and removals its sizes and order are those that a fresh start reads from the file."""
    path = tmp_path_factory.mktemp("spool") / "cam1.sqlite"
    spool, expected = Spool(path, LIMIT), dict[Key, bytes]()
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
