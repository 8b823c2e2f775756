"""The bundle of a model with a bottleneck: what changed, judged on pictures that nothing was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import zstandard

from models.bundle import MANIFEST_FILE, Bundle
from models.bundle_folder import CARD_FILE, write_bundle
from models.engine import Engine
from models.errors import ModelError
from models.graph import Graph
from models.manifest import Manifest, read_manifest
from models.parts import HELD_OUT_FILE, seen, truth
from models.pictures import to_input
from models.samples import Sample
from models.tasks import predictions
from models.training.bottleneck.splice import CODE
from models.training.card_text import paragraph, table
from models.training.measure import measured_accuracy

_JUDGED_ON: Final = "pictures that neither the model nor its bottleneck was trained on"
ZSTD_LEVEL: Final = 1
"""As on the wire."""


@dataclass(frozen=True)
class Judged:
    """A model with a bottleneck beside the model without, on the same pictures; per classification task."""

    pictures: int
    code_bytes: float
    known: dict[str, int]
    """The pictures whose label is known, of which so many are right."""
    right: dict[str, int]
    right_before: dict[str, int]
    agreed: dict[str, int]


def judge(bundle: Bundle, content: bytes, samples: Sequence[Sample]) -> Judged:
    """Return what the model with the bottleneck says of these pictures, and the mean bytes of its code after zstd."""
    before, after = (Engine(model, outputs=bundle.finals) for model in (bundle.model_path, content))
    head, tail, whole = after.head(CODE), after.tail(CODE), before.whole()
    tasks = [task.name for task in bundle.tasks if task.kind == "classification"]
    known, right, right_before, agreed = (dict.fromkeys(tasks, 0) for _ in range(4))
    wanted, sizes = bundle.input, []
    for sample in samples:
        values = to_input(seen(bundle, sample), whole.inputs[0], wanted.low, wanted.high, wanted.colour)
        code = head.run(values)[0]
        sizes.append(len(zstandard.ZstdCompressor(ZSTD_LEVEL).compress(code.tobytes())))
        new = {p.task: p.label for p in predictions(bundle, tail.run(code), tail.outputs)}
        old = {p.task: p.label for p in predictions(bundle, whole.run(values), whole.outputs)}
        targets = truth(bundle, sample)
        for task in tasks:
            known[task] += task in targets
            right[task] += new[task] == targets.get(task)
            right_before[task] += old[task] == targets.get(task)
            agreed[task] += new[task] == old[task]
    return Judged(len(samples), float(np.mean(sizes)), known, right, right_before, agreed)


def write_bottleneck(folder: Path, bundle: Bundle, content: bytes, at: str, training: str, judged: Judged) -> Path:
    """Return the bundle folder written below `folder`: NAME-bottleneck, read back, so that what is written loads."""
    manifest = read_manifest(bundle.folder / MANIFEST_FILE)
    target = folder / f"{bundle.name}-{CODE}"
    if target.exists() and target.samefile(bundle.folder):
        raise ModelError(f"{target} is the model itself; give another folder with --output")
    changed = _manifest(manifest, target.name, content, at, training, judged)
    held_out = bundle.folder / HELD_OUT_FILE
    beside = {HELD_OUT_FILE: held_out.read_text(encoding="utf-8")} if held_out.is_file() else {}
    return write_bundle(
        target, content, changed, _card(bundle, target.name, at, training, judged), beside=beside
    ).folder


def _manifest(before: Manifest, name: str, content: bytes, at: str, training: str, judged: Judged) -> Manifest:
    return replace(
        before,
        name=name,
        description=f"{before.description} With a learned bottleneck behind {at}.".strip(),
        digest=hashlib.sha256(content).hexdigest(),
        cut_points=_with_code(content, before, at),
        training={**before.training, CODE: training},
        accuracy=tuple(
            measured_accuracy(task, "accuracy", right, judged.known[task], _JUDGED_ON)
            for task, right in judged.right.items()
            if judged.known[task]
        ),
        wire=None,
        leaks=(),
    )


def _with_code(content: bytes, before: Manifest, at: str) -> tuple[str, ...]:
    """Return the cut points offered before and the code between them, in the order of the file."""
    finals = before.outputs if before.exits else None
    order = [point.name for point in Graph.read(content, outputs=finals).cut_points()]
    offered = {*before.cut_points, at, CODE}
    return tuple(name for name in order if name in offered)


def _card(bundle: Bundle, name: str, at: str, training: str, judged: Judged) -> str:
    """Return the model's card under the new name, with what the bottleneck changed in front of it."""
    path = bundle.folder / CARD_FILE
    old = path.read_text(encoding="utf-8").partition("\n")[2] if path.is_file() else "\n"
    about = f"Behind `{at}` lie an encoder, whose last tensor `{CODE}` is meant to travel, and a decoder. {training}"
    heads = ("task", "right before", "right with it", "of labelled", "same answer", "of all")
    rows = [
        (task, *map(str, (judged.right_before[task], right, judged.known[task], judged.agreed[task], judged.pictures)))
        for task, right in judged.right.items()
    ]
    blocks = [
        f"# {name}",
        "## Bottleneck",
        paragraph(about),
        f"The code takes {judged.code_bytes:,.0f} B per picture (mean, zstd). On pictures never trained on:",
        table(heads, rows),
        f"What follows is the card of `{bundle.name}`, the model without it; its figures are of that model.",
    ]
    return "\n\n".join(blocks) + f"\n{old}"
