"""Networks that are one chain of layers, counted as PyTorch counts them. Keras is imported only to build one.

Every layer is named after what it is and its number in the document, so that the cut point `pool_3` is the cut behind
layer 3. Sources: Luger 2023 (papers/001), tables 5.1 to 5.3, and torchvision's AlexNet and VGG16, which it uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import keras

Kind = Literal["conv", "relu", "pool", "average", "dense", "softmax"]
Shape = tuple[int, ...]
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Layer:
    """One layer of a chain; `size` is its channels or neurons, of an `average` the side of what it leaves."""

    kind: Kind
    size: int = 0
    kernel: int = 0
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True)
class Chain:
    """A network: the side and channels of its square input, and its layers."""

    name: str
    side: int
    channels: int
    layers: tuple[Layer, ...]

    def thin(self, divisor: int) -> Chain:
        """Return the same network with a fraction of its channels and neurons; the last layer with any keeps its."""
        last = max(place for place, layer in enumerate(self.layers) if layer.kind in {"conv", "dense"})
        layers = [
            replace(layer, size=max(1, layer.size // divisor))
            if layer.kind in {"conv", "dense"} and place != last
            else layer
            for place, layer in enumerate(self.layers)
        ]
        return replace(self, layers=tuple(layers))


@dataclass(frozen=True)
class Row:
    """One layer of a chain as the table shows it; without a cut point its output never leaves LiteRT's operator."""

    number: int
    name: str
    text: str
    shape: Shape
    bytes: int
    cut_point: str | None
    note: str


def rows(chain: Chain) -> Iterator[Row]:
    """Yield every layer with its number, shape (height, width, channels), float32 bytes and cut point."""
    shape: Shape = (chain.side, chain.side, chain.channels)
    before, last = "image", len(chain.layers)
    for number, layer in enumerate(chain.layers, 1):
        name, text = f"{layer.kind}_{number}", _text(layer, shape)
        is_nothing = layer.kind == "average" and shape[0] == layer.size
        shape = after(layer, shape)
        follower = chain.layers[number] if number < last else None
        cut: str | None = name
        note = ""
        if follower and follower.kind == "relu":
            cut, note = None, f"in one operator with layer {number + 1}"
        elif is_nothing:
            cut, note = before, f"changes nothing at this size: as {before}"
        elif number == last:
            cut, note = "device", "the whole network"
        before = cut or before
        yield Row(number, name, text, shape, FLOAT_BYTES * _count(shape), cut, note)


def cut_points(chain: Chain) -> tuple[str, ...]:
    """Return the cut points that are the output of a layer of the document, in order."""
    return tuple(dict.fromkeys(row.cut_point for row in rows(chain) if row.cut_point not in {None, "device"}))


def after(layer: Layer, shape: Shape) -> Shape:
    """Return the shape behind a layer. Source: PyTorch's Conv2d and MaxPool2d (rounded down)."""
    if layer.kind == "dense":
        return (layer.size,)
    if layer.kind == "average":
        return (layer.size, layer.size, shape[2])
    if layer.kind in {"conv", "pool"}:
        side = (shape[0] + 2 * layer.padding - layer.kernel) // layer.stride + 1
        return (side, side, layer.size if layer.kind == "conv" else shape[2])
    return shape


def _count(shape: Shape) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _text(layer: Layer, before: Shape) -> str:
    """Return a layer as PyTorch prints it."""
    extras = [f"stride={layer.stride}"] if layer.stride != 1 else []
    extras += [f"padding={layer.padding}"] if layer.padding else []
    kernel = ", ".join([f"kernel_size={layer.kernel}", *extras])
    return {
        "conv": f"Conv2d({before[-1]}, {layer.size}, {kernel})",
        "relu": "ReLU()",
        "pool": f"MaxPool2d({kernel})",
        "average": f"AdaptiveAvgPool2d(({layer.size}, {layer.size}))",
        "dense": f"Linear({_count(before)}, {layer.size})",
        "softmax": "Softmax(dim=1)",
    }[layer.kind]


def build(chain: Chain, output: str, seed: int = 0) -> keras.Model:
    """Return the network from a picture to {output: scores}, its weights random by the seed and of even size.

    LiteRT names what a convolution and its ReLU give after the ReLU, and what a dense layer and its ReLU give after the
    dense layer; one Keras layer for the latter pair gives both cut points the name of the layer behind which they lie.
    """
    import keras

    image = x = keras.Input((chain.side, chain.side, chain.channels), name="image")
    for number, layer in enumerate(chain.layers, 1):
        previous, following = _kind(chain, number - 1), _kind(chain, number + 1)
        if (layer.kind == "relu" and previous == "dense") or (layer.kind == "average" and x.shape[1] == layer.size):
            continue
        if layer.kind == "dense" and len(x.shape) == 4:
            x = keras.layers.Flatten(name="flatten")(x)
        if layer.kind == "conv" and layer.padding and not _is_same(layer):
            x = keras.layers.ZeroPadding2D(layer.padding, name=f"pad_{number}")(x)
        is_pair = layer.kind == "dense" and following == "relu"
        name = f"relu_{number + 1}" if is_pair else f"{layer.kind}_{number}"
        x = _keras_layer(layer, name, x.shape[1], seed + number, "relu" if is_pair else None)(x)
    return keras.Model(image, {output: x}, name=chain.name.replace("-", "_"))


def _kind(chain: Chain, number: int) -> Kind | None:
    return chain.layers[number - 1].kind if 1 <= number <= len(chain.layers) else None


def _is_same(layer: Layer) -> bool:
    """Tell whether PyTorch's padding is what Keras calls "same": one step, and the side stays as it is."""
    return layer.stride == 1 and 2 * layer.padding == layer.kernel - 1


def _keras_layer(layer: Layer, name: str, side: int, seed: int, activation: str | None) -> keras.Layer:
    import keras

    weights = {"kernel_initializer": keras.initializers.HeNormal(seed), "activation": activation, "name": name}
    match layer.kind:
        case "conv":
            padding = "same" if layer.padding and _is_same(layer) else "valid"
            return keras.layers.Conv2D(layer.size, layer.kernel, layer.stride, padding, **weights)
        case "dense":
            return keras.layers.Dense(layer.size, **weights)
        case "pool":
            return keras.layers.MaxPooling2D(layer.kernel, layer.stride, name=name)
        case "average":  # one side less: then every window of PyTorch's has the same size
            return keras.layers.AveragePooling2D(side - layer.size + 1, 1, name=name)
        case "relu":
            return keras.layers.ReLU(name=name)
        case "softmax":
            return keras.layers.Softmax(name=name)
