"""The command `headwater drill`."""

from __future__ import annotations

import json as json_text
import secrets
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from headwater.address import NOBODY, BrokerUser

if TYPE_CHECKING:
    from evaluation.drill import Drill
    from evaluation.drill_run import Outcome
    from evaluation.drill_theirs import Theirs


@dataclass(frozen=True, kw_only=True)
class DrillSettings:
    """How long, by which dice, on whose servers."""

    draw: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1000))] = None
    """Only so many of the drills, drawn of those that can be run here and take less than a minute."""
    seconds: Annotated[float, Parameter(validator=Number(gte=3, lte=86_400))] = 20.0
    """How long each drill streams; starting, and waiting until all is confirmed, comes on top."""
    frames: Annotated[int | None, Parameter(validator=Number(gte=1, lte=100_000_000))] = None
    """How many frames all drills stream together, instead of --seconds each."""
    seed: Annotated[int | None, Parameter(validator=Number(gte=0, lte=2**63))] = None
    """What the moments are drawn from; the same seed gives the same plan. A new one when left out; it is printed."""
    peer: bool = False
    """Beside ours, drill a camera and a map that use plain MQTT with QoS 1 and JSON as papers/002 does, and count."""
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
    """Folder to write faults.md and faults.csv into."""
    broker: str | None = None
    """Your broker (mqtt://…), instead of one started here; it is not harmed. With --store."""
    store: str | None = None
    """Your store (redis://…), instead of one started here; it is not harmed. With --broker."""
    store_password_file: Path | None = None
    """File whose first line is the password at your store."""
    fleet: str | None = None
    """With --broker: a fleet for the drill alone, whose records are deleted at the end; a new name when left out."""
    user: Annotated[BrokerUser, Parameter(name="*")] = NOBODY


def drill(
    *names: str,
    settings: Annotated[DrillSettings, Parameter(name="*")] | None = None,
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    json: bool = False,
) -> None:
    """Break things while frames flow, and count: nothing may be lost, nothing twice.

    Example: headwater drill --list

    Example: headwater drill kill-device kill-broker-store --seconds 60 --seed 7

    Example: headwater drill --broker mqtt://broker.example --store redis://store.example --draw 4 --json

    Each drill starts a broker, a store, two workers and a device, streams real encoded frames, injects its faults at
    drawn moments, waits until all is confirmed, and counts, from the store's records and the device's figures.
    With --broker and --store of yours only the device and the workers that it starts itself are ever harmed. What this
    machine cannot do (namespaces, for root) is named as not run. The exit status is 1 when a frame was lost, or is
    twice in the store.

    Args:
        names: which drills; all when left out
        list_: show all drills and end
        json: print one JSON object instead of the table
    """
    from evaluation.drill_report import as_json, lines, listed, save

    if list_:
        print(listed())
        return
    asked = settings or DrillSettings()
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)
    outcomes: list[Outcome] = []
    command = shlex.join(["headwater", *presentable(sys.argv[1:])])
    for outcome in _all(_wanted(names, asked), asked, seed):
        outcomes.append(outcome)
        if asked.output is not None:
            save(asked.output, outcomes, seed, command, is_over=False)
    if asked.output is not None:
        save(asked.output, outcomes, seed, command)
    print(json_text.dumps(as_json(outcomes, seed)) if json else "\n".join(lines(outcomes, seed)))
    if not all(outcome.is_well for outcome in outcomes):
        sys.exit(1)


def presentable(words: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command line as anybody may read them: passwords masked, in options and addresses."""
    from headwater.logs import without_password

    is_secret = False
    for word in words:
        yield "***" if is_secret else without_password(word)
        is_secret = word == "--password"


def _wanted(names: Sequence[str], asked: DrillSettings) -> list[Drill]:
    """Return the drills that are asked for. Raises: SettingsError."""
    from evaluation.drill import chosen
    from headwater.errors import SettingsError

    if (asked.broker is None) != (asked.store is None):
        raise SettingsError(
            "--broker and --store: got one of the two, expected both, or none; the drill counts in both"
        )
    if asked.peer and asked.broker is not None:
        raise SettingsError("--peer: the peer is drilled on servers of its own; leave --broker and --store out")
    return chosen(names)


def _all(wanted: Sequence[Drill], asked: DrillSettings, seed: int) -> Iterator[Outcome]:
    """Yield what became of every drill, when it is over; those that cannot be run among them."""
    from random import Random

    from evaluation.drill import some, stream_s
    from evaluation.drill_run import Outcome, go_through, obstacle
    from headwater.stopping import interrupt_on_signals
    from models.bars import progress_bar

    interrupt_on_signals()  # so that processes and namespaces are taken away
    fleet = asked.fleet or f"drill-{secrets.token_hex(4)}"
    theirs = _theirs(asked, fleet)
    obstacles = {one.name: obstacle(one, theirs) for one in wanted}
    runnable = [one for one in wanted if not obstacles[one.name]]
    if asked.draw is not None:
        wanted = runnable = some(runnable, asked.draw, Random(seed))  # noqa: S311  not a secret: it can be repeated
    seconds = stream_s(runnable, asked.seconds, asked.frames)
    frames, done = round(seconds * sum(one.way.rate for one in runnable)), 0.0
    with progress_bar("drilling, frames") as progress:
        for one in wanted:
            if obstacles[one.name]:
                yield Outcome(one, not_run=obstacles[one.name])
                continue
            tick = _tick(progress, done, one.way.rate, frames)
            yield go_through(one, seconds, seed, theirs, fleet=fleet, peer=asked.peer, tick=tick)
            done += seconds * one.way.rate


def _tick(progress: Callable[[int, int], None], done: float, rate: float, frames: int) -> Callable[[float], None]:
    return lambda streamed_s: progress(round(done + streamed_s * rate), frames)


def _theirs(asked: DrillSettings, fleet: str) -> Theirs | None:
    """Return the operator's servers, checked; None without, where ours can be started.

    Raises: SettingsError, MissingPart, BrokerError, StoreError.
    """
    from evaluation.drill_run import check_servers
    from evaluation.drill_theirs import check_unused, theirs

    if asked.broker is None or asked.store is None:
        check_servers()
        return None
    found = theirs(asked.broker, asked.store, asked.user, asked.store_password_file)
    check_unused(found, fleet)
    return found
