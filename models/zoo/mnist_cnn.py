"""The small network for handwritten digits in 9 layers. Source: Luger 2023, table 5.2.

No activation stands between the second convolution and the first dense layer: so it is printed there, and kept.
"""

from __future__ import annotations

from models.zoo.chain import Chain, Layer

MNIST_CNN = Chain(
    "mnist",
    28,
    1,
    (
        Layer("conv", 10, 5),
        Layer("pool", kernel=2, stride=2),
        Layer("relu"),
        Layer("conv", 20, 5),
        Layer("pool", kernel=2, stride=2),
        Layer("dense", 50),
        Layer("relu"),
        Layer("dense", 10),
        Layer("softmax"),
    ),
)
