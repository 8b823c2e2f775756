"""The part of the litter model's card that is about its early exit."""

from __future__ import annotations

from functools import reduce
from operator import add

from models.training.card_text import paragraph, table
from models.training.facts import EarlyExit, Facts, Leaving, added
from models.training.measure import Confusion


def exit_section(precision: str, facts: Facts) -> list[str]:
    """Return the section on the exit, nothing where there is none."""
    found, recipe = facts.exit, facts.recipe
    if found is None:
        return []
    return [
        "## Early exit",
        paragraph(
            f"One exit behind {found.after}: the mean over the picture, 64 hidden units, {len(facts.labels)} outputs, "
            f"trained on the frozen, finished file with its own training pictures and {recipe.exit_copies} changed "
            f"copies of each. A picture that leaves there costs {found.madds / 1e6:.1f} M multiply-adds, one that goes "
            f"on {found.madds_whole / 1e6:.1f} M. What the file says in the end is, bit for bit, what it said before "
            "the exit was added."
        ),
        table(
            ("", "pictures", "exit alone", "leave", "right of these", "right together", "MAdds"),
            _rows(precision, found),
        ),
        paragraph(
            "Training pictures: a cross-validation of the branch alone in five parts, near-duplicates together. The "
            "network itself had learnt from these pictures, so that row flatters."
        ),
        paragraph(
            "The exit is closed: nobody leaves there until a threshold is set, in bundle.toml or while frames flow. "
            f"The table is for a top probability of {found.threshold:g} or more, set by hand. No certificate stands "
            "behind it: with so few pictures none is possible (half a point of loss takes a thousand pictures that no "
            "training saw; `headwater models calibrate` finds thresholds from yours). The place was chosen on the "
            "training pictures of the `litter` model that ships, by the fewest multiply-adds expected at a loss of at "
            "most one point; for those pictures the folds flatter a little."
        ),
    ]


def _rows(precision: str, found: EarlyExit) -> list[tuple[str, ...]]:
    rows = [
        _row("held out", found.test[precision], found.leaving[precision], found),
        _row("training pictures", found.branch[precision], found.branch_leaving[precision], found),
    ]
    if found.folds:
        confusion = added([fold[precision] for fold in found.folds])
        rows.append(_row("all folds", confusion, reduce(add, [one[precision] for one in found.folds_leaving]), found))
    return rows


def _row(title: str, judged: Confusion, left: Leaving, found: EarlyExit) -> tuple[str, ...]:
    low, high = judged.interval
    share = left.left / left.pictures
    madds = share * found.madds + (1 - share) * found.madds_whole
    return (
        title, str(left.pictures), f"{judged.accuracy:.1%} ({low:.1%} to {high:.1%})", f"{share:.0%}",
        f"{left.left_right} of {left.left}", f"{left.right} of {left.pictures}", f"{madds / 1e6:.1f} M",
    )  # fmt: skip
