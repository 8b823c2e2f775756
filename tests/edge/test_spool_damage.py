"""A spool that is damaged, torn or gone: what is whole of it goes on, and the device with it."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import spool_file
from edge.delivery import Delivery
from edge.ledger import Ledger
from edge.outbox import Outbox
from edge.spool import MEND_EVERY_S, Note, Spool
from edge.spool_file import KEPT_ASIDE
from headwater.errors import SpoolError
from headwater.messages import encode
from tests.edge.samples import EARLIER_BOOT, Clock, frame, key

LIMIT, PAGE = 10_000_000, 4096
FRAMES = 30
READ_ONLY = 18
"""The byte that may say that nobody can write the file. Source: sqlite.org, "Database File Format", section 1.3.4."""


def message(number: int) -> bytes:
    """Return what is kept of a frame: a page of the file each."""
    return f"frame {number:04d}".encode() + bytes((number + n) % 251 for n in range(2990))


def opened(path: Path, clock: Clock | None = None) -> Spool:
    """Return the spool there."""
    return Spool(path, LIMIT, "process", (clock or Clock()).machine())


def filled(path: Path, clock: Clock | None = None) -> Spool:
    """Return a spool with frames."""
    spool = opened(path, clock)
    spool.commit([(key(n), message(n)) for n in range(FRAMES)], [], {key(n): Note(n) for n in range(FRAMES)})
    return spool


def closed(path: Path) -> Path:
    """Return the file of a spool with frames that nobody uses."""
    filled(path).close()
    return path


def whole(spool: Spool) -> list[int]:
    """Return the frames that can be read, each as it was written, and add and forget one more."""
    found = []
    for one in spool.keys():  # noqa: SIM118  not a dict
        try:
            kept = spool.read(one)
        except SpoolError:
            continue
        if kept is not None:
            assert kept == message(one.sequence)
            found.append(one.sequence)
    spool.commit([(key(99), b"new")], [])
    assert spool.read(key(99)) == b"new"
    spool.commit([], [key(99)])
    return sorted(found)


def aside(path: Path) -> list[Path]:
    """Return the damaged files that are kept."""
    return sorted(one for one in path.parent.iterdir() if ".damaged-" in one.name and not one.name.endswith("-wal"))


@pytest.mark.parametrize(
    "content", [b"this is no database, and longer than one page" * 200, b"SQLite format 3\0" * 300]
)
def test_a_file_that_is_no_spool_is_set_aside(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It keeps its bytes under another name, with the time; the device says so and begins with an empty spool."""
    path = tmp_path / "cam1.sqlite"
    path.write_bytes(content)
    with caplog.at_level(logging.ERROR):
        spool = opened(path)
    assert (whole(spool), spool.mended, spool.lost_before) == ([], 1, 0)
    (kept,) = aside(path)
    assert kept.read_bytes() == content
    assert kept.name in caplog.text
    spool.close()


def test_a_database_of_something_else_is_set_aside(tmp_path: Path) -> None:
    """A table of that name with other columns is not taken for a spool, and not destroyed."""
    path = tmp_path / "cam1.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE frames (something INTEGER)")
        other.execute("INSERT INTO frames VALUES (5)")
    other.close()
    spool = opened(path)
    assert whole(spool) == []
    spool.close()
    with sqlite3.connect(aside(path)[0]) as other:
        assert other.execute("SELECT * FROM frames").fetchall() == [(5,)]
    other.close()


def test_a_spool_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    """Without checksum, time and answer its frames are frames all the same, and in doubt young, at a restart, too."""
    path = earlier(tmp_path / "cam1.sqlite", 5)
    spool = opened(path)
    assert spool.keys() == [key(n, EARLIER_BOOT) for n in range(5)]
    assert whole(spool) == list(range(5))
    assert spool.age_s(key(0, EARLIER_BOOT)) == 0.0
    spool.close()
    again = opened(path)
    assert (again.mended, again.age_s(key(0, EARLIER_BOOT))) == (0, 0.0)
    again.close()


def earlier(path: Path, frames: int) -> Path:
    """Return a spool as the version before checksums, stamps and answers left it."""
    with sqlite3.connect(path) as other:
        other.execute(
            "CREATE TABLE frames (place INTEGER PRIMARY KEY, boot TEXT NOT NULL, sequence INTEGER NOT NULL, "
            "message BLOB NOT NULL, UNIQUE (boot, sequence))"
        )
        rows = [(EARLIER_BOOT, n, message(n)) for n in range(frames)]
        other.executemany("INSERT INTO frames (boot, sequence, message) VALUES (?, ?, ?)", rows)
    other.close()
    return path


@pytest.fixture
def cramped(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A disk with room for a third of the frames in a file that is made anew; `undo` gives it more."""
    real = spool_file.connect

    def connect(path: Path | None) -> sqlite3.Connection:
        db = real(path)
        if path is not None and path.suffix == ".new":
            db.execute(f"PRAGMA max_page_count = {FRAMES // 3}")
        return db

    monkeypatch.setattr(spool_file, "connect", connect)
    return monkeypatch


def test_without_room_for_a_new_file_the_old_one_stays_as_it_is(tmp_path: Path, cramped: pytest.MonkeyPatch) -> None:
    """A start that would save a third of the frames ends with one line; with room all are there."""
    path = earlier(tmp_path / "cam1.sqlite", FRAMES)
    for _ in range(2):
        with pytest.raises(SpoolError, match="disk is full"):
            opened(path)
        assert [one.name for one in tmp_path.iterdir()] == ["cam1.sqlite"]
    cramped.undo()
    spool = opened(path)
    assert (whole(spool), spool.lost_before) == (list(range(FRAMES)), 0)
    spool.close()


def test_without_room_damage_while_running_is_mended_later(tmp_path: Path, cramped: pytest.MonkeyPatch) -> None:
    """Meanwhile what is whole can be read; with room only the damaged frame is lost."""
    path, clock = closed(tmp_path / "cam1.sqlite"), Clock()
    spool = opened(path, clock)
    damage(path, 10)
    spool._db.execute("PRAGMA shrink_memory")
    for _ in range(2):
        with pytest.raises(SpoolError):
            spool.read(key(10))
        assert [spool.read(key(n)) for n in (9, 11, FRAMES - 1)] == [message(n) for n in (9, 11, FRAMES - 1)]
        clock.s += MEND_EVERY_S
    cramped.undo()
    assert spool.read(key(10)) is None
    assert (spool.mended, spool.lost(), len(spool)) == (1, [key(10)], FRAMES - 1)
    assert whole(spool) == [n for n in range(FRAMES) if n != 10]
    spool.close()


def test_without_room_frames_that_cannot_be_read_wait(tmp_path: Path, cramped: pytest.MonkeyPatch) -> None:
    """A damaged index hides all of them and loses none: they are sent when it could be made anew."""
    path, clock, ledger = tmp_path / "cam1.sqlite", Clock(), Ledger(recovered=FRAMES)
    spool = opened(path, clock)
    spool.commit([(key(n), encode(frame(n, 3000))) for n in range(FRAMES)], [])
    (root,) = spool._db.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index'").fetchone()
    spool.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(b"\xff" * PAGE)
    spool = opened(path, clock)
    outbox = Outbox(spool, Delivery(10, 60, lambda: 0.0), ledger)
    for _ in range(3):
        assert outbox.next_to_send(clock.s, FRAMES) is None
    assert (len(outbox), spool.is_torn, ledger.counts().dropped) == (FRAMES, True, {})
    cramped.undo()
    clock.s += MEND_EVERY_S
    sent = [due[0].sequence for _ in range(FRAMES) if (due := outbox.next_to_send(clock.s, FRAMES))]
    assert (sorted(sent), spool.is_torn, spool.mended) == (list(range(FRAMES)), False, 1)
    spool.close()


def test_without_room_what_was_taken_away_is_kept_in_hand(tmp_path: Path, cramped: pytest.MonkeyPatch) -> None:
    """The open file without a name is all that there is of the frames; it is not let go before they are elsewhere."""
    path, clock = tmp_path / "state" / "cam1.sqlite", Clock()
    spool = filled(path, clock)
    shutil.rmtree(tmp_path / "state")
    for _ in range(2):
        with pytest.raises(SpoolError, match="disk is full"):
            spool.commit([(key(50), message(50))], [])
        clock.s += MEND_EVERY_S
    cramped.undo()
    spool.commit([(key(50), message(50))], [])
    assert (whole(spool), spool.lost()) == ([*range(FRAMES), 50], [])
    spool.close()


@pytest.mark.parametrize("garbage", [b"\xff" * PAGE, bytes(PAGE), b"headwater" * (PAGE // 9) + b"x"])
def test_whichever_page_is_damaged_the_others_are_saved(tmp_path: Path, garbage: bytes) -> None:
    """One page of a frame costs that frame; only the roots of the file cost more. Capture goes on with any."""
    whole_file = closed(tmp_path / "whole" / "cam1.sqlite").read_bytes()
    pages = len(whole_file) // PAGE
    assert pages > FRAMES
    costly = 0
    for page in range(pages):
        path = tmp_path / f"page{page}" / "cam1.sqlite"
        path.parent.mkdir()
        path.write_bytes(whole_file[: page * PAGE] + garbage[:PAGE] + whole_file[(page + 1) * PAGE :])
        spool = opened(path)
        kept = whole(spool)
        costly += len(kept) < FRAMES - 1
        spool.close()
    assert costly <= 2  # the first page and the root of the table


@settings(max_examples=60)
@given(data=st.data())
def test_any_flipped_bits_give_frames_as_they_were_or_none(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever bytes change in the file: no other error, no frame that is not as it was written."""
    path = closed(tmp_path_factory.mktemp("flipped") / "cam1.sqlite")
    content = bytearray(path.read_bytes())
    places = st.integers(0, len(content) - 1).filter(lambda place: place != READ_ONLY)
    for place in data.draw(st.lists(places, min_size=1, max_size=200)):
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    spool = opened(path)
    assert set(whole(spool)) <= set(range(FRAMES))
    spool.close()


def test_a_frame_under_another_s_number_is_none(tmp_path: Path) -> None:
    """A number that changed on the disk would be another frame's; it is not sent."""
    spool = filled(tmp_path / "cam1.sqlite")
    spool._db.execute("UPDATE frames SET sequence = 77 WHERE sequence = 5")
    spool.close()
    again = opened(tmp_path / "cam1.sqlite")
    with pytest.raises(SpoolError, match="is not as it was written"):
        again.read(key(77))
    assert whole(again) == [n for n in range(FRAMES) if n != 5]
    again.close()


@settings(max_examples=60)
@given(data=st.data())
def test_a_journal_that_is_torn_costs_the_last_commits_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A power cut leaves the journal up to some byte, or garbage from there on: what is left is a beginning."""
    folder = tmp_path_factory.mktemp("torn")
    spool = opened(folder / "cam1.sqlite")
    for n in range(12):
        spool.commit([(key(n), message(n))], [])
    copy = folder / "copy.sqlite"
    shutil.copy(folder / "cam1.sqlite", copy)
    journal = (folder / "cam1.sqlite-wal").read_bytes()
    spool.close()
    cut = data.draw(st.integers(0, len(journal)))
    rest = data.draw(st.sampled_from([b"", bytes(len(journal) - cut), b"\xa5" * (len(journal) - cut)]))
    copy.with_name("copy.sqlite-wal").write_bytes(journal[:cut] + rest)
    again = opened(copy)
    kept = whole(again)
    assert kept == list(range(len(kept)))
    assert again.mended == 0
    again.close()


def test_damage_while_running_is_mended_and_what_is_lost_is_told(tmp_path: Path) -> None:
    """The commit that finds it succeeds; frames that could not be saved are named once."""
    path = closed(tmp_path / "cam1.sqlite")
    spool = opened(path)
    damage(path, 10, 20)
    spool._db.execute("PRAGMA shrink_memory")
    read = [spool.read(key(n)) for n in range(FRAMES)]
    assert read == [None if n in (10, 20) else message(n) for n in range(FRAMES)]
    assert spool.mended == 1
    assert spool.lost() == [key(10), key(20)]
    assert spool.lost() == []
    assert len(whole(spool)) == len(spool) == FRAMES - 2
    assert spool.size_bytes == (FRAMES - 2) * 3000
    assert len(aside(path)) == 1
    spool.close()


def damage(path: Path, *numbers: int) -> None:
    """Overwrite the pages of these frames with garbage."""
    content = path.read_bytes()
    with path.open("r+b") as file:
        for number in numbers:
            file.seek(content.index(message(number)) // PAGE * PAGE)
            file.write(b"\xff" * PAGE)


def test_a_file_that_somebody_took_away_is_made_anew_with_all_that_is_in_it(tmp_path: Path) -> None:
    """With the whole folder: the frames are still at hand, and on the disk again before the next one is."""
    path = tmp_path / "state" / "demo" / "cam1.sqlite"
    spool = filled(path)
    shutil.rmtree(tmp_path / "state")
    spool.commit([(key(50), message(50))], [key(0)])
    assert (spool.mended, spool.lost()) == (1, [])
    spool.close()
    again = opened(path)
    assert whole(again) == [*range(1, FRAMES), 50]
    assert again.age_s(key(7)) == pytest.approx(7.0)
    again.close()


def test_a_folder_that_cannot_be_made_again_is_told_and_tried_again(tmp_path: Path) -> None:
    """A file in its way: no frame is taken as safe; when it is gone, everything is there."""
    path, clock = tmp_path / "state" / "cam1.sqlite", Clock()
    spool = filled(path, clock)
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").write_text("in the way")
    for _ in range(3):
        with pytest.raises(SpoolError, match="give --spool another folder"):
            spool.commit([(key(50), message(50))], [])
    (tmp_path / "state").unlink()
    clock.s += MEND_EVERY_S
    spool.commit([(key(50), message(50))], [])
    assert whole(spool) == [*range(FRAMES), 50]
    spool.close()


def test_a_crash_while_it_is_mended_loses_nothing(tmp_path: Path) -> None:
    """Half a new file is thrown away while the old one is there, and taken where it is not."""
    path = closed(tmp_path / "cam1.sqlite")
    path.with_name("cam1.sqlite.new").write_bytes(b"half a file")
    spool = opened(path)
    assert whole(spool) == list(range(FRAMES))
    spool.close()
    path.rename(path.with_name("cam1.sqlite.new"))
    spool = opened(path)
    assert whole(spool) == list(range(FRAMES))
    spool.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["cam1.sqlite"]


def test_only_the_last_damaged_files_are_kept(tmp_path: Path) -> None:
    """A card that dies slowly does not fill itself."""
    path = tmp_path / "cam1.sqlite"
    for number in range(KEPT_ASIDE + 3):
        path.write_bytes(b"damaged %d " % number * 1000)
        opened(path).close()
    assert len(aside(path)) == KEPT_ASIDE
    assert any(b"damaged %d " % (KEPT_ASIDE + 2) in one.read_bytes() for one in aside(path))
