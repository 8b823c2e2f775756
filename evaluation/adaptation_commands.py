"""The command `headwater evaluate adaptation`."""

from __future__ import annotations

import json as json_text
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evaluation.adaptation import Drill, Run, Runs
    from evaluation.adaptation_run import Stage

FIXED = 5


def adaptation(
    *,
    bundle: Path = Path("bundles/alexnet"),
    source: Path | None = None,
    drills: str = "link falls,processor falls",
    fixed: str | None = None,
    seconds: Annotated[float, Parameter(validator=Number(gte=5, lte=600))] = 60.0,
    rounds: Annotated[int, Parameter(validator=Number(gte=1, lte=20))] = 3,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results"),
    json: bool = False,
) -> None:
    """Let a link or a processor fall in mid-stream, and see how the split moves against every fixed one.

    Example: headwater evaluate adaptation --bundle bundles/alexnet --output results

    A real device, broker, store and worker; the link is shaped between two network namespaces, the device's processor
    is a CPU quota: for root, on Linux. Each drill is gone through with `--split auto` and with fixed splits. Written
    are adaptation.csv and adaptation.svg. Let nothing else run meanwhile.

    Args:
        bundle: the model's bundle; alexnet comes from `headwater models build alexnet`
        source: folder of pictures; photographs from pip packages when left out
        drills: which of them, separated by commas
        fixed: the splits to hold against, such as "image jpeg:90,device"; those that are predicted to be best in one
            phase or in both when left out, the picture and the device among them
        seconds: length of each of a drill's two phases
        rounds: how often each drill is gone through with each split, in turn: a process is by chance up to a seventh
            faster or slower than the next
        output: folder for table and plot
        json: print JSON instead of the table
    """
    from evaluation.adaptation_run import stage
    from headwater.stopping import interrupt_on_signals
    from models.bundle import Bundle

    wanted = _drills(drills)
    Bundle.load(str(bundle))
    interrupt_on_signals()  # so that quota and namespaces are taken away
    with tempfile.TemporaryDirectory(prefix="headwater-adaptation-") as folder:
        pictures = source or _photographs(Path(folder) / "pictures")
        with stage(Path(folder), bundle, pictures) as at:
            found = _all_runs(at, wanted, fixed, seconds, rounds)
    _report(found, output, json=json)


def _drills(asked: str) -> list[Drill]:
    """Return the drills of these names. Raises: SettingsError."""
    from evaluation.adaptation import DRILLS
    from headwater.errors import SettingsError

    names = {name.strip() for name in asked.split(",")}
    found = [drill for drill in DRILLS if drill.name in names]
    if not found or len(found) != len(names):
        known = ", ".join(drill.name for drill in DRILLS)
        raise SettingsError(f"--drills: got {asked!r}, expected some of {known}, separated by commas")
    return found


def _report(found: Mapping[Drill, Mapping[str, Runs]], output: Path, *, json: bool) -> None:
    from evaluation.adaptation import verdict
    from evaluation.adaptation_report import draw, lines, rows
    from headwater.plots import write_csv
    from models.columns import in_columns

    entries = rows([runs for by_split in found.values() for runs in by_split.values()])
    in_words = [{**entry, "rounds_mean_ms": " ".join(map(str, entry["rounds_mean_ms"]))} for entry in entries]
    write_csv(output / "adaptation.csv", in_words)
    draw(output / "adaptation.svg", found)
    if json:
        print(json_text.dumps(entries, indent=1))
        return
    header = [name for name in entries[0] if name not in ("rounds_mean_ms", "lost")]
    print(in_columns(header, [[str(entry[name]) for name in header] for entry in entries], header[2:-1]) + "\n")
    for by_split in found.values():
        print("\n".join(lines(verdict(by_split))))


def _photographs(folder: Path) -> Path:
    from headwater.demo import built_in_photographs

    folder.mkdir()
    for path in built_in_photographs():
        (folder / path.name).symlink_to(path)
    return folder


def _all_runs(
    at: Stage, drills: Sequence[Drill], fixed: str | None, phase_s: float, rounds: int
) -> Mapping[Drill, Mapping[str, Runs]]:
    from evaluation.adaptation import AUTO
    from evaluation.adaptation_run import go_through, measure_profile, splits_to_try
    from models.bars import counting_bar

    measure_profile(at, drills[0])
    splits = {drill: [AUTO, *(_listed(fixed) or splits_to_try(at, drill, FIXED))] for drill in drills}
    found: dict[Drill, dict[str, list[Run]]] = {drill: {name: [] for name in splits[drill]} for drill in drills}
    with counting_bar(
        "drills", rounds * sum(len(names) * len(drill.phases) for drill, names in splits.items())
    ) as tick:
        for _ in range(rounds):
            for drill in drills:
                for name in splits[drill]:
                    found[drill][name].append(go_through(at, drill, name, phase_s, tick))
    return found


def _listed(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
