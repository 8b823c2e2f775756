"""The commands `headwater models cuts` and `headwater models extract`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from models.graph import Graph
    from models.profile import CutCost, Profile


def cuts(
    file: Path,
    /,
    *,
    threads: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 1,
    measure: bool = True,
    fresh: bool = False,
    signature: str | None = None,
    output: Annotated[list[str] | None, Parameter(negative="")] = None,
    json: bool = False,
) -> None:
    """List the cut points of a model and what each costs.

    Example: headwater models cuts model.tflite --json

    Args:
        file: the .tflite file, or the name of a bundle such as litter
        threads: LiteRT threads while measuring
        measure: measure the milliseconds of head and tail on this host; kept for the next time
        fresh: measure again even when the times are known
        signature: the signature to cut, of a file with several
        output: a final output, when not all of them are (early exits); may be given several times
        json: print a JSON list instead of the table
    """
    from models.bars import progress_bar
    from models.errors import NoCutPoint
    from models.graph import Graph
    from models.profile import costs, profile

    path, finals = model_path(file)
    output = output or finals
    graph = Graph.read(path, signature=signature, outputs=output)
    found, measured = costs(graph.cut_points()), None
    if not found:
        raise NoCutPoint(graph.origin)
    if measure:
        with progress_bar(f"measuring {path.name}") as progress:
            measured = profile(
                path, threads=threads, signature=signature, outputs=output, fresh=fresh, progress=progress
            )
        found = measured.cuts
    if json:
        _print_json(found)
    else:
        _print_table(graph, found, measured)


def extract(
    file: Path,
    /,
    *,
    from_: Annotated[list[str] | None, Parameter(name="--from", negative="")] = None,
    to: Annotated[list[str] | None, Parameter(negative="")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    signature: str | None = None,
) -> None:
    """Write the part of a model between some tensors as a .tflite file of its own.

    Example: headwater models extract model.tflite --to block_5_add -o head.tflite

    Args:
        file: the .tflite file, or the name of a bundle such as litter
        from_: where the part begins, by default at the model's inputs; may be given several times
        to: where the part ends, by default at the model's outputs; may be given several times
        output: the file to write
        signature: the signature to cut, of a file with several
    """
    from models.errors import CannotWrite
    from models.graph import Graph

    path, finals = model_path(file)
    if output.exists() and output.samefile(path):
        raise CannotWrite(str(output), "it is the model itself")
    part = Graph.read(path, signature=signature, outputs=finals).extract(from_, to)
    try:
        output.write_bytes(part)
    except OSError as error:
        raise CannotWrite(str(output), error.strerror or str(error)) from error
    graph = Graph.read(part, signature=signature)
    ends = (" and ".join(f"{graph.tensor_name(t.index)} {_shape(t.shape)} {t.dtype}" for t in side)
            for side in (graph.inputs, graph.outputs))  # fmt: skip
    print(f"{output}: {' to '.join(ends)}, {len(graph.operators)} operators, {len(part):,} B")


def model_path(file: Path) -> tuple[Path, list[str] | None]:
    """Return the .tflite file that a user named, and of a bundle with exits the final outputs; None: all."""
    if file.is_file():
        return file, None
    from models.bundle import Bundle

    bundle = Bundle.load(str(file))
    return bundle.model_path, list(bundle.finals) if bundle.finals else None


def _print_json(found: tuple[CutCost, ...]) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


def _print_table(graph: Graph, found: tuple[CutCost, ...], measured: Profile | None) -> None:
    from rich.console import Console
    from rich.table import Table

    heads = {"cut point": "left", "shape": "left", "type": "left", "bytes": "right"}
    heads |= {"MAdds head": "right", "MAdds tail": "right"}
    if measured:
        heads |= {"ms head": "right", "ms tail": "right"}
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head, side in heads.items():
        table.add_column(head, justify="right" if side == "right" else "left", no_wrap=True)
    for cut in found:
        row = [cut.name, _shape(cut.shape), cut.dtype, f"{cut.bytes:,}", _millions(cut.madds_head)]
        times = [f"{ms:.2f}" for ms in (cut.ms_head, cut.ms_tail) if ms is not None]
        table.add_row(*row, _millions(cut.madds_tail), *times)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table)
    inputs = " and ".join(f"{_shape(tensor.shape)} {tensor.dtype}" for tensor in graph.inputs)
    print(f"\n{len(found)} cut points, input {inputs}", end="")
    if measured:
        threads = f"{measured.threads} thread{'s' if measured.threads > 1 else ''}"
        print(f"; whole model {measured.ms_whole:.2f} ms on {measured.host}, {threads}, {measured.runtime}", end="")
    print()


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _millions(madds: int) -> str:
    return f"{madds / 1e6:,.2f} M"
