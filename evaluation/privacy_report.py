"""What cut points leak as table, CSV, plot, and a grid of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.table import Table

from evaluation.privacy import Row
from headwater.plots import new_figure, save_svg, write_csv
from models.pictures import encode_png

_GAP, _MARGIN = 4, 150


def table(rows: Sequence[Row]) -> Table:
    """Return the table that a terminal shows."""
    out = Table("rebuilt from", box=None, header_style="bold", pad_edge=False)
    tasks = [score.task for score in rows[0].scores]
    for head in ("SSIM", "PSNR dB", *(f"{kind} {task}" for task in tasks for kind in ("agrees", "right"))):
        out.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        judged = [text for score in row.scores for text in (f"{100 * score.agreement:.1f}%", _value(score))]
        out.add_row(row.cut, f"{row.ssim:.3f}", f"{row.psnr_db:.2f}", *judged)
    return out


def _value(score: Any) -> str:
    return f"{100 * score.value:.1f}%" if score.metric == "accuracy" else f"±{score.value:.2f}"


def as_dicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return one flat entry per cut point, as written to CSV and JSON."""
    return [
        {
            "cut": row.cut,
            "ssim": round(row.ssim, 4),
            "psnr_db": round(row.psnr_db, 2),
            "pictures": row.pictures,
            **{f"agreement_{score.task}": round(score.agreement, 4) for score in row.scores},
            **{f"{score.metric.replace(' ', '_')}_{score.task}": round(score.value, 4) for score in row.scores},
        }
        for row in rows
    ]


def plot(path: Path, rows: Sequence[Row], title: str) -> None:
    """Write the SVG: similarity and agreement per cut point, the rebuilder that knows nothing as a dashed line."""
    figure, axes = new_figure(2, f"{title}: how well pictures are rebuilt from what travels")
    blank, cuts = rows[0], rows[1:]
    places = range(len(cuts))
    axes[0].bar(places, [row.ssim for row in cuts])
    axes[0].axhline(blank.ssim, linestyle="--", color="grey", label="mean picture, no activation")
    axes[0].set_ylabel("SSIM to the original")
    for number, score in enumerate(blank.scores):
        colour = f"C{number}"
        axes[1].plot(places, [row.scores[number].agreement for row in cuts], marker="o", color=colour, label=score.task)
        axes[1].axhline(score.agreement, linestyle="--", color=colour, alpha=0.5)
    axes[1].set_ylabel("rebuilt picture gets the original's answer")
    for axis in axes:
        axis.set_xticks(list(places), [row.cut for row in cuts], rotation=30, ha="right")
        axis.set_ylim(0, 1.02)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    save_svg(figure, path)


def write_files(folder: Path, name: str, originals: np.ndarray, rows: Sequence[Row], title: str) -> None:
    """Write NAME.csv, NAME.svg, and NAME.png with the pictures."""
    write_csv(folder / f"{name}.csv", as_dicts(rows))
    plot(folder / f"{name}.svg", rows, title)
    (folder / f"{name}.png").write_bytes(grid(originals, rows))


def grid(originals: np.ndarray, rows: Sequence[Row]) -> bytes:
    """Return a PNG: the originals above, then one row of rebuilt pictures per cut point, each named at its left."""
    lines = [("original", originals), *((row.cut, row.rebuilt) for row in rows)]
    count, height, width = originals.shape[:3]
    sheet = np.full((len(lines) * (height + _GAP) - _GAP, _MARGIN + count * (width + _GAP), 3), 255, np.uint8)
    for down, (name, line) in enumerate(lines):
        top = down * (height + _GAP)
        sheet[top : top + height, :_MARGIN] = _named(name, height)
        for across, picture in enumerate(line):
            left = _MARGIN + across * (width + _GAP)
            sheet[top : top + height, left : left + width] = picture
    return encode_png(sheet)


def _named(name: str, height: int) -> np.ndarray:
    label = Image.new("RGB", (_MARGIN, height), "white")
    ImageDraw.Draw(label).text((4, height // 2), name, fill="black", anchor="lm", font=ImageFont.load_default(14))
    return np.asarray(label)
