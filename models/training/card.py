"""Model cards, written from what was measured. Source of the headings: Mitchell et al. 2019, Model Cards."""

from __future__ import annotations

from collections.abc import Iterable

from models.training.facts import Elsewhere, Facts
from models.training.measure import Confusion


def model_card(name: str, precision: str, file_bytes: int, facts: Facts) -> str:
    """Return MODEL_CARD.md of one file of a training."""
    size = facts.recipe.size
    sections = [
        f"# {name}\n\n{facts.description} MobileNetV2 (width 1.0) for {size}x{size} pictures, {precision}, "
        f"{file_bytes:,} B.\nThis card was written by the training, from what it measured.",
        _use(facts),
        _input(precision, facts),
        _data(facts),
        _training(facts),
        _figures(precision, facts),
        _elsewhere(facts),
        _limits(facts),
        _licences(facts),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _use(facts: Facts) -> str:
    return f"""## Use

Meant for: sorting street pictures of cameras on vehicles and poles into {" and ".join(facts.labels)}, for maps and for
deciding where to look; demonstrations and measurements of split networks.

Not meant for: fines or any decision about a person; counting or naming objects; single small pieces of litter."""


def _input(precision: str, facts: Facts) -> str:
    size, (low, high) = facts.recipe.size, facts.value_range
    exact = "; in int8 every pixel value has its own step" if precision == "int8" else ""
    return f"""## Input and output

- Input: the whole picture squeezed to {size}x{size} by `models.pictures.fit`, RGB; pixel v as (v - 128) / 128, which is
  {low:g} to {high:g}{exact}.
- Output: probabilities (softmax). They are not calibrated: 0.9 does not mean right in nine of ten cases."""


def _data(facts: Facts) -> str:
    return f"""## Data

- {facts.source}
- Licence of the pictures: {facts.licence}
- {sum(facts.pictures)} pictures ({facts.counted}) in {facts.groups} groups: near-duplicates (128-bit difference hash,
  also mirrored; cosine of ImageNet features) share a group, and a group is never split between training and test.
- Held out: {len(facts.held_out)} pictures, one group-whole, class-even part of the data; `held_out.txt` lists their
  SHA-256. This model never saw them. No picture is shipped."""


def _training(facts: Facts) -> str:
    recipe, changes = facts.recipe, facts.recipe.changes
    return f"""## Training

ImageNet weights of torchvision's MobileNetV2 with the batch normalisation folded in; a new layer of {len(facts.labels)}
outputs for {recipe.epochs_head} epochs on frozen features, then all layers for {recipe.epochs_fine} epochs (AdamW,
{recipe.fine_rate:g} falling along a cosine, batch {recipe.batch}, {recipe.repeats} changed copies of each picture per
epoch), mean weights of the second half of those epochs, seed {recipe.seed}. Copies: crops of
{changes.smallest_crop:.0%} to 100 % of each side, mirrored, brightness, contrast, colour, blur, JPEG; with probability
{changes.paste:g} a soft-edged patch of another picture is laid on the ground: a littered patch makes a clean picture
littered, a clean patch changes nothing.
No training was stopped by looking at the held-out pictures. {facts.versions}.

int8: full-integer post-training quantisation, weights per channel, ranges from training pictures. The largest
difference between the probabilities of the fp32 and the int8 file on the held-out pictures is
{facts.largest_difference:.3f}."""


def _figures(precision: str, facts: Facts) -> str:
    lines = [
        "## Accuracy",
        "",
        "Intervals are Wilson's, 95 %.",
        "",
        "| | pictures | fp32 | int8 |",
        "|---|---|---|---|",
    ]
    lines.append(_row("held out", facts.test["fp32"], facts.test["int8"]))
    for number, fold in enumerate(facts.folds, 1):
        lines.append(_row(f"fold {number}{' (this model)' if number == 1 else ''}", fold["fp32"], fold["int8"]))
    if facts.folds:
        lines.append(_row("all folds", facts.crossed("fp32"), facts.crossed("int8")))
    lines += [
        "",
        f"This file ({precision}) on the held-out pictures:",
        "",
        *_matrix(facts.test[precision], facts.labels),
    ]
    if facts.folds:
        lines += ["", *_ABOUT_FOLDS]
        intro = f"All {len(facts.folds)} trainings of the cross-validation ({precision}), each on what it never saw:"
        lines += ["", intro, "", *_matrix(facts.crossed(precision), facts.labels)]
    return "\n".join(lines)


_ABOUT_FOLDS = (
    "The recipe's default settings were chosen by comparing about ten variants on folds 2 to 4 of the pictures of the",
    "`litter` model that ships with Headwater: for those pictures the rows of these folds flatter a little. Fold 1 had",
    "no part in it.",
)


def _row(title: str, floating: Confusion, integer: Confusion) -> str:
    return f"| {title} | {floating.pictures} | {_share(floating)} | {_share(integer)} |"


def _share(found: Confusion) -> str:
    low, high = found.interval
    return f"{found.accuracy:.1%} ({low:.1%} to {high:.1%})"


def _matrix(found: Confusion, labels: tuple[str, ...]) -> Iterable[str]:
    yield f"| is \\ said | {' | '.join(labels)} |"
    yield "|---|" + "---|" * len(labels)
    for label, row in zip(labels, found.counts, strict=True):
        yield f"| {label} | {' | '.join(map(str, row))} |"


def _elsewhere(facts: Facts) -> str:
    if not facts.elsewhere:
        return ""
    right = sum((row.score > 0.5) == (row.label == facts.positive) for row in facts.elsewhere)
    lines = [
        "## Another place",
        "",
        f"{len(facts.elsewhere)} pictures of other streets, never trained on; the int8 file is right in {right}.",
        "",
        f"| picture | is | score of {facts.positive} | |",
        "|---|---|---|---|",
        *(_elsewhere_row(row, facts.positive) for row in facts.elsewhere),
    ]
    return "\n".join(lines)


def _elsewhere_row(row: Elsewhere, positive: str) -> str:
    verdict = "right" if (row.score > 0.5) == (row.label == positive) else "wrong"
    return f"| {row.name} | {row.label} | {row.score:.2f} | {verdict} |"


def _limits(facts: Facts) -> str:
    return f"""## Limits

- {sum(facts.pictures)} pictures are few, and of two kinds: open roads, and heaps of litter. The figures above hold for
  pictures like these; they say little about a street between the two.
- Light litter (a bottle, a sheet of paper) covers a few pixels at {facts.recipe.size}x{facts.recipe.size} and is mostly
  missed. Heaps are found.
- Other cities, old town centres, foliage, gravel and market stalls are hardly in the data: expect false alarms there,
  and check with a few hundred of your own pictures before relying on it.
- Night, rain, snow, fish-eye lenses and cameras that look straight down were not tested.
- Labels are one person's view of a whole picture; some clean pictures show litter at the border."""


def _licences(facts: Facts) -> str:
    return f"""## Licences

Code and this file: Apache-2.0. Starting weights: torchvision, BSD-3-Clause, trained on ImageNet, whose pictures are for
non-commercial research. Training pictures: {facts.licence}. They are not shipped and cannot be read back from the file;
whether weights trained on them may be used commercially is for the user to decide."""
