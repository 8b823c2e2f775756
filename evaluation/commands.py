"""The commands `headwater models wire` and `headwater models privacy`."""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

Part = Literal["train", "validation", "test", "all"]


def wire(
    bundle: str,
    /,
    *,
    data: Path,
    cuts: str | None = None,
    part: Part = "test",
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    seed: int = 0,
    max_loss: Annotated[float, Parameter(validator=Number(gte=0))] = 0.5,
    reference: str | None = None,
    output: Path | None = None,
    write: bool = False,
    json: bool = False,
) -> None:
    """Measure accuracy against bytes per picture, for every cut point and codec, beside JPEG and WebP.

    Example: headwater models wire litter --data pictures --output results

    Every picture is sent in every way and finished as a worker would. With --write the codec with the fewest bytes
    within --max-loss becomes the bundle's choice per split, which devices then use for `--codec auto`; a lossy one only
    where the pictures are enough to vouch for it (600 for half a point).

    Args:
        bundle: a bundle's name or folder
        data: folder, .tar or .npz of labelled pictures
        cuts: cut points to measure, separated by commas; by default those that the bundle offers
        part: which of the pictures; test is what the training never saw
        limit: at most so many pictures, drawn by the seed
        seed: draws the pictures of --limit
        max_loss: points of accuracy that a codec may lose to be chosen (of a regression: per cent of its error)
        reference: another bundle that answers the pictures and is compared with: the model without its bottleneck
        output: folder for wire-NAME.csv and wire-NAME.svg
        write: write the chosen codecs into the bundle's bundle.toml
        json: print a JSON list instead of the table
    """
    from evaluation.plots import write_csv
    from evaluation.progress import progress_bar
    from evaluation.wire import borne_out, chosen_codecs, measure
    from evaluation.wire_report import as_dicts, plot, table
    from models.bundle import MANIFEST_FILE, Bundle
    from models.engine import IMAGE
    from models.evidence import Wire
    from models.manifest_text import rewrite_measured
    from models.parts import chosen_samples

    found = Bundle.load(bundle)
    samples = chosen_samples(found, data, part, limit, seed)
    with progress_bar(f"measuring {found.name}") as progress:
        compared = Bundle.load(reference) if reference else None
        rows = measure(found, samples, _cuts(cuts, found.cut_points), progress, compared)
    chosen = chosen_codecs(rows, max_loss)
    entries = as_dicts(rows, chosen)
    if output is not None:
        write_csv(output / f"wire-{found.name}.csv", entries)
        plot(output / f"wire-{found.name}.svg", rows, f"{found.name}, {len(samples)} pictures")
    if write:
        kept = borne_out(chosen, rows, max_loss, len(samples))
        if reference:
            kept.pop(IMAGE, None)
        rewrite_measured(found.folder / MANIFEST_FILE, wire=Wire(kept, max_loss, len(samples)))
    if json:
        print(json_text.dumps(entries, indent=1))
    else:
        _print_table(table(rows, chosen))
        print(f"\n{len(samples)} pictures of the part {part}; chosen: fewest bytes within {max_loss:g} points")


def privacy(
    bundle: str,
    /,
    *,
    data: Path,
    cuts: str | None = None,
    part: Part = "test",
    train_part: Part = "train",
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    train_limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    copies: Annotated[int, Parameter(validator=Number(gte=0, lte=100))] = 0,
    epochs: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 30,
    width: Annotated[int, Parameter(validator=Number(gte=8, lte=512))] = 64,
    seed: int = 0,
    output: Path | None = None,
    pictures: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 8,
    write: bool = False,
    json: bool = False,
) -> None:
    """Rebuild pictures from what travels at some cut points, and say how close they come to the originals.

    Example: headwater models privacy litter --data pictures --cuts block_0_project,features --output results

    A decoder is trained for each cut point on pictures of --train-part and judged on others. A better decoder or more
    pictures may rebuild more: the figures are what this one could, not a bound.

    Args:
        bundle: a bundle's name or folder
        data: folder, .tar or .npz of labelled pictures
        cuts: cut points to rebuild from, separated by commas; by default first, last, and three between
        part: which pictures to rebuild; test is what the model's training never saw
        train_part: which pictures the decoders learn from
        limit: rebuild at most so many pictures, drawn by the seed
        train_limit: learn from at most so many pictures, drawn by the seed
        copies: other crops of each picture to learn from as well
        epochs: how often a decoder sees its pictures
        width: channels of a decoder's first layers
        seed: makes a run repeatable on the same machine
        output: folder for privacy-NAME.csv, .svg and the grid privacy-NAME.png, which shows pictures of the data
        pictures: how many pictures the grid shows
        write: write similarity and agreement per cut point into the bundle's bundle.toml
        json: print a JSON list instead of the table
    """
    from evaluation.progress import progress_bar
    from models.bundle import MANIFEST_FILE, Bundle
    from models.manifest_text import rewrite_measured
    from models.parts import chosen_samples
    from models.training.terminal import training_imports

    with training_imports():
        from evaluation.privacy import measure
        from evaluation.privacy_report import as_dicts, table, write_files
        from evaluation.rebuilding import Recipe

    found = Bundle.load(bundle)
    judged = chosen_samples(found, data, part, limit, seed)
    train = chosen_samples(found, data, train_part, train_limit, seed)
    chosen = spread(found.cut_points) if cuts is None else _cuts(cuts, found.cut_points)
    recipe = Recipe(epochs=epochs, width=width, seed=seed)
    with progress_bar(f"rebuilding from {found.name}") as progress:
        originals, rows = measure(found, train, judged, chosen, recipe, progress, copies=copies, shown=pictures)
    if output is not None:
        write_files(output, f"privacy-{found.name}", originals, rows, found.name)
    if write:
        rewrite_measured(found.folder / MANIFEST_FILE, leaks=[row.leak() for row in rows[1:]])
    if json:
        print(json_text.dumps(as_dicts(rows), indent=1))
    else:
        _print_table(table(rows))
        print(f"\n{len(judged)} pictures of the part {part}, decoders trained on {len(train)} of the part {train_part}")


def spread(names: tuple[str, ...], count: int = 5) -> list[str]:
    """Return `count` of the names, the first and the last among them."""
    places = [round(step * (len(names) - 1) / (count - 1)) for step in range(count)]
    return [names[place] for place in dict.fromkeys(places)] if names else []


def _cuts(wanted: str | None, offered: tuple[str, ...]) -> list[str]:
    return list(offered) if wanted is None else [name.strip() for name in wanted.split(",") if name.strip()]


def _print_table(table: object) -> None:
    from rich.console import Console

    (Console() if sys.stdout.isatty() else Console(width=160)).print(table)
