"""What the shipped models answer here, head and tail at every cut, as digests: the same program runs in an image.

Noise goes in, so that no decoder of pictures has a say; the bits that come out are LiteRT's alone.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np

from models.bundle import Bundle
from models.engine import Engine
from models.pictures import to_input

BUNDLES = ("litter", "faces", "mnist", "mnist-fp32")


def answers(name: str) -> dict[str, str]:
    """Return for every cut of a bundle the digest of what head and tail give."""
    bundle = Bundle.load(name)
    engine = Engine(bundle.model_path, threads=1, outputs=bundle.finals)
    noise = np.random.default_rng(7).integers(0, 256, (bundle.input.height, bundle.input.width, 3), dtype=np.uint8)
    spec = engine.whole().inputs[0]
    given = to_input(noise, spec, bundle.input.low, bundle.input.high, bundle.input.colour)
    found = {"whole": digest(engine.whole().run(given))}
    for split in bundle.cut_points:
        activations = engine.head(split).run(given)
        found[split] = digest(activations) + digest(engine.tail(split).run(*activations))
    return found


def digest(arrays: tuple[np.ndarray, ...]) -> str:
    """Return the digest of some arrays."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: answers(name) for name in BUNDLES}) + "\n")
