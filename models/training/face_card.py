"""The model card and the accuracies of a faces bundle, written from what was measured."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from models.answers import NOBODY_LEAVES, Answers, Outcome, Place, outcome
from models.bundle_folder import write_bundle
from models.calibration_rows import calibration_errors, class_rows
from models.manifest import Accuracy
from models.manifest_text import WITH_EXITS
from models.training import card_text
from models.training.face_training import ALL, FaceOutcome, bundle_name, calibrated_manifest
from models.training.measure import measured_accuracy
from models.zoo.faces import TASKS

_LABELS: Final = {task.name: task.labels for task in TASKS}


def write_outcomes(found: Sequence[FaceOutcome]) -> list[Path]:
    """Return the folders of the bundles of one training; what it kept against an interruption is removed."""
    folders = [write_outcome(one) for one in found]
    for kept in {one.kept for one in found}:
        shutil.rmtree(kept)
    return folders


def write_outcome(found: FaceOutcome) -> Path:
    """Return the folder of the bundle, with thresholds, measured accuracies and its card."""
    manifest = replace(calibrated_manifest(found), accuracy=tuple(accuracies(found)))
    return write_bundle(found.order.output / manifest.name, found.content, manifest, card(found)).folder


def together(found: FaceOutcome) -> Answers:
    """Return what was said of the test pictures of all sources."""
    parts = list(found.test.values())
    places = [
        replace(
            place,
            scores={task: np.concatenate([part.places[n].scores[task] for part in parts]) for task in place.scores},
            values={task: np.concatenate([part.places[n].values[task] for part in parts]) for task in place.values},
        )
        for n, place in enumerate(parts[0].places)
    ]
    truth = {task: np.concatenate([part.truth[task] for part in parts]) for task in parts[0].truth}
    values = {task: np.concatenate([part.true_values[task] for part in parts]) for task in parts[0].true_values}
    return Answers(tuple(places[:-1]), places[-1], truth, values)


def accuracies(found: FaceOutcome) -> Iterator[Accuracy]:
    """Yield the figures of the end, then those with the exits, of all sources and of each."""
    sources = {ALL: together(found), **found.test} if len(found.test) > 1 else dict(found.test)
    for source, answers in sources.items():
        data = "test part" if source == ALL else f"test part of {source}"
        for where, thresholds in (("", NOBODY_LEAVES), (WITH_EXITS, found.calibration.chosen.thresholds)):
            reached = outcome(answers, thresholds, found.calibration.rule)
            yield from _accuracies(answers, reached, where, data)


def _accuracies(answers: Answers, reached: Outcome, where: str, data: str) -> Iterator[Accuracy]:
    for task, value in reached.accuracy.items():
        count = _known(answers, task)
        if not count:
            continue
        yield measured_accuracy(task, f"accuracy{where}", round(value * count), count, data)
    for task, error in reached.error.items():
        count = _known(answers, task)
        if not count:
            continue
        yield Accuracy(task, f"mean absolute error{where}", round(error, 3), None, None, count, data)


def _known(answers: Answers, task: str) -> int:
    """Return of how many pictures the truth of a task is known; its figures are over these."""
    if task in answers.truth:
        return int((answers.truth[task] >= 0).sum())
    return int(np.isfinite(answers.true_values[task]).sum())


def card(found: FaceOutcome) -> str:
    """Return MODEL_CARD.md of one file."""
    size = found.order.size
    opening = (
        "Says of each face in a picture: gender (as labelled: male or female), age in years, and age group. "
        f"{found.order.net.network}, for faces of {size}x{size}, {found.precision}, "
        f"{len(found.content):,} B. "
        "This card was written by the training, from what it measured."
    )
    return card_text.document(
        bundle_name(found.order, found.precision),
        opening,
        {
            "Use": [_use()],
            "Input and output": [_ends(found)],
            "Data": [_data(found)],
            "Training": [card_text.paragraph(_training(found))],
            "Accuracy": list(_figures(found)),
            "Early exits": list(_exits(found)),
            "Where the exits are too sure": list(_classes(found)),
            "Limits": [_limits()],
            "Licences": [card_text.paragraph(_licences(found))],
        },
    )


def _use() -> str:
    return card_text.bullets(
        "Meant for: measuring split networks and early exits on three tasks at once, and counting visitors by age "
        "group where that is allowed and announced.",
        "Not meant for: identifying anybody, decisions about a person, proof of age, or any place where people have "
        "not agreed to it. Gender is what a stranger noted down from a picture, not what a person says of themself.",
    )


def _ends(found: FaceOutcome) -> str:
    exits = ", ".join(f"{name} behind {after}" for name, after in found.order.net.exits.items())
    return card_text.bullets(
        'Input: the face crop (`[input] crop = "face"`; docs/crop.md), upright and tight around jaw and forehead; '
        "pixel v as (v - 128) / 128, which is -1 to 0.992188.",
        f"Output: gender ({', '.join(_LABELS['gender'])}), age in years, "
        f"age group ({', '.join(_LABELS['age-group'])}).",
        f"Exits: {exits}; each answers all tasks.",
    )


def _data(found: FaceOutcome) -> str:
    counts = ", ".join(f"{count:,} {part}" for part, count in found.pictures.items())
    return card_text.bullets(
        found.order.source,
        f"Licence of the pictures: {found.order.licence}",
        f"{counts} pictures; the first digits of each file's SHA-256 decide its part (models/samples.py). Thresholds "
        "and temperatures come from the validation part; the test part was looked at once, after everything. In "
        f"{found.passed_over} test pictures no face was found; they are left out. No picture is shipped.",
        "Only identical files are kept on one side. Other files of the same photograph may lie in two parts; what that "
        "does to the figures was not measured by the training.",
    )


def _training(found: FaceOutcome) -> str:
    return (
        f"{found.order.net.told(found.order)} Loss of the first epoch {found.losses[0]:.3f}, of the last "
        f"{found.losses[-1]:.3f}. int8: full-integer post-training quantisation. {found.versions}."
    )


def _figures(found: FaceOutcome) -> Iterator[str]:
    yield card_text.paragraph(
        "On the test part, each picture asked at every exit and at the end, faces cut out of the pictures by the code "
        "that runs on a device; what is not known of a picture is left out. In use the sure ones leave early: see the "
        "next section."
    )
    rows = []
    for source, answers in {ALL: together(found), **found.test}.items():
        for number, place in enumerate(answers.places):
            right = [_share_right(answers, task, number) for task in ("gender", "age-group")]
            off = _years_off(answers, place)
            rows.append((source, place.name, str(answers.pictures), *right, off))
    yield card_text.table(("pictures of", "answer", "pictures", "gender", "age group", "years off"), rows)
    yield "Age group at the end, all sources; a row is what people are, a column what was said:"
    yield _matrix(together(found))


def _share_right(answers: Answers, task: str, place: int) -> str:
    known = answers.truth[task] >= 0
    return f"{answers.right(task)[place, known].mean():.1%}" if known.any() else ""


def _years_off(answers: Answers, place: Place) -> str:
    known = np.isfinite(answers.true_values["age"])
    return f"{np.abs(place.values['age'] - answers.true_values['age'])[known].mean():.2f}" if known.any() else ""


def _matrix(answers: Answers) -> str:
    labels = _LABELS["age-group"]
    said, truth = answers.final.scores["age-group"].argmax(axis=1), answers.truth["age-group"]
    counts = [[int(((truth == t) & (said == s)).sum()) for s in range(len(labels))] for t in range(len(labels))]
    return card_text.table(("is \\ said", *labels), [(labels[t], *map(str, row)) for t, row in enumerate(counts)])


def _exits(found: FaceOutcome) -> Iterator[str]:
    result, order = found.calibration, found.order
    limits = "; ".join(
        f"{name}: " + ", ".join(f"{task} {value:.3g}" for task, value in tasks.items())
        for name, tasks in result.chosen.thresholds.items()
    )
    yield card_text.paragraph(
        f"Rule: {result.rule} of all classifications; thresholds {limits or 'none, nobody leaves'}. They were chosen "
        f"on the validation part so that with {order.confidence:.0%} confidence no classification loses more than "
        f"{order.max_loss:.1%} (`headwater models calibrate`). What that gives on the test part:"
    )
    rows = [_exit_row(source, answers, found) for source, answers in {ALL: together(found), **found.test}.items()]
    heads = ("pictures of", "leave at exit1", "at exit2", "at the end", "gender", "age group", "years off", "MAdds")
    yield card_text.table(heads, rows)
    errors = calibration_errors(found.validated, result)
    rows = [
        (task, place, f"{result.temperatures[place][task]:g}", f"{before:.3f}", f"{after:.3f}")
        for place, tasks in errors.items()
        for task, (before, after) in tasks.items()
    ]
    yield "Temperatures, and the expected calibration error on validation pictures that did not choose them:"
    yield card_text.table(("task", "answer", "temperature", "before", "after"), rows)


def _exit_row(source: str, answers: Answers, found: FaceOutcome) -> Sequence[str]:
    rule = found.calibration.rule
    reached = outcome(answers, found.calibration.chosen.thresholds, rule)
    whole = outcome(answers, NOBODY_LEAVES, rule)
    gains = {task: 100 * (reached.accuracy[task] - whole.accuracy[task]) for task in reached.accuracy}
    changed = [
        f"{reached.accuracy[task]:.1%} ({gains[task]:+.2f})" if _known(answers, task) else ""
        for task in ("gender", "age-group")
    ]
    off = f"{reached.error['age']:.2f} ({reached.error['age'] - whole.error['age']:+.2f})"
    off = off if _known(answers, "age") else ""
    return (source, *(f"{share:.1%}" for share in reached.shares), *changed, off, f"{reached.madds / whole.madds:.0%}")


def _classes(found: FaceOutcome) -> Iterator[str]:
    yield card_text.paragraph(
        "Who leaves where on the test part, and by how many points the mean confidence there is above the share of "
        "right answers. An exit that is sure and wrong about one group is worse for that group than its mean says."
    )
    answers = together(found)
    reached = outcome(answers, found.calibration.chosen.thresholds, found.calibration.rule)
    rows = [
        (
            f"{row.task}: {row.label}", row.place, f"{row.left} of {row.pictures}", _percent(row.accuracy),
            _percent(row.accuracy_at_end), "" if row.overconfidence is None else f"{100 * row.overconfidence:+.1f}",
        )
        for row in class_rows(answers, reached, _LABELS)
    ]  # fmt: skip
    yield card_text.table(
        ("who", "leaves at", "pictures", "right there", "right at the end", "over-confident by"), rows
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _limits() -> str:
    return card_text.bullets(
        "The pictures come from the web and were labelled by an algorithm and strangers; ages are guesses, two "
        "genders are all there are, and people from some parts of the world are rare. Check with pictures of the "
        "people it shall see.",
        "Small children and old people are few in the low-resolution part; their figures above rest on few pictures.",
        "Faces seen from the side, behind masks, or below about 40 pixels were not tested.",
        "A face that the crop does not find is not counted at all.",
    )


def _licences(found: FaceOutcome) -> str:
    return (
        f"Code and this file: Apache-2.0. Starting weights: {found.order.net.licence}, trained on ImageNet, whose "
        f"pictures are for non-commercial research. Training pictures: {found.order.licence}. They are not part of "
        "this bundle. Treat the weights as for non-commercial research as well."
    )
