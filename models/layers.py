"""How the layer numbers of papers/001 map to cut points: the tables of docs/layers.md. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from models.errors import ModelError
from models.zoo.alexnet import ALEXNET
from models.zoo.chain import Chain, Row, rows
from models.zoo.mnist_cnn import MNIST_CNN
from models.zoo.vgg16 import VGG16

CHAINS: Final = {chain.name: chain for chain in (ALEXNET, VGG16, MNIST_CNN)}


def rows_of(name: str) -> list[Row]:
    """Return the layers of alexnet, vgg16 or mnist, in order. Raises: ModelError."""
    if name not in CHAINS:
        raise ModelError(f"{name!r} has no table of layers, expected one of {', '.join(CHAINS)}")
    return list(rows(CHAINS[name]))


def tables() -> str:
    """Return the tables of all of them as Markdown."""
    return "\n\n".join(
        f"## {chain.name}\n\n{_opening(chain)}\n\n{_table(list(rows(chain)))}" for chain in CHAINS.values()
    )


def _opening(chain: Chain) -> str:
    found = list(rows(chain))
    own = len({row.cut_point for row in found if row.cut_point not in {None, "device"}})
    return (
        f"{len(found)} layers, pictures of {chain.side}x{chain.side}x{chain.channels}, {own} cut points between them."
    )


def _table(found: Sequence[Row]) -> str:
    return "\n".join(_lines(found))


def _lines(found: Sequence[Row]) -> Iterator[str]:
    yield "| layer | in the document | output | bytes, fp32 | `--split` | |"
    yield "|---:|---|---|---:|---|---|"
    for row in found:
        shape = "×".join(map(str, row.shape))
        split = f"`{row.cut_point}`" if row.cut_point else ""
        yield f"| {row.number} | `{row.text}` | {shape} | {row.bytes:,} | {split} | {row.note} |"
