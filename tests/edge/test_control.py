"""Who may change what the device runs, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.control import Control
from edge.head import prepare_head
from edge.plan import Plan
from headwater.errors import SettingsError
from headwater.messages import SettingsApplied
from models.bundle import Bundle
from models.engine import Engine
from planning.decide import Limits
from tests.edge.samples import exit_bundle, tiny_bundle


def control(
    folder: Path, split: str = "auto", codec: str = "auto", bundle: Bundle | None = None, limits: Limits | None = None
) -> Control:
    """Return what a device of the tiny bundle runs."""
    bundle = bundle or tiny_bundle(folder / "tiny")
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    return Control("cam1", bundle, engine, Plan(split, codec, "all"), None, limits or Limits())


def applied(one: Control, payload: bytes) -> SettingsApplied:
    """Return the answer to an operator's message."""
    answer = one.apply(payload)
    assert answer is not None
    return answer


def test_until_something_is_decided_the_device_finishes_itself(tmp_path: Path) -> None:
    """The first head of `--split auto` needs no link and no measurement."""
    one = control(tmp_path)
    assert (one.plan.split, one.head.split, one.head.codec) == ("auto", "device", "none")


def test_a_probe_is_for_one_frame(tmp_path: Path) -> None:
    """The frame after it goes the way in use."""
    one = control(tmp_path)
    one.probe(prepare_head(one._bundle, one._engine, "image", "png"))
    assert [one.next().head.split for _ in range(3)] == ["image", "device", "device"]
    assert one.head.split == "device"


def test_an_operator_is_stronger_than_a_decision(tmp_path: Path) -> None:
    """Once somebody has set a split, neither a decision under way nor a probe changes it; auto gives it free again."""
    one = control(tmp_path)
    picture = prepare_head(one._bundle, one._engine, "image", "png")
    one.use(picture)
    assert one.next().head is picture
    assert applied(one, b'{"version":1,"split":"add"}').split == "add"
    one.use(picture)
    one.probe(picture)
    assert one.next().head.split == "add"
    assert applied(one, b'{"version":1,"split":"auto"}').split == "auto"
    one.use(picture)
    assert one.head is picture


def test_what_is_wanted_is_told_with_every_change(tmp_path: Path) -> None:
    """Whoever decides hears of splits and thresholds, not of what was refused."""
    one, told = control(tmp_path, bundle=exit_bundle(tmp_path / "exits", 0.0)), list[Plan]()
    one.on_plan = told.append
    for text in (b'{"version":1,"split":"image"}', b'{"version":1,"split":"nowhere"}', b'{"version":1,"split":"auto"}'):
        one.apply(text)
    one.apply(b'{"version":1,"thresholds":{"exit1":{"litter":99}}}')
    assert [plan.split for plan in told] == ["image", "auto", "auto"]
    assert told[-1].rules["exit1"].thresholds == {"litter": 99}
    assert one.head.exits == ("exit1",)


def test_a_report_changes_no_head(tmp_path: Path) -> None:
    """The way that was decided stays in use."""
    one = control(tmp_path)
    picture = prepare_head(one._bundle, one._engine, "image", "png")
    one.use(picture)
    applied(one, b'{"version":1,"report":"positive"}')
    assert one.head is picture
    assert one.plan.report == "positive"


@pytest.mark.parametrize("codec", ["zip", "jpeg:900"])
def test_a_codec_that_fits_nowhere_is_refused_at_the_start(tmp_path: Path, codec: str) -> None:
    """Not minutes later, when the profile is measured."""
    with pytest.raises(SettingsError, match="codec: got"):
        control(tmp_path, codec=codec)


def test_no_probe_outlives_a_change_of_plan(tmp_path: Path) -> None:
    """One that was made for the plan before is forgotten."""
    one = control(tmp_path)
    one.probe(prepare_head(one._bundle, one._engine, "image", "png"))
    applied(one, b'{"version":1,"split":"add"}')
    applied(one, b'{"version":1,"split":"auto"}')
    assert one.next().head.split != "image"


def test_what_must_not_leave_does_not_whoever_asks(tmp_path: Path) -> None:
    """A device that keeps its pictures refuses to send them, from its start or from an operator."""
    kept = Limits(keeps_pictures=True)
    with pytest.raises(SettingsError, match="no picture leaves the device"):
        control(tmp_path, "image", limits=kept)
    answer = applied(control(tmp_path / "b", limits=kept), b'{"version":1,"split":"image"}')
    assert answer.refused is not None
    assert answer.split == "auto"
    with pytest.raises(SettingsError, match="was not tried for what it leaks, and --leak allows"):
        control(tmp_path / "c", "add", limits=Limits(leak_ssim_at_most=0.5))


def test_a_codec_that_auto_has_not_measured_is_refused(tmp_path: Path) -> None:
    """It would be said to hold, and would not."""
    one = control(tmp_path)
    answer = applied(one, b'{"version":1,"codec":"float16"}')
    assert answer.refused is not None
    assert "with split auto the device's own, 'auto', holds" in answer.refused
    assert applied(one, b'{"version":1,"split":"add","codec":"float16"}').codec == "float16"
    assert applied(one, b'{"version":1,"split":"auto"}').codec == "auto"
