"""The command `headwater evaluate exit-training`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number


@dataclass(frozen=True, kw_only=True)
class ExitTrainingSettings:
    """What is compared, and on what."""

    data: Annotated[list[Path], Parameter(negative="")]
    """Pictures as for `headwater models train`: a folder, .tar or .npz."""
    network: str = "cifar-sem4"
    """A network of the shelf with exits: cifar-sem1 to cifar-sem8, cifar-mem."""
    epochs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None
    """Of the network, by default its plan's."""
    exit_epochs: Annotated[int, Parameter(validator=Number(gte=1))] = 4
    """Of exits on a frozen network."""
    seeds: Annotated[int, Parameter(validator=Number(gte=1, lte=100))] = 3
    """Trainings of each way, seeds 0, 1, …"""
    limit: Annotated[int | None, Parameter(validator=Number(gte=10))] = None
    """At most so many pictures of each part, for a quick look."""
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results")
    """Folder for the table and the plot."""


def exit_training(*, settings: Annotated[ExitTrainingSettings, Parameter(name="*")]) -> None:
    """Compare three ways to train the exits of one network: joint, separate and distilled.

    Example: headwater evaluate exit-training --data cifar10.tar.gz --network cifar-sem4

    For each seed the network is trained without its exits, then the exits on it when frozen, by labels alone and with
    its own answer as a teacher; and network and exits together. Thresholds come from the validation part (one point
    of loss, 90 % confidence), figures from the test part. Written are exit-training.csv,
    a row as soon as it is known, and .svg.
    """
    from models.errors import ModelError
    from models.training.terminal import shown_progress, training_imports

    with training_imports():
        from evaluation.exit_training import compare, read
        from headwater.plots import write_csv
        from models.training.plans import plan_of
    plan = plan_of(settings.network, epochs=settings.epochs)
    if not plan.exits:
        raise ModelError(f"--network {plan.name} has no exits, expected cifar-sem1 to cifar-sem8 or cifar-mem")
    rows: list[dict[str, object]] = []
    with shown_progress() as progress:
        parts = read(plan, settings.data, settings.limit)
        for row in compare(plan, parts, settings.exit_epochs, range(settings.seeds), progress):
            rows.append(asdict(row))
            write_csv(settings.output / "exit-training.csv", rows)
            print(
                f"{row.way:9} seed {row.seed} {row.exit}: exit {row.exit_accuracy:.2%}, end {row.final_accuracy:.2%}; "
                f"{row.left:.1%} leave, {row.accuracy:.2%} right; {row.seconds:.0f} s",
                flush=True,
            )
    _plot(settings.output / "exit-training.svg", rows, plan.name)


def _plot(path: Path, rows: list[dict[str, object]], network: str) -> None:
    from headwater.plots import new_figure, save_svg

    figure, axes = new_figure(2, f"Three ways to train exits ({network}), a dot for each seed and exit")
    ways = list(dict.fromkeys(str(row["way"]) for row in rows))
    shown = {"exit_accuracy": "all at the exit", "final_accuracy": "all at the end", "accuracy": "with the threshold"}
    for axis, keys, label in zip(axes, (list(shown), ["left"]), ("% right", "% that leave early"), strict=True):
        for number, key in enumerate(keys):
            places = [ways.index(str(row["way"])) + 0.15 * (number - (len(keys) - 1) / 2) for row in rows]
            axis.plot(places, [100 * float(str(row[key])) for row in rows], "o", label=shown.get(key))
        axis.set_xticks(range(len(ways)), ways)
        axis.set(ylabel=label, xlim=(-0.5, len(ways) - 0.5))
        axis.grid(alpha=0.3)
    axes[0].legend()
    save_svg(figure, path)
