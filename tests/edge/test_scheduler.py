"""The thread that decides: from a profile and what the stream shows to heads, a log and messages."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import edge.scheduler
from edge.decisions import read_log
from edge.head import Head
from edge.link import LinkSeen
from edge.plan import Plan
from edge.profile import VERSION, Order, Profile
from edge.scheduler import Auto, AutoSplit
from headwater import messages
from headwater.messages import Decision, FrameId, Result
from models.bundle import Bundle
from models.engine import Engine
from models.errors import RunError
from models.stages import rules_of
from planning.decide import Limits, Rates
from planning.live import Policy, Smoothed
from planning.ways import Way
from tests.edge.samples import exit_bundle, tiny_bundle
from tests.servers import eventually

WAYS = (
    Way("image", "png", 0, 0.0, 500, 40_000, 40_000, tail_s=0.020, shows_picture=True),
    Way("conv_a", "native", 1, 0.020, 500, 8_000, 8_000, tail_s=0.012),
    Way("device", "none", 3, 0.080, 500, finishes=True),
)

LINK = LinkSeen(Smoothed(1 / 50e6), Smoothed(0.02), None, 4e6)


@dataclass
class Bench:
    """A deciding thread that is turned by hand, and all that it does."""

    bundle: Bundle
    folder: Path
    policy: Policy = field(default_factory=Policy)
    used: list[Head] = field(default_factory=list)
    probed: list[Head] = field(default_factory=list)
    told: list[Decision] = field(default_factory=list)
    taken_back: int = 0
    link: LinkSeen = LINK
    rate: float = 0.0

    def __post_init__(self) -> None:
        engine = Engine(self.bundle.model_path, outputs=self.bundle.finals)
        order = Order(str(self.bundle.folder), 1, ("auto",))
        auto = Auto(order, self.policy, Rates(), self.folder / "profiles", self.folder / "decisions.jsonl")
        self.auto = AutoSplit(
            "cam1", self.bundle, engine, None, auto,
            use=self.used.append, probe=self.probed.append, tell=self.hear,
            link=lambda: self.link, frames_per_s=lambda: self.rate,
        )  # fmt: skip
        self.follow("auto")

    def hear(self, said: Decision | None) -> None:
        """Remember what is said, and how often it is taken back."""
        if said is None:
            self.taken_back += 1
        else:
            self.told.append(said)

    def follow(self, split: str) -> None:
        """Have an operator want this split."""
        self.auto.follow(Plan(split, "auto", "all", rules_of(self.bundle)))

    def begin(self) -> None:
        """Give it a profile, and a worker that is as fast as it says."""
        self.auto.begin(Profile(VERSION, WAYS, None))
        said = Result(messages.VERSION, FrameId("cam1", "0123abcd", 0), "w", 1, 0, 0, {"tail": 20_000_000})
        self.auto.answered("image", "png", said, 2)

    def turn(self, now_s: float, bandwidth_bits_per_s: float) -> str:
        """Decide once with that link and return why."""
        self.link = LinkSeen(Smoothed(1 / bandwidth_bits_per_s, 0.0, now_s), Smoothed(0.02), None, 4e6)
        assert self.auto._scheduler is not None
        return self.auto.turn(self.auto._scheduler, now_s).why


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench with a profile."""
    made = Bench(tiny_bundle(tmp_path / "tiny"), tmp_path)
    made.begin()
    return made


def test_a_link_that_falls_puts_another_head_in_place(bench: Bench) -> None:
    """Once: the head is made when the way changes, not at every decision; log and messages say it."""
    for quarter in range(8):
        bench.turn(quarter / 4, 50e6 if quarter < 4 else 2e6)
    assert [(head.split, head.codec) for head in bench.used] == [("image", "png"), ("conv_a", "native")]
    assert [entry.why for _, entry in read_log(bench.folder / "decisions.jsonl")] == [
        "first",
        "stays",
        "better",
        "stays",
    ]
    assert [(one.split, one.why) for one in bench.told] == [
        ("image", "first"), ("image", "stays"), ("conv_a", "better"), ("conv_a", "stays"),
    ]  # fmt: skip
    assert [one.lost is None for one in bench.told[-1].considered] == [False, True, False]


def test_heads_are_kept_and_made_anew_where_exits_change(tmp_path: Path) -> None:
    """Back on a way that was used before its head is the same one; with other thresholds it is another."""
    bundle = exit_bundle(tmp_path / "exits", 0.0)
    bench = Bench(bundle, tmp_path)
    bench.begin()
    for quarter, bandwidth in enumerate((50e6, 2e6, 900e6, 900e6, 900e6)):
        bench.turn(quarter / 4, bandwidth)
    assert [head.split for head in bench.used] == ["image", "conv_a", "image"]
    assert bench.used[0] is bench.used[2]
    bench.follow("auto")
    bench.turn(2.0, 900e6)
    assert bench.used[3] is not bench.used[0]


def test_a_probe_goes_beside_the_way_in_use(tmp_path: Path) -> None:
    """While the device finishes itself, one frame in a while is sent to find out about the link."""
    bench = Bench(tiny_bundle(tmp_path / "tiny"), tmp_path)
    bench.begin()
    bench.turn(0.0, 1e5)
    bench.link = LinkSeen(Smoothed(1 / 1e5, 0.0, 0.0), Smoothed(0.02), None, 4e6)
    assert bench.auto._scheduler is not None
    assert bench.auto.turn(bench.auto._scheduler, 31.0).why == "probe"
    assert [head.split for head in bench.used] == ["device"]
    assert [head.split for head in bench.probed] == ["conv_a"]
    assert [one.why for one in bench.told] == ["first"]


def test_what_the_broker_takes_is_a_limit(bench: Bench) -> None:
    """A picture of 40 kB does not pass a broker that takes 20."""
    bench.link = LinkSeen(Smoothed(1 / 50e6), Smoothed(0.02), None, 20_000)
    assert bench.auto._scheduler is not None
    found = bench.auto.turn(bench.auto._scheduler, 0.0)
    assert found.way.split == "conv_a"
    assert found.judged[0].reason == "a message has 40,000 B, over 20,000 B"


def test_own_times_are_held_against_the_profile(bench: Bench) -> None:
    """A device that takes four times as long is so much slower, and hands over."""
    bench.turn(0.0, 2e6)
    head = bench.used[-1]
    for _ in range(20):
        bench.auto.computed(np.zeros((8, 8, 3), np.uint8), head, None, {"head": 80_000_000})
    assert head.split == "conv_a"
    for quarter in range(3):
        bench.turn(1 + quarter / 4, 6e6)
    assert bench.told[-1].device_slowdown == pytest.approx(4.0, rel=0.01)
    assert bench.told[-1].split == "image"


def test_a_split_that_somebody_set_is_left_alone(tmp_path: Path) -> None:
    """No profile is measured for it and nothing is decided, until auto is wanted."""
    bench = Bench(tiny_bundle(tmp_path / "tiny"), tmp_path)
    bench.follow("image")
    bench.follow("image")
    assert bench.taken_back == 1
    picture, head = np.zeros((8, 8, 3), np.uint8), Head("image", "png", lambda picture, watch: None)  # type: ignore[arg-type,return-value]
    for _ in range(5):
        bench.auto.computed(picture, head, None, {})
    assert bench.auto._pictures == []
    bench.auto._look_for_profile()
    assert bench.auto._scheduler is None


@pytest.mark.timeout(400)
def test_the_thread_measures_a_profile_by_itself_and_ends(tmp_path: Path) -> None:
    """From three pictures to the first decision, with a process of its own; the profile is there for the next start."""
    bench = Bench(tiny_bundle(tmp_path / "tiny"), tmp_path)
    stop = threading.Event()
    thread = threading.Thread(target=bench.auto.run, args=(stop,))
    thread.start()
    try:
        head = Head("device", "none", lambda picture, watch: None)  # type: ignore[arg-type,return-value]
        for value in range(3):
            bench.auto.computed(np.full((24, 32, 3), value, np.uint8), head, None, {})
        assert eventually(lambda: len(bench.told) > 0, 300)
    finally:
        stop.set()
        thread.join()
    assert len(list((tmp_path / "profiles").iterdir())) == 1
    again = Bench(bench.bundle, tmp_path)
    again.auto._look_for_profile()
    assert again.auto._scheduler is not None


def test_a_head_that_cannot_be_made_is_left_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread goes on with the other ways."""
    made = edge.scheduler.prepare_head

    def refuse(bundle: Bundle, engine: Engine, split: str, *more: object) -> Head:
        if split == "image":
            raise RunError("the part", "no memory", "pick another split")
        return made(bundle, engine, split, *more)  # type: ignore[arg-type]

    monkeypatch.setattr("edge.scheduler.prepare_head", refuse)
    bench.turn(0.0, 50e6)
    assert bench.used == []
    bench.turn(0.25, 50e6)
    assert [head.split for head in bench.used] == ["conv_a"]


def test_settings_that_come_while_a_head_is_made_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next decision makes the head with the new thresholds."""
    bench = Bench(exit_bundle(tmp_path / "exits", 0.0), tmp_path)
    bench.begin()
    made, changed = edge.scheduler.prepare_head, []

    def change_meanwhile(*given: object) -> Head:
        if not changed:
            changed.append(True)
            bench.follow("auto")
        return made(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("edge.scheduler.prepare_head", change_meanwhile)
    bench.turn(0.0, 50e6)
    bench.turn(0.25, 50e6)
    assert [head.split for head in bench.used] == ["image", "image"]
    assert bench.used[0] is not bench.used[1]


def test_a_limit_that_nothing_keeps_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The device goes on by the fastest way, and one warning says what the limits leave."""
    bench = Bench(tiny_bundle(tmp_path / "tiny"), tmp_path, Policy(limits=Limits(deadline_s=0.001)))
    bench.begin()
    assert {bench.turn(quarter / 4, 50e6) for quarter in range(8)} == {"nothing allowed"}
    assert bench.used[0].split == "image"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "the limits allow none of the 3 ways" in caplog.text
