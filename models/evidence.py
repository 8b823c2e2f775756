"""What was measured of a bundle's cut points and is kept in its bundle.toml: how to send them, and what they leak."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from models.toml_table import Table

_CODEC = re.compile(r"(float32|float16|uint8|native)(\+zstd)?|png|jpeg:([1-9][0-9]?|100)")
_PLACE = re.compile(r"[A-Za-z0-9_.]{1,64}")
MAX_PICTURES = 10**12


@dataclass(frozen=True)
class Wire:
    """The codec of each split that lost at most `max_loss` points on so many pictures; "image" is the picture's."""

    codec: Mapping[str, str]
    max_loss: float
    pictures: int


@dataclass(frozen=True)
class Leak:
    """How well pictures were rebuilt from what travels at a cut point: 1.0 and many dB are the picture itself.

    `agreement` is the share of rebuilt pictures of which the model says the same as of the original.
    """

    cut: str
    ssim: float
    psnr_db: float
    agreement: float
    pictures: int


def joined_wire(old: Wire | None, new: Wire, measured: Collection[str]) -> Wire:
    """Return the new codecs and the old ones of splits that were not measured now; limits are what holds for all."""
    kept = {split: codec for split, codec in old.codec.items() if split not in measured} if old else {}
    if old is None or not kept:
        return new
    return Wire(kept | dict(new.codec), max(old.max_loss, new.max_loss), min(old.pictures, new.pictures))


def joined_leaks(old: Sequence[Leak], new: Sequence[Leak], order: Sequence[str]) -> list[Leak]:
    """Return the new leaks and the old ones of other cuts, in this order of cut points as far as it names them."""
    by_cut = {leak.cut: leak for leak in (*old, *new)}
    return sorted(by_cut.values(), key=lambda leak: order.index(leak.cut) if leak.cut in order else len(order))


def read_wire(table: Table) -> Wire:
    """Return what a [wire] table says. Raises: BundleError."""
    codecs = table.table("codec")
    expected = "a codec such as native+zstd, uint8+zstd or jpeg:50"
    found = {name: codecs.matching(name, _CODEC, expected) for name in list(codecs.rest)}
    wire = Wire(found, table.number("max_loss"), table.integer("pictures", 1, MAX_PICTURES))
    table.no_more()
    return wire


def read_leak(table: Table) -> Leak:
    """Return what a [[leak]] table says. Raises: BundleError."""
    leak = Leak(
        cut=table.matching("cut", _PLACE, "the name of a cut point"),
        ssim=table.number("ssim"),
        psnr_db=table.number("psnr_db"),
        agreement=table.number("agreement"),
        pictures=table.integer("pictures", 1, MAX_PICTURES),
    )
    table.no_more()
    return leak
