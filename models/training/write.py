"""Bundle folders as a training writes them: model, bundle.toml, model card, and the list of pictures held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.bundle import Bundle
from models.graph import Graph
from models.training.card import model_card
from models.training.facts import EXIT, Facts

SHIPPED_SIZE = 160
HELD_OUT_FILE = "held_out.txt"


@dataclass(frozen=True)
class Variant:
    """One file of a training: its precision and its bytes."""

    precision: str
    content: bytes


def write_bundles(folder: Path, float_file: bytes, int8_file: bytes, facts: Facts) -> list[Path]:
    """Return the two bundle folders written below `folder`; both are read back, so what is written loads."""
    written = []
    for variant in (Variant("fp32", float_file), Variant("int8", int8_file)):
        target = folder / bundle_name(facts.task, facts.recipe.size, variant.precision)
        target.mkdir(parents=True, exist_ok=True)
        (target / "model.tflite").write_bytes(variant.content)
        (target / HELD_OUT_FILE).write_text(held_out_text(facts), encoding="utf-8")
        (target / "bundle.toml").write_text(manifest_text(variant, facts), encoding="utf-8")
        card = model_card(target.name, variant.precision, len(variant.content), facts)
        (target / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        Bundle.load(target)
        written.append(target)
    return written


def bundle_name(task: str, size: int, precision: str) -> str:
    """Return the name of a bundle; the plain task is the one that ships: int8 at 160."""
    parts = [task, *([str(size)] if size != SHIPPED_SIZE else []), *([precision] if precision != "int8" else [])]
    return "-".join(parts)


def offered_cut_points(content: bytes, outputs: Sequence[str] | None = None) -> list[str]:
    """Return the cut points between two bottlenecks, and the mean features: few bytes, nothing inside a block."""
    names = [point.name for point in Graph.read(content, outputs=outputs).cut_points()]
    return [name for name in names if name.endswith(("_add", "_project")) or name == "features"]


def held_out_text(facts: Facts) -> str:
    """Return one line per held-out picture: the SHA-256 of its file, and its label."""
    lines = sorted(f"{digest} {facts.labels[label]}" for digest, label in facts.held_out)
    return "\n".join(["# SHA-256 of the picture's file, and what it shows; the model never saw these.", *lines, ""])


def manifest_text(variant: Variant, facts: Facts) -> str:
    """Return the bundle.toml of one file."""
    size, test = facts.recipe.size, facts.test[variant.precision]
    low, high = test.interval
    cuts = offered_cut_points(variant.content, [facts.task])
    return f"""format = 1
name = {_toml(bundle_name(facts.task, size, variant.precision))}
description = {_toml(facts.description)}
digest = "{hashlib.sha256(variant.content).hexdigest()}"
outputs = [{_toml(facts.task)}]
cut_points = [
{chr(10).join(f"  {_toml(name)}," for name in cuts)}
]

[input]
width = {size}
height = {size}
low = {facts.value_range[0]}
high = {facts.value_range[1]}  # pixel v becomes (v - 128) / 128
colour = "RGB"

[[tasks]]
name = {_toml(facts.task)}
kind = "classification"
output = {_toml(facts.task)}
labels = [{", ".join(map(_toml, facts.labels))}]
positive = {_toml(facts.positive)}

{_exit(facts)}[training]
network = "MobileNetV2, width 1.0, {variant.precision}"
start = "ImageNet weights of torchvision (BSD-3-Clause)"
data = {_toml(facts.source)}
licence = {_toml(facts.licence)}
pictures = {_toml(facts.counted)}
seed = "{facts.recipe.seed}"

[[accuracy]]
task = {_toml(facts.task)}
metric = "accuracy"
value = {test.accuracy:.4f}
low = {low:.4f}
high = {high:.4f}
pictures = {test.pictures}
data = "pictures held out, listed in {HELD_OUT_FILE}"
{_crossed(variant, facts)}{_at_exit(variant, facts)}"""


def _exit(facts: Facts) -> str:
    if facts.exit is None:
        return ""
    return f"""[[exits]]
name = "{EXIT}"
after = {_toml(facts.exit.after)}
outputs = {{ {_toml(facts.task)} = {_toml(f"{EXIT}/{facts.task}")} }}
rule = "top-probability"
# Closed until you open it: too few pictures for a promise. What {facts.exit.threshold} would do is in MODEL_CARD.md.
# thresholds = {{ {_toml(facts.task)} = {facts.exit.threshold} }}

"""


def _at_exit(variant: Variant, facts: Facts) -> str:
    if facts.exit is None:
        return ""
    test = facts.exit.test[variant.precision]
    low, high = test.interval
    return f"""
[[accuracy]]
task = {_toml(facts.task)}
metric = "accuracy at {EXIT}"
value = {test.accuracy:.4f}
low = {low:.4f}
high = {high:.4f}
pictures = {test.pictures}
data = "pictures held out, listed in {HELD_OUT_FILE}"
"""


def _crossed(variant: Variant, facts: Facts) -> str:
    if not facts.folds:
        return ""
    found = facts.crossed(variant.precision)
    low, high = found.interval
    return f"""
[[accuracy]]
task = {_toml(facts.task)}
metric = "accuracy"
value = {found.accuracy:.4f}
low = {low:.4f}
high = {high:.4f}
pictures = {found.pictures}
data = "cross-validation of the training in {len(facts.folds)} folds"
"""


def _toml(text: str) -> str:
    """Return a text as a TOML basic string, which JSON's strings are."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
