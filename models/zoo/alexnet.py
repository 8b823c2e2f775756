"""AlexNet in 19 layers, as torchvision has it without its two dropouts.

Source: Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks; Luger 2023, table 5.1.
"""

from __future__ import annotations

from models.zoo.chain import Chain, Layer

CLASSES = 1000

ALEXNET = Chain(
    "alexnet",
    224,
    3,
    (
        Layer("conv", 64, 11, stride=4, padding=2),
        Layer("relu"),
        Layer("pool", kernel=3, stride=2),
        Layer("conv", 192, 5, padding=2),
        Layer("relu"),
        Layer("pool", kernel=3, stride=2),
        Layer("conv", 384, 3, padding=1),
        Layer("relu"),
        Layer("conv", 256, 3, padding=1),
        Layer("relu"),
        Layer("conv", 256, 3, padding=1),
        Layer("relu"),
        Layer("pool", kernel=3, stride=2),
        Layer("average", 6),
        Layer("dense", 4096),
        Layer("relu"),
        Layer("dense", 4096),
        Layer("relu"),
        Layer("dense", CLASSES),
    ),
)
