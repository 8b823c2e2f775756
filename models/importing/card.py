"""The model card of an imported bundle: what is known of it, what was measured here, and what nobody said."""

from __future__ import annotations

from collections.abc import Iterator

from models.importing.request import Imported, Request
from models.training.card_text import bullets, document, paragraph, table

_TAUGHT = ", half of each target being the network's own final answer"
_BY_HAND = "The places were named by hand."
_CHOSEN = (
    "The places were chosen for the fewest multiply-adds expected per picture at a loss of at most {:g} points (see "
    "docs/import.md)."
)


def card(request: Request, done: Imported) -> str:
    """Return MODEL_CARD.md."""
    manifest = done.manifest
    opening = (
        f"{manifest.description or 'A model that was imported.'} Imported from {request.file.name}, "
        f"{done.model_bytes:,} B. This card was written by the import, from what the file says and what was measured."
    )
    return document(
        manifest.name,
        opening,
        {
            "Input and output": list(_ends(done)),
            "Data and training": list(_origin(request)),
            "Accuracy": list(_accuracy(done)),
            "Exits": list(_exits(request, done)),
            "Limits": [
                bullets(
                    "Whether the pictures above are like those that the model will see was not tested.",
                    "Scores are not calibrated unless a later section says so.",
                )
            ],
        },
    )


def _ends(done: Imported) -> Iterator[str]:
    wanted = done.manifest.input
    seen = {"none": "the whole picture squeezed"}.get(wanted.crop, f"the picture cropped ({wanted.crop})")
    yield bullets(
        f"Input: {seen} to {wanted.width}x{wanted.height}, {wanted.colour}; pixel values 0 and 255 become "
        f"{wanted.low:g} and {wanted.high:g}.",
        *(
            f"Task {task.name}: {task.kind}, output {task.output}, "
            + (f"{len(task.labels)} labels, {task.scores}" if task.labels else f"unit {task.unit or 'not stated'}")
            + "."
            for task in done.manifest.tasks
        ),
        *done.notes,
    )


def _origin(request: Request) -> Iterator[str]:
    yield bullets(
        f"Data that the model was trained on: {request.source}.",
        f"Licence of model and data: {request.licence}.",
    )


def _accuracy(done: Imported) -> Iterator[str]:
    measured = done.measured
    if measured is None:
        yield "Not measured: no labelled pictures were given."
        return
    yield paragraph(
        f"On {measured.pictures} labelled pictures ({measured.part}). Whether the model itself was trained on them is "
        "not known here; new exits are trained on the train part alone. Intervals are Wilson's, 95%."
    )
    rows = (
        (row.task, row.metric, _figure(row.value, row.low, row.high), str(row.pictures)) for row in measured.accuracy
    )
    yield table(("task", "", "value", "pictures"), rows)


def _figure(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"{value:.3g}"
    return f"{value:.1%} ({low:.1%} to {high:.1%})"


def _exits(request: Request, done: Imported) -> Iterator[str]:
    if not done.manifest.exits or request.exits is None:
        return
    wish = request.exits
    chosen = [row for row in done.rows if row.chosen]
    yield paragraph(
        f"{len(chosen)} of {len(done.rows)} places. The network was frozen; each branch is the mean over the picture, "
        f"{wish.settings.hidden} hidden units with ReLU, and an output per task, trained on the train part of the "
        f"pictures{_TAUGHT if wish.settings.teacher else ''} (seed {wish.settings.seed}). "
        + (_BY_HAND if wish.places else _CHOSEN.format(100 * wish.max_loss))
        + " The figures are of branches that did not see the pictures; the share that leaves was fitted to them:"
    )
    yield table(
        ("exit behind", "MAdds", "of the whole", "accuracy", "leave at that loss"),
        (
            (
                row.cut_point,
                f"{row.madds / 1e6:.2f} M",
                f"{row.share_of_madds:.0%}",
                ", ".join(f"{task} {value:.1%}" for task, value in row.accuracy.items()),
                f"{row.leaves:.0%}",
            )
            for row in chosen
        ),
    )
    yield paragraph(
        f"The thresholds are set by hand: a frame leaves where the top probability of every classification is "
        f"{wish.threshold:g} or more. `headwater models calibrate` finds better ones, by default on the "
        "validation part, from which nothing was learnt or chosen here."
    )
    if done.measured and done.measured.outcome:
        found = done.measured.outcome
        shares = ", ".join(
            f"{share:.0%} at {name}"
            for share, name in zip(found.shares, [*(e.name for e in done.manifest.exits), "the end"], strict=True)
        )
        loss = ", ".join(f"{task} {100 * value:+.1f}" for task, value in found.loss.items())
        yield paragraph(
            f"With them, on the pictures of the section above, frames leave: {shares}; the loss of accuracy in points: "
            f"{loss}; a picture costs {found.madds / 1e6:.1f} M multiply-adds instead of "
            f"{done.rows[0].madds / done.rows[0].share_of_madds / 1e6:.1f} M."
        )
