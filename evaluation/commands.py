"""The commands `headwater models wire` and `headwater models privacy`."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from models.choices import Part

if TYPE_CHECKING:
    from evaluation.wire import Row
    from models.bundle import Bundle

Count = Annotated[int, Parameter(validator=Number(gte=1))]
Seed = Annotated[int, Parameter(validator=Number(gte=0, lt=2**32))]
MaybeCount = Annotated[int | None, Parameter(validator=Number(gte=1))]


@dataclass(frozen=True, kw_only=True)
class WireSettings:
    """What to measure, and where to put it."""

    data: Path
    """Folder, .tar or .npz of labelled pictures."""
    cuts: str | None = None
    """Cut points to measure, separated by commas; by default those that the bundle offers."""
    part: Part = "test"
    """Which of the pictures; test is what the training never saw."""
    limit: MaybeCount = None
    """At most so many pictures, drawn by the seed."""
    seed: Seed = 0
    """Draws the pictures of --limit."""
    max_loss: Annotated[float, Parameter(validator=Number(gte=0))] = 0.5
    """Points of accuracy that a codec may lose to be chosen (of a regression: per cent of its error)."""
    reference: str | None = None
    """Another bundle that answers the pictures and is compared with: the model without its bottleneck."""
    output: Path | None = None
    """Folder for wire-NAME.csv and wire-NAME.svg."""
    write: bool = False
    """Write the chosen codecs into the bundle's bundle.toml."""


def wire(bundle: str, /, *, settings: Annotated[WireSettings, Parameter(name="*")], json: bool = False) -> None:
    """Measure accuracy against bytes per picture, for every cut point and codec, beside JPEG and WebP.

    Example: headwater models wire litter --data pictures --output results

    Every picture is sent in every way and finished as a worker would. With --write the codec with the fewest bytes
    within --max-loss becomes the bundle's choice per split, which devices then use for `--codec auto`; a lossy one only
    where the pictures vouch for it (598 without one changed answer for half a point).

    Args:
        bundle: a bundle's name or folder
        json: print a JSON list instead of the table
    """
    from evaluation.wire import chosen_codecs, measure
    from evaluation.wire_report import as_dicts, plot, table
    from headwater.plots import write_csv
    from models.bars import progress_bar
    from models.bundle import Bundle
    from models.parts import chosen_samples

    found, part, output = Bundle.load(bundle), settings.part, settings.output
    cuts = _cuts(found, settings.cuts, found.cut_points)
    samples = chosen_samples(found, settings.data, part, settings.limit, settings.seed)
    with progress_bar(f"measuring {found.name}") as progress:
        compared = Bundle.load(settings.reference) if settings.reference else None
        rows = measure(found, samples, cuts, progress, compared)
    chosen = chosen_codecs(rows, settings.max_loss)
    entries = as_dicts(rows, chosen)
    if output is not None:
        write_csv(output / f"wire-{found.name}.csv", entries)
        plot(output / f"wire-{found.name}.svg", rows, f"{found.name}, {len(samples)} pictures")
    if settings.write:
        _write_choice(found, chosen, rows, settings, len(samples))
    if json:
        print(json_text.dumps(entries, indent=1))
    else:
        _print_table(table(rows, chosen))
        print(f"\n{len(samples)} pictures of the part {part}; chosen: fewest bytes within {settings.max_loss:g} points")


def _write_choice(
    bundle: Bundle, chosen: dict[str, str], rows: list[Row], settings: WireSettings, pictures: int
) -> None:
    """Put the choice into the bundle.toml, as far as the pictures bear it out and it is of this model."""
    from evaluation.wire import borne_out
    from models.bundle import MANIFEST_FILE
    from models.engine import IMAGE
    from models.evidence import Wire, joined_wire
    from models.manifest_text import rewrite_measured

    measured = {row.split for row in rows} - ({IMAGE} if settings.reference else set())
    kept = {split: c for split, c in borne_out(chosen, rows, settings.max_loss, pictures).items() if split in measured}
    wire = joined_wire(bundle.wire, Wire(kept, settings.max_loss, pictures), measured)
    rewrite_measured(bundle.folder / MANIFEST_FILE, wire=wire)


@dataclass(frozen=True, kw_only=True)
class PrivacySettings:
    """What to rebuild, how to learn it, and where to put it."""

    data: Path
    """Folder, .tar or .npz of labelled pictures."""
    cuts: str | None = None
    """Cut points to rebuild from, separated by commas; by default first, last, and three between."""
    part: Part = "test"
    """Which pictures to rebuild; test is what the model's training never saw."""
    train_part: Part = "train"
    """Which pictures the decoders learn from."""
    limit: MaybeCount = None
    """Rebuild at most so many pictures, drawn by the seed."""
    train_limit: MaybeCount = None
    """Learn from at most so many pictures, drawn by the seed."""
    copies: Annotated[int, Parameter(validator=Number(gte=0, lte=100))] = 0
    """Other crops of each picture to learn from as well."""
    epochs: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 30
    """How often a decoder sees its pictures."""
    width: Annotated[int, Parameter(validator=Number(gte=8, lte=512))] = 64
    """Channels of a decoder's first layers."""
    seed: Seed = 0
    """Makes a run repeatable on the same machine."""
    output: Path | None = None
    """Folder for privacy-NAME.csv, .svg and the grid privacy-NAME.png, which shows pictures of the data."""
    pictures: Count = 8
    """How many pictures the grid shows."""
    write: bool = False
    """Write similarity and agreement per cut point into the bundle's bundle.toml."""


def privacy(bundle: str, /, *, settings: Annotated[PrivacySettings, Parameter(name="*")], json: bool = False) -> None:
    """Rebuild pictures from what travels at some cut points, and say how close they come to the originals.

    Example: headwater models privacy litter --data pictures --cuts block_0_project,features --output results

    A decoder is trained for each cut point on pictures of --train-part and judged on others. A better decoder or more
    pictures may rebuild more: the figures are what this one could, not a bound.

    Args:
        bundle: a bundle's name or folder
        json: print a JSON list instead of the table
    """
    from models.bars import progress_bar
    from models.bundle import MANIFEST_FILE, Bundle
    from models.evidence import joined_leaks
    from models.manifest_text import rewrite_measured
    from models.parts import chosen_samples
    from models.training.terminal import training_imports

    with training_imports():
        from evaluation.privacy import measure
        from evaluation.privacy_report import as_dicts, table, write_files
        from evaluation.rebuilding import Recipe

    wanted, found = settings, Bundle.load(bundle)
    cuts = _cuts(found, wanted.cuts, spread(found.cut_points))
    judged = chosen_samples(found, wanted.data, wanted.part, wanted.limit, wanted.seed)
    train = chosen_samples(found, wanted.data, wanted.train_part, wanted.train_limit, wanted.seed)
    recipe = Recipe(epochs=wanted.epochs, width=wanted.width, seed=wanted.seed)
    with progress_bar(f"rebuilding from {found.name}") as tick:
        shown, rows = measure(found, train, judged, cuts, recipe, tick, copies=wanted.copies, shown=wanted.pictures)
    if wanted.output is not None:
        write_files(wanted.output, f"privacy-{found.name}", shown, rows, found.name)
    if wanted.write:
        leaks = joined_leaks(found.leaks, [row.leak() for row in rows[1:]], found.cut_points)
        rewrite_measured(found.folder / MANIFEST_FILE, leaks=leaks)
    if json:
        print(json_text.dumps(as_dicts(rows), indent=1))
    else:
        _print_table(table(rows))
        print(f"\n{len(judged)} pictures of the part {wanted.part}, decoders trained on {len(train)} others")


def spread(names: tuple[str, ...], count: int = 5) -> list[str]:
    """Return `count` of the names, the first and the last among them."""
    places = [round(step * (len(names) - 1) / (count - 1)) for step in range(count)]
    return [names[place] for place in dict.fromkeys(places)] if names else []


def _cuts(bundle: Bundle, wanted: str | None, offered: Sequence[str]) -> list[str]:
    """Return the cut points asked for, by their names in the file. Raises: ModelError for one that is none or twice."""
    from models.errors import ModelError
    from models.graph import Graph

    names = offered if wanted is None else [name.strip() for name in wanted.split(",") if name.strip()]
    graph = Graph.read(bundle.model_path.read_bytes(), outputs=bundle.finals)
    found = [graph.cut_point(name).name for name in names]
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise ModelError(f"--cuts names {twice} {found.count(twice)} times, expected once; leave the others out")
    return found


def _print_table(table: object) -> None:
    from rich.console import Console

    (Console() if sys.stdout.isatty() else Console(width=160)).print(table)
