"""Cut a .tflite model you already have into a head and a tail, and see that together they are the whole.

    python examples/cut_any_model.py model.tflite            # at every cut point
    python examples/cut_any_model.py model.tflite block_5_add

Needs the extra edge (docs/install.md); no TensorFlow.
"""

# ruff: noqa: T201
from __future__ import annotations

import sys
from pathlib import Path

from models.engine import Engine
from models.errors import ModelError
from models.profile import noise


def main(model: Path, split: str | None) -> None:
    """Run the whole model, then head and tail at each cut point, and compare the answers bit for bit."""
    engine = Engine(model, threads=2)
    whole = engine.whole()
    inputs = [noise(spec) for spec in whole.inputs]
    expected = whole.run(*inputs)
    points = [engine.graph.cut_point(split)] if split else engine.graph.cut_points()
    print(f"{model.name}: {len(points)} cut points")
    for point in points:
        activation = engine.head(point.name).run(*inputs)  # this runs on the device …
        answer = engine.tail(point.name).run(*activation)  # … and this in the cloud
        same = all(got.tobytes() == want.tobytes() for got, want in zip(answer, expected, strict=True))
        verdict = "the whole's answer" if same else "ANOTHER ANSWER"
        print(f"{point.name:40} {activation[0].nbytes:>10,} B of {point.dtype} travel: {verdict}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else None)
    except ModelError as error:
        raise SystemExit(f"cut_any_model: {error}") from error
