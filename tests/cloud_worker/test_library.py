"""Models are found by digest, kept within a bound, and looked for again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cloud_worker.library import Library, open_bundle
from cloud_worker.refusals import UnknownBundle, UnknownModel
from models.bundle import Bundle
from models.errors import ModelError
from tests.cloud_worker.fleet import make_bundle
from tests.models import tflite_files


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def now_s(self) -> float:
        return self.s


class Opener:
    """Counts what is opened instead of opening it."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def __call__(self, bundle: Bundle):
        self.opened.append(bundle.name)
        return object()


def test_a_model_is_opened_when_first_asked_for(tmp_path: Path) -> None:
    """Later frames get the same one."""
    bundle, opener = make_bundle(tmp_path), Opener()
    library = Library([tmp_path], opener)
    assert opener.opened == []
    assert library.model(bundle.digest, "tiny") is library.model(bundle.digest, "tiny")
    assert opener.opened == ["tiny"]


def test_the_least_recently_used_model_is_forgotten(tmp_path: Path) -> None:
    """At most `keep` engines are held."""
    files = [tflite_files.residual(), tflite_files.half_weights(), tflite_files.quantised()]
    for number, content in enumerate(files):
        (tmp_path / f"m{number}.tflite").write_bytes(content)
    digests = [Bundle.load(tmp_path / f"m{number}.tflite").digest for number in range(3)]
    opener = Opener()
    library = Library([tmp_path], opener, keep=2)
    for number in (0, 1, 0, 2, 0, 1):
        library.model(digests[number], "")
    assert opener.opened == ["m0", "m1", "m2", "m1"]


def test_a_file_that_was_replaced_is_never_run_as_the_old_one(tmp_path: Path) -> None:
    """Its digest is held against the bytes that are run; the frame is refused, the new model found by its own."""
    path, time = tmp_path / "m.tflite", Time()
    path.write_bytes(tflite_files.residual())
    old = Bundle.load(path).digest
    library = Library([tmp_path], lambda bundle: open_bundle(bundle, 1), now_s=time.now_s)
    path.write_bytes(tflite_files.half_weights())
    for _ in range(2):
        with pytest.raises(UnknownModel):
            library.model(old, "m")
    time.s = 100.0
    assert library.model(Bundle.load(path).digest, "m").bundle.name == "m"
    path.unlink()
    with pytest.raises(UnknownModel):
        Library([], lambda bundle: open_bundle(bundle, 1)).model(old, "m")


def test_a_bundle_that_is_added_later_is_found(tmp_path: Path) -> None:
    """An unknown digest makes the library look again, at most every 5 s."""
    time, opener = Time(), Opener()
    library = Library([tmp_path], opener, now_s=time.now_s)
    bundle = make_bundle(tmp_path)
    with pytest.raises(UnknownModel):
        library.model(bundle.digest, "tiny")
    time.s = 5.0
    assert library.model(bundle.digest, "tiny").bundle == bundle
    assert bundle.digest in library.digests


def test_looking_again_keeps_what_was_found_first(tmp_path: Path) -> None:
    """An own copy of a shipped bundle, such as a calibrated one, stays before the shipped one."""
    time, own, empty = Time(), tmp_path / "own", tmp_path / "empty"
    shutil.copytree(Bundle.load("litter").folder, own / "litter")
    empty.mkdir()
    library = Library([own, empty], Opener(), now_s=time.now_s)
    time.s = 6.0
    with pytest.raises(UnknownModel):
        library.model("0" * 64, "unknown")
    assert library.model(Bundle.load("litter").digest, "litter").bundle.folder == own / "litter"


def test_looking_again_never_changes_what_a_name_means(tmp_path: Path) -> None:
    """Of two folders with another model of one name the first answers, before and after a name that is not there."""
    time, first, second = Time(), tmp_path / "first", tmp_path / "second"
    for folder, content in ((first, tflite_files.residual()), (second, tflite_files.half_weights())):
        folder.mkdir()
        (folder / "same.tflite").write_bytes(content)
    library = Library([first, second], Opener(), now_s=time.now_s)
    wanted = Bundle.load(first / "same.tflite").digest
    assert library.named("same").bundle.digest == wanted
    (second / "new.tflite").write_bytes(tflite_files.quantised())
    time.s = 6.0
    with pytest.raises(UnknownBundle):
        library.named("nothing")
    assert library.named("same").bundle.digest == wanted
    assert library.named("new").bundle.name == "new"


def test_a_folder_that_broke_does_not_hide_the_others(tmp_path: Path, caplog) -> None:
    """A bundle that cannot be read later on is logged, the good ones are found."""
    time, bad, good = Time(), tmp_path / "bad", tmp_path / "good"
    bad.mkdir()
    good.mkdir()
    library = Library([bad, good], Opener(), now_s=time.now_s)
    (bad / "bundle.toml").write_text("nonsense")
    bundle = make_bundle(good)
    time.s = 6.0
    assert library.model(bundle.digest, "tiny").bundle == bundle
    assert "bundle folder cannot be read" in caplog.text


def test_a_folder_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    """A misspelt folder is said before the first frame."""
    with pytest.raises(ModelError, match="nowhere"):
        Library([tmp_path / "nowhere"], Opener())
