"""The face models are fetched once, checked, and never half."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from headwater.cli import main
from models.crop import CropError
from models.faces import detector
from models.faces import fetch as fetching
from models.faces.fetch import WHEEL, fetch, missing_files
from models.faces.files import DETECTOR, MESH, ModelFile, models_folder, read_model

CONTENT = {"small.tflite": b"one network", "large.tflite": b"another network"}
FILES = tuple(
    ModelFile(name, f"mediapipe/modules/{name}", len(content), hashlib.sha256(content).hexdigest())
    for name, content in CONTENT.items()
)


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two small files stand for the networks, in a cache of their own, and no index is ever asked."""
    monkeypatch.setattr(fetching, "MODEL_FILES", FILES)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def wheel(path: Path, **changed: bytes) -> Path:
    """Return a wheel with both files, some of them changed; None of what is empty."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in CONTENT.items():
            archive.writestr(f"mediapipe/modules/{name}", changed.get(name.partition(".")[0], content))
    return path


def test_a_wheel_at_hand_is_enough(tmp_path: Path) -> None:
    """Both files come out of it, into the cache, and nothing else is left there."""
    found = fetch(wheel(tmp_path / WHEEL))
    assert [path.read_bytes() for path in found] == list(CONTENT.values())
    assert sorted(path.name for path in models_folder().iterdir()) == sorted(CONTENT)
    assert models_folder() == tmp_path / "cache/headwater/models"


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    """The second time nothing is read or downloaded; one file that is spoiled is taken again."""
    first = fetch(wheel(tmp_path / WHEEL))
    stamps = [path.stat().st_mtime_ns for path in first]
    assert [path.stat().st_mtime_ns for path in fetch()] == stamps
    first[1].write_bytes(b"spoiled")
    assert [file.name for file in missing_files()] == ["large.tflite"]
    assert fetch(tmp_path / WHEEL)[1].read_bytes() == CONTENT["large.tflite"]
    assert first[0].stat().st_mtime_ns == stamps[0]


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    """Of the right size or not: nothing is kept of a wheel with a wrong file."""
    for spoiled in (b"another networK", b"longer than another network"):
        with pytest.raises(CropError, match=r"large\.tflite in .* another SHA-256 than"):
            fetch(wheel(tmp_path / WHEEL, large=spoiled))
    assert not models_folder().exists()


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    """A newer mediapipe has no models; the error says which one has."""
    with zipfile.ZipFile(tmp_path / "new.whl", "w") as archive:
        archive.writestr("mediapipe/__init__.py", "")
    with pytest.raises(CropError, match=r"holds no mediapipe/modules/small\.tflite; expected mediapipe-0\.10\.18"):
        fetch(tmp_path / "new.whl")


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "cut", "damaged"])
def test_what_is_no_wheel_is_refused(tmp_path: Path, kind: str) -> None:
    """One error of ours, whatever the file."""
    path = wheel(tmp_path / "w.whl")
    whole = bytearray(path.read_bytes())
    whole[60:64] = b"\xff\xff\xff\xff"
    if kind in {"missing", "folder"}:
        path.unlink()
    if kind == "folder":
        path.mkdir()
    if kind in {"text", "cut", "damaged"}:
        path.write_bytes({"text": b"no zip", "cut": bytes(whole[:-40]), "damaged": bytes(whole)}[kind])
    with pytest.raises(CropError):
        fetch(path)


def test_without_an_index_it_says_what_to_do() -> None:
    """pip's own reason, and the way round it."""
    with pytest.raises(CropError, match=r"cannot be downloaded: .*mediapipe==0\.10\.18.*add --from that file"):
        fetch()
    assert not models_folder().exists()


def test_pip_downloads_what_its_settings_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of wheels that pip is told of is as good as an index, on a Python of any version."""
    wheel(tmp_path / WHEEL)
    with zipfile.ZipFile(tmp_path / WHEEL, "a") as archive:
        info = "mediapipe-0.10.18.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.18\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-linux_x86_64\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert [path.read_bytes() for path in fetch()] == list(CONTENT.values())


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable that moves it."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CropError, match="set XDG_CACHE_HOME"):
        fetch(wheel(tmp_path / WHEEL))


def test_a_missing_model_names_the_command(tmp_path: Path) -> None:
    """So does a wrong one."""
    with pytest.raises(CropError, match=r"face_landmark\.tflite is missing.*run `headwater models fetch face` once"):
        read_model(MESH, tmp_path)
    (tmp_path / DETECTOR.name).write_bytes(b"another")
    with pytest.raises(CropError, match=r"expected bbff11cebd1e….*run `headwater models fetch face` again"):
        read_model(DETECTOR, tmp_path)


def test_the_command_prints_where_the_files_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Paths and sizes on stdout; status 0."""
    with pytest.raises(SystemExit) as ended:
        main(["models", "fetch", "face", "--from", str(wheel(tmp_path / WHEEL))])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [str(models_folder() / name) for name in CONTENT]


def test_without_mediapipe_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that lacks it says what to install, in one line."""
    content = b"stands for the detector"
    file = DETECTOR._replace(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(detector, "DETECTOR", file)
    (tmp_path / file.name).write_bytes(content)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(CropError, match=r"mediapipe cannot be imported .*install the extra face"):
        detector.FaceDetector(tmp_path)


def test_the_desktops_opencv_on_a_machine_without_screen_is_told() -> None:
    """mediapipe brings it, and it does not load there; the one without a screen goes over it."""
    reason = "libGL.so.1: cannot open shared object file: No such file or directory"
    assert detector._remedy(reason).endswith("opencv-python-headless")
