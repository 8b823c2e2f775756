"""`headwater doctor`: what it prints and its exit status."""

from __future__ import annotations

import gc
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from headwater import doctor as module
from headwater import host
from headwater.checks import Check
from headwater.cli import main
from headwater.doctor import doctor, examine, find_engine, read_bundles


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """What the examination finds; a test may add to it."""
    checks = [Check("Python", "ok", "3.11.7"), Check("cameras", "note", "no [/dev/video*]", "connect a camera")]
    monkeypatch.setattr(module, "examine", lambda *_: checks)
    return checks


def test_notes_leave_it_ready(found: list[Check], capsys: pytest.CaptureFixture[str]) -> None:
    """What is only worth a note does not change the exit status."""
    assert doctor() == 0
    out = capsys.readouterr().out
    assert "no [/dev/video*]" in out
    assert out.endswith("Ready.\n")
    assert [check.state for check in found] == ["ok", "note"]


def test_a_fault_makes_the_exit_status_one(found: list[Check], capsys: pytest.CaptureFixture[str]) -> None:
    """One missing thing that an extra needs, and it is not ready."""
    found.append(Check("LiteRT", "fault", "cannot load", "install it"))
    assert doctor() == 1
    assert "Not ready" in capsys.readouterr().out


def test_json_is_one_object(found: list[Check], capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints every check with its state, detail and remedy."""
    assert doctor(json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ready"] is True
    assert report["checks"][1] == {
        "name": "cameras",
        "state": "note",
        "detail": "no [/dev/video*]",
        "remedy": "connect a camera",
    }
    assert len(report["checks"]) == len(found)


def test_every_check_is_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examination of this machine has every check in its order, and takes the servers that are named."""
    monkeypatch.setattr(module, "greet_mqtt", lambda _: None)
    monkeypatch.setattr(module, "ping_redis", lambda _: None)
    checks = examine(module.Address("broker.example", 1883), "redis://user:secret@store.example", tmp_path)
    assert [check.name for check in checks] == [
        "Python",
        *(f"extra {name}" for name in ("edge", "worker", "http", "visualizer", "face")),
        *(f"extra {name}" for name in ("traces", "autoscale", "certificates", "demo", "training", "tensorflow")),
        *("LiteRT", "bundles", "local broker", "local store", "broker", "store"),
        *("GStreamer", "gpsd", "cameras", "processor", "memory", "clock", "spool"),
    ]
    assert [check.detail for check in checks if check.name == "store"] == ["redis://***@store.example answers"]


@pytest.mark.parametrize("store", ["redis://127.0.0.1:abc", "reddis://:topsecret@127.0.0.1", "redis://:99999@h:99999"])
def test_an_unusable_store_address_ends_it(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As with the broker's, it is one line and status 2, without the password."""
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--store", store])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("headwater: error: store: got 're")
    assert err.count("\n") == 1
    assert "topsecret" not in err


def test_an_engine_that_cannot_be_loaded_gives_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a LiteRT that loads, the reasons of all candidates are told."""
    for name in module.ENGINES:
        monkeypatch.setitem(sys.modules, name, None)
    name, reason = find_engine()
    assert name is None
    assert all(engine in reason for engine in module.ENGINES)


def test_a_bundle_with_another_model_file_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that `models` refuses is told with its reason, the sound ones with their names."""

    class ModelError(Exception):
        pass

    def load(folder: Path) -> SimpleNamespace:
        if folder.name == "faces":
            raise ModelError("faces: model.tflite has another digest")
        return SimpleNamespace(name=folder.name)

    for name in ("faces", "litter"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bundle.toml").touch()
    fake = SimpleNamespace(SHIPPED=tmp_path, MANIFEST_FILE="bundle.toml", Bundle=SimpleNamespace(load=load))
    monkeypatch.setitem(sys.modules, "models.bundle", fake)
    monkeypatch.setitem(sys.modules, "models.errors", SimpleNamespace(ModelError=ModelError))
    assert read_bundles() == (["litter"], ["faces: model.tflite has another digest"])


def test_facts_of_this_machine_are_plausible(tmp_path: Path) -> None:
    """Cores, memory, disk and the clock are read, or said to be unknown."""
    assert host.usable_cores() >= 1
    assert host.processor()
    memory = host.memory_bytes()
    assert memory is None or memory[0] > memory[1] > 0
    free = host.free_disk_bytes(tmp_path / "not" / "yet" / "there")
    assert free is not None
    assert free > 0
    assert host.clock_synchronised() in {True, False, None}
    assert host.package_version("no-such-package") is None
    assert host.first_line(sys.executable, "-c", "print('one'); print('two')", timeout_s=60) == "one"
    assert host.first_line("no-such-program") is None


def test_no_garbage_is_looked_for_while_much_is_imported() -> None:
    """Also where the import fails; who had it switched off before keeps it so."""
    try:
        with host.importing():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
    with pytest.raises(ImportError), host.importing():
        importlib.import_module("no_such_module")
    assert gc.isenabled()
    gc.disable()
    try:
        with host.importing():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()


def test_a_folder_that_cannot_be_written_has_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A spool that this user may not write is no spool, however large the disk."""
    monkeypatch.setattr(host.os, "access", lambda *_: False)
    assert host.free_disk_bytes(tmp_path) is None


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n"}, 0.5),
        ("4:cpu,cpuacct:/a\n0::/\n", {"cpu,cpuacct/a/cpu.cfs_quota_us": "200000\n",
                                       "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"}, 2.0),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("0::/\n", {}, None),
    ],
)  # fmt: skip
def test_a_containers_quota_is_read_from_either_kind_of_control_group(
    tmp_path: Path, own: str, files: dict[str, str], expected: float | None
) -> None:
    """The narrowest of a group and those above it counts; none where nothing is limited."""
    for name, content in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(content)
    (tmp_path / "own").write_text(own)
    assert host.cpu_quota(tmp_path / "fs", tmp_path / "own") == expected
