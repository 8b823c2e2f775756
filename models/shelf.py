"""The shelf: every model that Headwater ships, builds or trains. Names and commands only; imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from models.bundle import MANIFEST_FILE, SHIPPED, Bundle
from models.errors import ModelError

Way = Literal["train", "build"]
State = Literal["shipped", "built", "trained", "not here"]
FOLDER: Final = Path("bundles")
"""Where `build` and `train` write and `list` looks, unless told otherwise."""
_VARIANT: Final = re.compile(r"(-[0-9]+)?(-fp32)?$")
"""What is put behind a name for its other files: another size, another precision."""


@dataclass(frozen=True)
class Entry:
    """One model of the shelf."""

    name: str
    line: str
    tasks: tuple[str, ...]
    exits: tuple[str, ...]
    way: Way
    command: str
    """What makes it, to be given to a shell."""
    document: str = ""
    """Which of the five documents it is taken from."""


@dataclass(frozen=True)
class Standing:
    """A bundle of the shelf that was found, and how it came there."""

    state: State
    bundle: Bundle
    bytes: int


def _trained(name: str, line: str, tasks: Sequence[str], exits: Sequence[str], data: str, document: str) -> Entry:
    command = f"headwater models train {name} --data {data}"
    return Entry(name, line, tuple(tasks), tuple(exits), "train", command, document)


def _built(name: str, line: str, document: str) -> Entry:
    return Entry(name, line, ("class",), (), "build", f"headwater models build {name}", document)


_CIFAR: Final = "cifar10.tar.gz"
_EIGHT: Final = tuple(f"exit{number}" for number in range(1, 9))
_THESIS: Final = "faces.tar --weights vgg16_notop.npz"
_FACES: Final = ("gender", "age", "age-group")

SHELF: Final[tuple[Entry, ...]] = (
    _trained("litter", "clean or littered street", ("litter",), ("exit1",), "pictures", "papers/002"),
    _trained("faces", "gender, age, age group of a face", _FACES, ("exit1", "exit2"), "faces.tar", "papers/000"),
    _trained("faces-vgg16", "the same by VGG16, to compare", _FACES, ("exit1", "exit2"), _THESIS, "papers/000"),
    _trained("mnist", "a handwritten digit; 9 layers", ("digit",), (), "mnist.npz", "papers/001"),
    _built("alexnet", "AlexNet, 19 layers, for timing: random weights", "papers/001"),
    _built("vgg16", "VGG16, 37 layers, for timing: random weights or ImageNet's convolutions", "papers/001"),
    *(
        _trained(f"cifar-sem{n}", f"ten things; one exit, place {n} of 8", ("object",), (exit_,), _CIFAR, "papers/003")
        for n, exit_ in enumerate(_EIGHT, 1)
    ),
    _trained("cifar-mem", "ten things; exits at all eight places", ("object",), _EIGHT, _CIFAR, "papers/003"),
)  # fmt: skip


def entry(name: str) -> Entry:
    """Return the model of that name. Raises: ModelError naming those that there are."""
    found = next((one for one in SHELF if one.name == name), None)
    if found is None:
        names = ", ".join(one.name for one in SHELF)
        raise ModelError(f"no model of the shelf is called {name!r}; there are: {names}")
    return found


def standings(found: Entry, folders: Iterable[Path]) -> list[Standing]:
    """Return the bundles of a model that lie in these folders and among the shipped ones; the shipped first.

    Raises: BundleError for a bundle that cannot be used.
    """
    places = [(SHIPPED, "shipped"), *((folder, "built" if found.way == "build" else "trained") for folder in folders)]
    return [
        _standing(path, state)
        for folder, state in places
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if _VARIANT.sub("", path.name) == found.name and (path / MANIFEST_FILE).is_file()
    ]


def _standing(folder: Path, state: str) -> Standing:
    bundle = Bundle.load(folder)
    states: dict[str, State] = {"shipped": "shipped", "built": "built", "trained": "trained"}
    return Standing(states[state], bundle, bundle.model_path.stat().st_size)
