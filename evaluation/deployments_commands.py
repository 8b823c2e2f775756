"""The command `headwater evaluate deployments`."""

from __future__ import annotations

import json as json_text
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from evaluation.deployments import Measured, Task

DRAWN = 20
"""So many pictures are drawn where none are given; they come again and again."""


@dataclass(frozen=True, kw_only=True)
class DeploymentSettings:
    """What to run through the deployments."""

    bundle: str = "litter"
    """A bundle with exits: its name or folder."""
    source: Path | None = None
    """Folder of JPEG and PNG pictures; drawn ones of 640x480 as JPEG when left out."""
    split: str | None = None
    """Where the split deployments are cut; litter's as in the demo, else behind the last exit, when left out."""
    count: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 100
    """Pictures that count, in each deployment, after five that do not."""
    rate: Annotated[float, Parameter(validator=Number(gt=0, lte=1000))] = 5.0
    """Pictures a second; so few that none waits for another, else the command says so."""
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results")
    """Folder for deployments.csv and deployments.svg."""


def deployments(
    *, settings: Annotated[DeploymentSettings, Parameter(name="*")] = DeploymentSettings(), json: bool = False
) -> None:
    """Compare the deployments of papers/000: edge, cloud over HTTP, Lambda, split, and split with exits.

    Runs them one after the other as real processes on this machine, with the same pictures, and says when each picture
    was where: the document's stamps ST1 to RT3. The way between them is loopback; no radio is in the figures.

    Example: headwater evaluate deployments --count 100 -o results

    Args:
        json: print a JSON list instead of the table
    """
    from evaluation.deployments_report import crowded, draw, entries, table
    from headwater.plots import write_csv

    with tempfile.TemporaryDirectory(prefix="headwater-") as name:
        task, opened = _task(settings, Path(name))
        measured = _measured(task)
    write_csv(settings.output / "deployments.csv", entries(measured))
    title = f"{task.bundle.name} on one machine, {settings.count} pictures, split at {task.split}"
    draw(settings.output / "deployments.svg", measured, title)
    for line in crowded(measured, settings.rate):
        print(line, file=sys.stderr)
    if json:
        print(json_text.dumps(entries(measured), indent=1))
        return
    print(f"{title}; exits open {opened}\n")
    print(table(measured))
    cold = next(one.first_s for one in measured if one.first_s is not None)
    print(f"\nLambda: the first request, with import and load, took {1e3 * cold:.0f} ms; it is in none of the figures")
    print(f"written: {settings.output}/deployments.csv and .svg", file=sys.stderr)


def _task(settings: DeploymentSettings, folder: Path) -> tuple[Task, str]:
    """Return what the deployments are given, and how the exits were opened."""
    from evaluation.deployment_bundles import closed_and_open
    from evaluation.deployments import Task
    from models.bundle import Bundle
    from models.engine import DEVICE, Engine
    from models.stages import exits_before

    bundle = Bundle.load(settings.bundle)
    pictures = _pictures(settings.source, folder / "pictures")
    closed, opened, said = closed_and_open(bundle, folder, sorted(pictures.iterdir())[: settings.count])
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    split = settings.split or _split(bundle.name, exits_before(engine, bundle, DEVICE)[-1].after)
    return Task(bundle, closed, opened, split, pictures, settings.count, settings.rate), said


def _split(bundle: str, behind_last_exit: str) -> str:
    from headwater.demo import LITTER, LITTER_SPLIT

    return LITTER_SPLIT if bundle == LITTER else behind_last_exit


def _pictures(source: Path | None, folder: Path) -> Path:
    """Return a folder of pictures with names of one form: links to the source's, or drawn ones."""
    from edge.rehearsal import drawn_pictures
    from evaluation.deployments import TYPES
    from evaluation.lambda_front import LONGEST_BODY_BYTES
    from headwater.errors import SourceError
    from models.pictures import encode_jpeg

    folder.mkdir()
    if source is None:
        for number, picture in enumerate(drawn_pictures(DRAWN)):
            (folder / f"{number:05}.jpg").write_bytes(encode_jpeg(picture, 90))
        return folder
    found = sorted(path for path in source.glob("*") if path.suffix.lower() in TYPES and path.is_file())
    if not found:
        raise SourceError(f"source {source}: got no JPEG or PNG, expected some in this folder; give another --source")
    for path in found:
        size = path.stat().st_size
        if size > LONGEST_BODY_BYTES:
            raise SourceError(
                f"source {source}: {path.name} has {size:,} B, expected at most {LONGEST_BODY_BYTES:,} B, "
                "what Lambda brings; make it smaller or take it out"
            )
    for number, path in enumerate(found):
        (folder / f"{number:05}{path.suffix.lower()}").symlink_to(path.resolve())
    return folder


def _measured(task: Task) -> list[Measured]:
    """Run the deployments one after the other, with a bar."""
    from evaluation.deployments import NAMES, measure, site
    from models.bars import counting_bar

    with (
        counting_bar("asking the deployments", len(NAMES) * task.count) as tick,
        site(task.closed) as where,
    ):
        return [measure(name, task, where, tick) for name in NAMES]
