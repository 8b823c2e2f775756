"""The bill of materials: valid, whole, with digests, licences and who needs whom."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from requirements import sbom
from requirements.locked import Locked, chosen, read
from requirements.release import INSTALLED, shipped
from tests.requirements.tiny import wheel

ROOT = Path(__file__).parents[2]
PACKAGES = read()
VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make build` writes beside a wheel."""
    folder = tmp_path_factory.mktemp("dist")
    wheel(folder, "headwater")
    command = [sys.executable, "-m", "requirements.release", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    return folder


@pytest.fixture(scope="module")
def whole(released: Path) -> dict[str, Any]:
    """The bill of materials of a release."""
    text = (released / "headwater-1.0.cdx.json").read_text()
    assert VALIDATOR.validate_str(text) is None
    found: dict[str, Any] = json.loads(text)
    return found


def pins(found: dict[str, Any]) -> set[tuple[str, str]]:
    """Return names and versions of the components."""
    return {(component["name"], component["version"]) for component in found["components"]}


def test_it_says_what_it_is_of(whole: dict[str, Any], released: Path) -> None:
    """Headwater in its version, with the digest of the wheel."""
    ours = whole["metadata"]["component"]
    assert (ours["name"], ours["version"], ours["licenses"]) == ("headwater", "1.0", [{"expression": "Apache-2.0"}])
    (file,) = ours["externalReferences"]
    digest = hashlib.sha256((released / file["url"]).read_bytes()).hexdigest()
    assert file["hashes"] == [{"alg": "SHA-256", "content": digest}]


@pytest.mark.parametrize("extra", sorted(shipped()))
def test_every_locked_package_is_in_it(whole: dict[str, Any], extra: str) -> None:
    """Of each extra for users, in the locked version, and it says for which extra."""
    wanted = {(package.name, package.version) for package in chosen(PACKAGES, [extra])}
    said = {
        (component["name"], component["version"])
        for component in whole["components"]
        for one in component["properties"]
        if one["name"] == "headwater:extras" and extra in one["value"].split()
    }
    assert said == wanted


def test_it_has_nothing_else(whole: dict[str, Any]) -> None:
    """No tool of ours alone: what tests, checks and benchmarks need is not delivered."""
    assert pins(whole) == {(package.name, package.version) for package in chosen(PACKAGES, shipped())}
    assert "pytest" not in {name for name, _ in pins(whole)}


def test_digests_are_the_locked_ones(whole: dict[str, Any]) -> None:
    """Each component names every file that may have been installed for it."""
    locked = {(package.name, package.version): set(package.hashes) for package in PACKAGES}
    for component in whole["components"]:
        (files,) = component["externalReferences"]
        digests = {one["content"] for one in files["hashes"]}
        assert digests == locked[component["name"], component["version"]]


def test_all_is_needed_by_somebody(whole: dict[str, Any]) -> None:
    """From Headwater, along who needs whom, every component that is installed here is reached."""
    needs = {entry["ref"]: entry["dependsOn"] for entry in whole["dependencies"]}
    reached, waiting = set(), [whole["metadata"]["component"]["bom-ref"]]
    while waiting:
        if (ref := waiting.pop()) not in reached:
            reached.add(ref)
            waiting += needs[ref]
    here = sbom.installed()
    orphans = {component["name"] for component in whole["components"] if component["bom-ref"] not in reached}
    assert orphans & set(here) == set()


def test_a_build_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same lock at the same time gives the same bytes."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    one, other = (sbom.bill(chosen(PACKAGES, ["edge"]), {"edge"}, "1.0") for _ in range(2))
    assert one == other
    assert one["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"


def test_an_environment_holds_what_is_locked_and_nothing_else() -> None:
    """What is not here is left out; what is here and not locked in this version is told."""
    here = {name: found for name, found in sbom.installed().items() if name in {"numpy", "msgspec"}}
    locked = [Locked(name, found.version, "", ("0" * 64,)) for name, found in here.items()]
    assert sbom.only_installed([*locked, Locked("absent", "1", "", ())], here) == locked
    with pytest.raises(SystemExit, match=r"installed, but not locked so: numpy \d"):
        sbom.only_installed([one for one in locked if one.name != "numpy"], here)


@pytest.mark.parametrize("extra", INSTALLED)
def test_a_locked_installation_has_the_wheel_and_all_it_needs(released: Path, extra: str) -> None:
    """Every line with its digests, our own wheel's first."""
    text = (released / f"headwater-1.0-{extra}.txt").read_text()
    entries = [line for line in text.replace("\\\n", "").splitlines() if not line.startswith("#")]
    assert entries[0].startswith(f"./headwater-1.0-py3-none-any.whl[{extra}] ")
    assert len(entries) == 1 + len(chosen(PACKAGES, [extra]))
    assert all("--hash=sha256:" in entry for entry in entries)


def test_a_release_is_of_one_wheel(tmp_path: Path) -> None:
    """An empty folder is told so."""
    command = [sys.executable, "-m", "requirements.release", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "one wheel expected, 0 found" in done.stderr
