"""The command that says where to compute, on the real model of this machine."""

import json
import shutil
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

import edge.head
import edge.rehearsal
from edge.evidence import leaks_of
from edge.head import Body, Head
from edge.plan_commands import PlanSettings, _conditions
from edge.rehearsal import drawn_pictures, rehearse
from headwater.clock import Stopwatch
from headwater.errors import SettingsError
from headwater.host import clock_hz
from headwater.messages import Activation, Finished, Picture
from models.bundle import Bundle, find_bundles
from models.crop import Cut, Pixels, Whole
from models.engine import Engine, Part
from models.evidence import Leak
from planning.ways import Way

T = TypeVar("T")


def plan(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return what the command says."""
    bundle = () if "--bundle" in arguments else ("--bundle", "mnist")
    command = [sys.executable, "-m", "headwater", "plan", *bundle, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


@pytest.fixture(scope="module")
def ways() -> list[Way]:
    """Return every way of the litter model, as tried here."""
    bundle = Bundle.load("litter")
    return rehearse(bundle, Engine(bundle.model_path, outputs=bundle.finals), drawn_pictures(1), codecs=("auto",))


def test_every_way_is_tried(ways: list[Way]) -> None:
    """The picture, each cut point of the bundle, and the device, in the order of the network."""
    assert [way.split for way in ways] == ["image", *Bundle.load("litter").cut_points, "device"]
    assert [way.place for way in ways] == list(range(len(ways)))
    assert ways[0].shows_picture
    assert ways[-1].finishes


def test_what_is_computed_further_takes_longer(ways: list[Way]) -> None:
    """Heads rise from nothing and tails fall to nothing; only what travels has to be decoded."""
    heads, tails = [way.head_s for way in ways], [way.tail_s for way in ways]
    assert heads == sorted(heads)
    assert heads[0] == 0 < heads[1]
    assert tails == sorted(tails, reverse=True)
    assert tails[-1] == 0 < tails[0]
    assert all(way.decode_s > 0 for way in ways[:-1])


def test_what_travels_is_what_the_codec_makes_of_it(ways: list[Way]) -> None:
    """A compressed activation is not larger than its values, and not smaller than its envelope."""
    by_split = {way.split: way for way in ways}
    envelope = 600
    assert 400 < ways[-1].finished_bytes < envelope
    assert envelope < by_split["block_7_add"].payload_bytes <= 10 * 10 * 64 + envelope
    assert by_split["block_0_project"].payload_bytes > by_split["block_16_project"].payload_bytes
    assert all(way.largest_bytes >= way.payload_bytes for way in ways)


class _Dozing(Whole):
    """A crop that somebody else's work holds up."""

    def cut(self, picture: Pixels, width: int, height: int) -> list[Cut]:
        time.sleep(0.01)
        return super().cut(picture, width, height)


def _dozing(run: Callable[..., T]) -> Callable[..., T]:
    """Return a function that does nothing for a while first."""

    def dozing(*arguments: object) -> T:
        time.sleep(0.01)
        return run(*arguments)

    return dozing


@pytest.mark.parametrize(("threads", "least_s", "most_s"), [(1, 0.0, 0.008), (2, 0.01, 1.0)])
def test_what_holds_a_process_up_is_not_its_own_work(
    threads: int, least_s: float, most_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one thread the processor's time counts; of more threads at once only the clock knows."""
    bundle = Bundle.load("mnist")
    engine = Engine(bundle.model_path, outputs=bundle.finals, threads=threads)
    for owner, name in ((Part, "run"), (edge.head, "encode_tensor"), (edge.rehearsal, "decode_tensor")):
        monkeypatch.setattr(owner, name, _dozing(getattr(owner, name)))
    found = rehearse(bundle, engine, drawn_pictures(1), crop=_Dozing())
    (split, *_) = (way for way in found if way.sends and not way.shows_picture)
    times = [split.crop_s, split.head_s, split.encode_s, split.decode_s, split.tail_s, found[-1].head_s]
    assert all(least_s <= time_s < most_s for time_s in times)


def test_what_a_timed_run_makes_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device lets go of a frame, and its next one finds the memory there; new memory each time would take longer."""
    made_of, counts = list[weakref.ref[memoryview]](), list[int]()

    def counted(head: Head, picture: Pixels, watch: Stopwatch) -> Body:
        made = head.run(picture, watch)
        assert isinstance(made, Activation | Picture | Finished)
        if isinstance(made, Activation):
            made_of.append(weakref.ref(made.tensor.data))
            counts.append(sum(one() is not None for one in made_of))
        return made

    bundle = Bundle.load("mnist")
    monkeypatch.setattr(edge.rehearsal, "body_of", counted)
    rehearse(bundle, Engine(bundle.model_path, outputs=bundle.finals), drawn_pictures(1))
    assert len(counts) > 20
    assert max(counts) <= 3


def test_evidence_of_the_bundle_comes_along(ways: list[Way]) -> None:
    """Its accuracy where nothing is lost on the way; a leak only where it was measured, of the picture always."""
    whole = [found.value for found in Bundle.load("litter").accuracy if found.metric == "accuracy"]
    assert ways[-1].accuracy == min(whole)
    assert ways[0].leak_ssim == 1.0
    assert ways[5].leak_ssim is None


def test_what_was_not_tried_leaks_at_most_what_lies_before_it() -> None:
    """A later activation is made of an earlier one: it cannot tell more, whatever a weaker attack found."""
    leaks = (Leak("b", 0.8, 20.0, 0.9, 10), Leak("d", 0.5, 15.0, 0.7, 10), Leak("f", 0.6, 15.0, 0.7, 10))
    bundle = replace(Bundle.load("litter"), leaks=leaks)
    found = leaks_of(bundle, ["image", "a", "b", "c", "d", "e", "f", "device"])
    assert found == {"image": 1.0, "b": 0.8, "c": 0.8, "d": 0.5, "e": 0.5, "f": 0.5, "device": 0.5}


def test_an_exit_that_is_open_weighs_in() -> None:
    """`faces` leaves at its exits as its calibration found: a split behind them has these chances, none before."""
    bundle = Bundle.load("faces")
    picture = np.full((128, 128, 3), 127, np.uint8)
    found = rehearse(bundle, Engine(bundle.model_path, outputs=bundle.finals), [picture])
    chances = {way.split: {one.name: one.share for one in way.exits} for way in found}
    leave = {one.name: one.leave for one in bundle.exits}
    assert set(leave) == {"exit1", "exit2"}
    assert chances["block_4_add"] == {}
    assert chances["block_5_add"] == chances["block_8_add"] == {"exit1": leave["exit1"]}
    assert chances["block_9_add"] == chances["device"] == leave
    first, second = ({one.after_s for way in found for one in way.exits if one.name == name} for name in leave)
    assert len(first) == len(second) == 1
    assert 0 < first.pop() < second.pop() <= found[-1].head_s


def test_an_exit_that_nobody_counted_is_said(tmp_path: Path) -> None:
    """Opened by hand without `leave`, it is asked, nobody is taken to leave there, and the verdict says so."""
    folder = tmp_path / "opened"
    shutil.copytree(Bundle.load("litter").folder, folder)
    text = (folder / "bundle.toml").read_text()
    (folder / "bundle.toml").write_text(text.replace('rule = "top-probability"', RULE_OPEN))
    done = plan("--bundle", str(folder))
    assert done.returncode == 0, done.stderr
    assert "How many leave at exit1 is not known, and counted as none" in done.stdout


RULE_OPEN = 'rule = "top-probability"\nthresholds = {litter = 0.9}'


def test_a_clock_scales_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of this machine's clock is twice the time; where this machine does not tell its own, that is said."""
    monkeypatch.setattr("headwater.host.clock_hz", lambda: 3e9)
    assert _conditions(PlanSettings(clock="1.5GHz", slowdown=2.0)).device_slowdown == 4.0
    monkeypatch.setattr("headwater.host.clock_hz", lambda: None)
    with pytest.raises(SettingsError, match="give --slowdown instead"):
        _conditions(PlanSettings(clock="1.5GHz"))


def test_the_kernel_tells_the_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In kHz where it scales, in MHz of /proc/cpuinfo else, of the fastest core; nonsense and 0 are no clock."""
    khz, info = tmp_path / "cpu0/cpufreq/scaling_cur_freq", tmp_path / "cpuinfo"
    khz.parent.mkdir(parents=True)
    monkeypatch.setattr("headwater.host.CORES", tmp_path)
    monkeypatch.setattr("headwater.host.CPUINFO", info)
    assert clock_hz() is None
    info.write_text("processor : 0\ncpu MHz\t\t: 2299.998\n")
    assert clock_hz() == pytest.approx(2.299998e9)
    info.write_text("cpu MHz : 0.000\n")
    assert clock_hz() is None
    khz.write_text("1500000\n")
    assert clock_hz() == 1.5e9
    other = tmp_path / "cpu11/cpufreq/scaling_cur_freq"
    other.parent.mkdir(parents=True)
    other.write_text("600000\n")
    assert clock_hz() == 1.5e9
    other.unlink()
    khz.write_text("unknown\n")
    assert clock_hz() is None


def test_drawn_pictures_are_the_same_and_full_of_detail() -> None:
    """The same seed gives the same pictures; half the frequency has about twice the amplitude."""
    (first,), (again,) = drawn_pictures(1, 3), drawn_pictures(1, 3)
    assert first.shape == (480, 640, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, drawn_pictures(1, 4)[0])
    power = np.abs(np.fft.rfft(first[:, :, 1] - first[:, :, 1].mean(), axis=1)).mean(axis=0)
    assert 1.2 < power[20:40].mean() / power[40:80].mean() < 3.2


def test_the_command_prints_every_way_and_one_choice() -> None:
    """A row for each, `chosen` once, and a sentence at the end."""
    done = plan("--prices", "luger-2023", "--device", "rent")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert lines[0].startswith("way")
    assert "USD / million" in lines[0]
    assert sum(line.endswith("chosen") for line in lines) == 1
    assert "best of" in lines[-1]


def test_limits_and_methods_reach_the_choice() -> None:
    """No picture and nothing that may leak leaves only the device; the rank match answers too."""
    done = plan("--keep-pictures", "--leak", "0.5", "--method", "rank-match", "--json")
    entries = json.loads(done.stdout)
    assert [entry["split"] for entry in entries if entry["allowed"]] == ["device"]
    assert {entry["reason"] for entry in entries[:2]} == {"the picture would leave the device"}


def test_the_command_gives_json_and_a_picture(tmp_path: Path) -> None:
    """Exactly one is chosen, the stages add up to the latency, and the file is an SVG."""
    done = plan("--json", "--weight", "0", "--bandwidth", "100kbit/s", "--plot", str(tmp_path / "plan.svg"))
    assert done.returncode == 0, done.stderr
    entries = json.loads(done.stdout)
    best = [entry for entry in entries if entry["chosen"]]
    assert len(best) == 1
    assert best[0]["latency_s"] == min(entry["latency_s"] for entry in entries)
    for entry in entries:
        assert sum(entry["stages_s"].values()) == pytest.approx(entry["latency_s"])
    assert (tmp_path / "plan.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bandwidth", "7.2"), "bandwidth: got '7.2', expected a sensible number with its unit such as 7.2Mbit/s"),
        (("--bandwidth", "0Mbit/s"), "bandwidth"),
        (("--round-trip", "-4ms"), "round-trip"),
        (("--deadline", "1us"), "the limits allow none of the"),
        (("--prices", "nobook"), "there is no price book 'nobook'"),
        (("--prices", "luger-2023", "--device", "rented"), "did you mean rent"),
        (("--method", "best"), "rank-match"),
        (("--clock", "fast"), "clock"),
        (("--accuracy", "190%"), "up to 100%"),
        (("--bandwidth", "1e-320bit/s"), "expected a sensible number"),
        (("--clock", "1e-300Hz"), "expected a sensible number"),
        (("--codec", "jepg:90"), "codec: got 'jepg:90'"),
        (("--codec", "jpeg:900"), "from 1 to 100"),
        (("--energy", "1mJ"), "watts are not known"),
        (("--energy", "1mJ", "--prices", "luger-2023"), "watts are not known"),
        (("--device", "jetson-nano"), "add --prices BOOK"),
        (("--plot", "plan.png"), "ends in .svg"),
        (("--packet", "600B"), "the limits allow none of the"),
        (("--bundle", "faces"), "drawn pictures have none"),
    ],
)
def test_a_wrong_question_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    """Exit status 2, what was got, what is expected, no traceback."""
    done = plan(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_another_predictor_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By layer the heads are equally spaced; by operator they come from profiles of others, which are then kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    heads: dict[str, list[float]] = {}
    for name in ("linear", "operators"):
        done = plan("--codec", "auto", "--predictor", name, "--json")
        assert done.returncode == 0, done.stderr
        heads[name] = [way["stages_s"]["head"] for way in json.loads(done.stdout)]
        assert heads[name][0] == 0 < heads[name][1]
        assert heads[name] == sorted(heads[name])
    steps = np.diff(heads["linear"])
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert len(list((tmp_path / "headwater/profiles").glob("*.json"))) == len(find_bundles([])) - 1
