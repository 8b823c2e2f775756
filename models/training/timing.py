"""Networks that are built for timing: every layer as in their document, weights as far as there are any."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.bundle_folder import write_bundle
from models.manifest import InputSpec, Manifest
from models.pictures import HIGH, LOW
from models.tasks import Task
from models.training import card_text
from models.training.convert import to_float
from models.training.progress import Progress
from models.training.weights import read_arrays
from models.zoo import vgg16
from models.zoo.alexnet import ALEXNET
from models.zoo.chain import Chain, build, cut_points

CHAINS = {"alexnet": ALEXNET, "vgg16": vgg16.VGG16}
COMPARED = 2
_STEPS = 3
_ADVICE = "give --weights an .npz of arrays such as block1_conv1/kernel"


@dataclass(frozen=True)
class Order:
    """What to build, of which weights, and where to put it."""

    name: str
    output: Path
    weights: Path | None = None
    seed: int = 0


def build_timing(order: Order, progress: Progress) -> Path:
    """Return the folder of the float32 bundle written. Raises: DataError for weights that cannot be used."""
    chain = CHAINS[order.name]
    progress.expect(_STEPS)
    progress.say(f"building {order.name}")
    model = build(chain, "class", order.seed)
    if order.weights is not None:
        arrays = read_arrays(order.weights, vgg16.expected_arrays(), "Keras's VGG16 without its top", _ADVICE)
        vgg16.load_imagenet(model, arrays)
    progress.step(1)
    progress.say("converting and comparing")
    noise = np.random.default_rng(order.seed).uniform(LOW, HIGH, (COMPARED, chain.side, chain.side, 3))
    content = to_float(model, noise.astype(np.float32))
    progress.step(1)
    progress.say("writing the bundle")
    bundle = write_bundle(
        order.output / chain.name, content, _manifest(chain, order, content), _card(chain, order, len(content))
    )
    progress.step(1)
    return bundle.folder


def _manifest(chain: Chain, order: Order, content: bytes) -> Manifest:
    labels = tuple(f"class-{number}" for number in range(chain.layers[-1].size))
    return Manifest(
        name=chain.name,
        description=f"{_title(chain)}, for timing: its answers mean nothing.",
        digest=hashlib.sha256(content).hexdigest(),
        input=InputSpec(chain.side, chain.side, LOW, HIGH),
        outputs=("class",),
        tasks=(Task("class", "classification", "class", labels, scores="logits"),),
        exits=(),
        cut_points=cut_points(chain),
        training={"network": f"{_title(chain)}, fp32", "weights": _weights(order), "seed": str(order.seed)},
        accuracy=(),
    )


def _title(chain: Chain) -> str:
    return f"{ {'alexnet': 'AlexNet', 'vgg16': 'VGG16'}[chain.name] } in {len(chain.layers)} layers"


def _weights(order: Order) -> str:
    if order.weights is None:
        return "all random"
    return "convolutions of Keras's VGG16 (ImageNet, from Caffe); the three dense layers random"


def _card(chain: Chain, order: Order, file_bytes: int) -> str:
    return card_text.document(
        chain.name,
        f"{_title(chain)}, fp32, {file_bytes:,} B, layer for layer as in Luger 2023 (papers/001). **For timing, no "
        "accuracy**: it was not trained here, and what it answers means nothing.",
        {
            "Use": [
                card_text.paragraph(
                    "Meant for: measuring how long layers take and how large their outputs are, as that document did. "
                    "Not meant for: recognising anything."
                )
            ],
            "Input and output": [
                card_text.bullets(
                    f"Input: the whole picture squeezed to {chain.side}x{chain.side}, RGB; pixel v as (v - 128) / 128.",
                    f"Output: {chain.layers[-1].size} scores before a softmax, as in PyTorch's network.",
                    "Cut points: those of the document's layers that have an output of their own here; the table is in "
                    "docs/layers.md.",
                )
            ],
            "Weights": [card_text.paragraph(f"{_weights(order)}, seed {order.seed}.".capitalize())],
            "Licences": [card_text.paragraph(_licence(order))],
        },
    )


def _licence(order: Order) -> str:
    own = "Code and this file: Apache-2.0."
    if order.weights is None:
        return own
    return (
        f"{own} The convolutions come from the University of Oxford's VGG16 by way of Keras; the licence of the copy "
        "that was given is for the user to check."
    )
