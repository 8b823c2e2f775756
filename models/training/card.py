"""Model cards, written from what was measured. Source of the headings: Mitchell et al. 2019, Model Cards."""

from __future__ import annotations

from collections.abc import Iterator

from models.training.card_text import bullets, paragraph
from models.training.exit_card import exit_section
from models.training.facts import Elsewhere, Facts, Judged
from models.training.measure import Confusion

_ABOUT_FOLDS = (
    "The recipe's default settings were chosen by comparing about ten variants at 160x160 on three fifths of the "
    "pictures of the `litter` model that ships with Headwater (its folds 2 to 4), with an eye on 14 street photographs "
    "of two other cities. For those pictures figures flatter a little; that model's fold 1, which is its held-out "
    "part, was not compared on."
)


def model_card(name: str, precision: str, file_bytes: int, facts: Facts) -> str:
    """Return MODEL_CARD.md of one file of a training."""
    sections = [
        [f"# {name}", *_summary(precision, file_bytes, facts)],
        ["## Use", *_use(facts)],
        ["## Input and output", *_input(precision, facts)],
        ["## Data", *_data(facts)],
        ["## Training", *_training(facts)],
        ["## Accuracy", *_figures(precision, facts)],
        exit_section(precision, facts),
        _elsewhere(facts),
        ["## Limits", *_limits(facts)],
        ["## Licences", *_licences(facts)],
    ]
    return "\n\n".join(part for section in sections for part in section) + "\n"


def _summary(precision: str, file_bytes: int, facts: Facts) -> Iterator[str]:
    size = facts.recipe.size
    yield paragraph(
        f"{facts.description} MobileNetV2 (width 1.0) for {size}x{size} pictures, {precision}, {file_bytes:,} B. "
        "This card was written by the training, from what it measured."
    )


def _use(facts: Facts) -> Iterator[str]:
    yield paragraph(
        "Meant for: sorting street pictures of cameras on vehicles and poles into "
        f"{' and '.join(facts.labels)}, for maps "
        "and for deciding where to look; demonstrations and measurements of split networks."
    )
    yield paragraph(
        "Not meant for: fines or any decision about a person; counting or naming objects; single small pieces "
        "of litter."
    )


def _input(precision: str, facts: Facts) -> Iterator[str]:
    size, (low, high) = facts.recipe.size, facts.value_range
    exact = "; in int8 every pixel value has its own step" if precision == "int8" else ""
    yield bullets(
        f"Input: the whole picture squeezed to {size}x{size} by `models.pictures.fit`, RGB; pixel v as (v - "
        "128) / 128, "
        f"which is {low:g} to {high:g}{exact}.",
        "Output: probabilities (softmax). They are not calibrated: 0.9 does not mean right in nine of ten cases.",
    )


def _data(facts: Facts) -> Iterator[str]:
    yield bullets(
        facts.source,
        f"Licence of the pictures: {facts.licence}",
        f"{sum(facts.pictures)} pictures ({facts.counted}) in {facts.groups} groups: near-duplicates (128-bit "
        "difference "
        "hash, also mirrored; cosine of ImageNet features) share a group, and a group is never split between training "
        "and test.",
        f"Held out: {len(facts.held_out)} pictures, whole groups, both labels in proportion; `held_out.txt` "
        "lists their "
        "SHA-256. This model never saw them. No picture is shipped.",
    )


def _training(facts: Facts) -> Iterator[str]:
    recipe, changes = facts.recipe, facts.recipe.changes
    yield paragraph(
        "ImageNet weights of torchvision's MobileNetV2 with the batch normalisation folded in; a new layer of "
        f"{len(facts.labels)} outputs for {recipe.epochs_head} epochs on frozen features, then all layers for "
        f"{recipe.epochs_fine} epochs (AdamW, {recipe.fine_rate:g} falling along a cosine, batch {recipe.batch}, "
        f"{recipe.repeats} changed copies of each picture per epoch), mean weights of the second half of those epochs, "
        f"seed {recipe.seed}. Copies: crops of {changes.smallest_crop:.0%} to 100% of each side, mirrored, brightness, "
        f"contrast, colour, blur, JPEG; with probability {changes.paste:g} a soft-edged patch of another "
        "picture is laid "
        "on the ground: a littered patch makes a clean picture littered, a clean patch changes nothing. No "
        "training was "
        f"stopped by looking at the held-out pictures. {facts.versions}."
    )
    yield paragraph(
        "int8: full-integer post-training quantisation, weights per channel, ranges from training pictures; "
        "the channels "
        "between bottlenecks are evened out beforehand, which leaves the network as it is. The largest difference "
        "between the probabilities of the fp32 and the int8 file on the held-out pictures is "
        f"{facts.largest_difference:.3f}."
    )


def _figures(precision: str, facts: Facts) -> Iterator[str]:
    rows = [_row("held out", facts.test)]
    rows += [_row(f"fold {n}{' (this model)' if n == 1 else ''}", fold) for n, fold in enumerate(facts.folds, 1)]
    if facts.folds:
        rows.append(_row("all folds", {kind: facts.crossed(kind) for kind in ("fp32", "int8")}))
    yield "Intervals are Wilson's, 95%."
    yield "\n".join(["| | pictures | fp32 | int8 |", "|---|---|---|---|", *rows])
    yield f"This file ({precision}) on the held-out pictures:"
    yield _matrix(facts.test[precision], facts.labels)
    if facts.folds:
        yield paragraph(_ABOUT_FOLDS)
        yield f"All {len(facts.folds)} trainings of the cross-validation ({precision}), each on what it never saw:"
        yield _matrix(facts.crossed(precision), facts.labels)


def _row(title: str, judged: Judged) -> str:
    return f"| {title} | {judged['fp32'].pictures} | {_share(judged['fp32'])} | {_share(judged['int8'])} |"


def _share(found: Confusion) -> str:
    low, high = found.interval
    return f"{found.accuracy:.1%} ({low:.1%} to {high:.1%})"


def _matrix(found: Confusion, labels: tuple[str, ...]) -> str:
    rows = (f"| {label} | {' | '.join(map(str, row))} |" for label, row in zip(labels, found.counts, strict=True))
    return "\n".join([f"| is \\ said | {' | '.join(labels)} |", "|---|" + "---|" * len(labels), *rows])


def _elsewhere(facts: Facts) -> list[str]:
    if not facts.elsewhere:
        return []
    right = sum((row.score > 0.5) == (row.label == facts.positive) for row in facts.elsewhere)
    rows = (_elsewhere_row(row, facts.positive) for row in facts.elsewhere)
    return [
        "## Another place",
        f"{len(facts.elsewhere)} pictures of other streets, never trained on; the int8 file is right in {right}.",
        "\n".join([f"| picture | is | score of {facts.positive} | |", "|---|---|---|---|", *rows]),
    ]


def _elsewhere_row(row: Elsewhere, positive: str) -> str:
    verdict = "right" if (row.score > 0.5) == (row.label == positive) else "wrong"
    return f"| {row.name} | {row.label} | {row.score:.2f} | {verdict} |"


def _limits(facts: Facts) -> Iterator[str]:
    size = facts.recipe.size
    yield bullets(
        f"It learnt from {sum(facts.pictures)} pictures. If they are few, or of two extremes (open roads, and heaps of "
        "litter), the figures above hold for pictures like these and say little about a street between the two.",
        f"Light litter (a bottle, a sheet of paper) covers a few pixels at {size}x{size} and is mostly missed.",
        "Other cities, old town centres, foliage, gravel and market stalls may be rare in the data: expect "
        "false alarms "
        "there, and check with a few hundred of your own pictures before relying on it.",
        "Night, rain, snow, fish-eye lenses and cameras that look straight down were not tested.",
        "Labels are one person's view of a whole picture; some clean pictures show litter at the border.",
    )


def _licences(facts: Facts) -> Iterator[str]:
    yield paragraph(
        "Code and this file: Apache-2.0. Starting weights: torchvision, BSD-3-Clause, trained on ImageNet, "
        "whose pictures "
        f"are for non-commercial research. Training pictures: {facts.licence}. They are not part of this "
        "bundle. Whether "
        "weights trained on them may be used commercially is for the user to decide."
    )
