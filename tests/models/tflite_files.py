"""Tiny .tflite files made by hand with LiteRT's own schema, no TensorFlow needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
    "string": schema.TensorType.STRING,
    "resource": schema.TensorType.RESOURCE,
}


class Maker:
    """Collects tensors and operators of one graph and writes them as a .tflite file."""

    def __init__(self, seed: int = 5) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes, self.model.signatureDefs = [], []
        self.model.buffers = [schema.BufferT()]
        self.model.subgraphs = []
        self.random = np.random.default_rng(seed)
        self.graph()

    def graph(self) -> None:
        """Start another subgraph."""
        self.sub = schema.SubGraphT()
        self.sub.tensors, self.sub.operators, self.sub.inputs, self.sub.outputs = [], [], [], []
        self.model.subgraphs.append(self.sub)

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "float32",
        *,
        data=None,
        open_batch: bool = True,
        scale: Sequence[float] | float | None = None,
        zero_point: int = 0,
        variable: bool = False,
    ) -> int:
        """Add a tensor; with `data` it is a constant."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.isVariable = name.encode(), list(shape), TYPES[dtype], variable
        tensor.hasRank = True
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        elif open_batch and shape:
            tensor.shapeSignature = [-1, *shape[1:]]
        if scale is not None:
            scales = [scale] if isinstance(scale, float) else list(scale)
            quantization = schema.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint = scales, [zero_point] * len(scales)
            quantization.quantizedDimension = 0
            tensor.quantization = quantization
        self.sub.tensors.append(tensor)
        return len(self.sub.tensors) - 1

    def weights(self, name: str, shape: Sequence[int], dtype: str = "float32", **options) -> int:
        """Add a constant of random numbers."""
        if dtype == "int8":
            values = self.random.integers(-127, 128, shape).astype(np.int8)
        elif dtype == "int32":
            values = self.random.integers(-1000, 1000, shape).astype(np.int32)
        else:
            values = self.random.normal(0, 0.5, shape).astype(dtype)
        return self.tensor(name, shape, dtype, data=values, **options)

    def operator(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], options=None, *, version: int = 1,
                 custom: bytes | None = None, options2: bool = False) -> None:  # fmt: skip
        """Add an operator; `kind` is the name of a built-in operator, or of a custom one when `custom` is given."""
        code = schema.OperatorCodeT()
        number = schema.BuiltinOperator.CUSTOM if custom is not None else getattr(schema.BuiltinOperator, kind)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
        code.customCode = kind.encode() if custom is not None else None
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if custom is not None:
            operator.customOptions = np.frombuffer(custom, np.uint8)
        if options is not None:
            union = schema.BuiltinOptions2 if options2 else schema.BuiltinOptions
            tag = getattr(union, type(options).__name__[:-1])
            if options2:
                operator.builtinOptions2Type, operator.builtinOptions2 = tag, options
            else:
                operator.builtinOptionsType, operator.builtinOptions = tag, options
        self.sub.operators.append(operator)

    def ends(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Set the inputs and outputs of the graph."""
        self.sub.inputs, self.sub.outputs = list(inputs), list(outputs)

    def signature(self, key: str, inputs: dict[str, int], outputs: dict[str, int], graph: int = 0) -> None:
        """Add a signature."""
        definition = schema.SignatureDefT()
        definition.signatureKey, definition.subgraphIndex = key.encode(), graph
        for field, names in (("inputs", inputs), ("outputs", outputs)):
            entries = []
            for name, index in names.items():
                entry = schema.TensorMapT()
                entry.name, entry.tensorIndex = name.encode(), index
                entries.append(entry)
            setattr(definition, field, entries)
        self.model.signatureDefs.append(definition)

    def metadata(self, name: str, data: bytes) -> None:
        """Add a metadata entry with its buffer."""
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.model.buffers.append(buffer)
        entry.name, entry.buffer = name.encode(), len(self.model.buffers) - 1
        self.model.metadata = [*(self.model.metadata or []), entry]

    def file(self) -> bytes:
        """Return the .tflite file."""
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def conv(
        self, name: str, source: int, shape: Sequence[int], channels: int, *, stride: int = 1, kernel: int = 3
    ) -> int:
        """Add a 3 x 3 convolution with ReLU6 and return its output; `shape` is that of its input."""
        weights = self.weights(f"{name}/kernel", (channels, kernel, kernel, shape[3]))
        bias = self.weights(f"{name}/bias", (channels,))
        out = self.tensor(f"net_1/{name}_1/Relu6;net_1/{name}_1/add",
                          (1, shape[1] // stride, shape[2] // stride, channels))  # fmt: skip
        self.operator("CONV_2D", [source, weights, bias], [out], conv_options(stride))
        return out


def conv_options(stride: int = 1) -> schema.Conv2DOptionsT:
    options = schema.Conv2DOptionsT()
    options.padding, options.strideW, options.strideH = schema.Padding.SAME, stride, stride
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    options.dilationWFactor = options.dilationHFactor = 1
    return options


def add_options() -> schema.AddOptionsT:
    return schema.AddOptionsT()


def softmax_options() -> schema.SoftmaxOptionsT:
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    return options


def dense(maker: Maker, name: str, source: int, inputs: int, outputs: int) -> int:
    """Add a fully connected layer and return its output."""
    weights, bias = maker.weights(f"{name}/kernel", (outputs, inputs)), maker.weights(f"{name}/bias", (outputs,))
    out = maker.tensor(f"net_1/{name}_1/BiasAdd", (1, outputs))
    maker.operator("FULLY_CONNECTED", [source, weights, bias], [out], schema.FullyConnectedOptionsT())
    return out


def mean(maker: Maker, source: int, channels: int) -> int:
    """Add a global average pooling and return its output."""
    axes = maker.tensor("axes", (2,), "int32", data=np.array([1, 2], np.int32))
    out = maker.tensor("net_1/pool_1/Mean", (1, channels))
    maker.operator("MEAN", [source, axes], [out], schema.ReducerOptionsT())
    return out


def residual() -> bytes:
    """A small classifier: conv, conv + skip, depthwise-free, pooling, dense, softmax; open batch, one signature."""
    maker = Maker()
    picture = maker.tensor("serving_default_picture:0", (1, 8, 8, 3))
    first = maker.conv("conv_a", picture, (1, 8, 8, 3), 4)
    second = maker.conv("conv_b", first, (1, 8, 8, 4), 4)
    joined = maker.tensor("net_1/add_1/Add", (1, 8, 8, 4))
    maker.operator("ADD", [first, second], [joined], add_options())
    last = maker.conv("conv_c", joined, (1, 8, 8, 4), 6, stride=2)
    scores = dense(maker, "scores", mean(maker, last, 6), 6, 3)
    out = maker.tensor("StatefulPartitionedCall:0", (1, 3))
    maker.operator("SOFTMAX", [scores], [out], softmax_options())
    maker.ends([picture], [out])
    maker.signature("serving_default", {"picture": picture}, {"scores": out})
    maker.metadata("min_runtime_version", b"1.14.0\0\0\0\0\0\0\0\0\0\0")
    maker.metadata("TFLITE_METADATA", b"describes the whole model's inputs")
    return maker.file()


def early_exit(early_name: str = "exit1/kind") -> bytes:
    """A classifier with an early exit behind its first convolution: outputs "exit1/kind" and "kind"."""
    maker = Maker()
    picture = maker.tensor("picture", (1, 8, 8, 3))
    first = maker.conv("conv_a", picture, (1, 8, 8, 3), 4)
    early = dense(maker, "exit_scores", mean(maker, first, 4), 4, 3)
    second = maker.conv("conv_b", first, (1, 8, 8, 4), 5)
    final = dense(maker, "scores", mean(maker, second, 5), 5, 3)
    maker.ends([picture], [early, final])
    maker.signature("serving_default", {"picture": picture}, {early_name: early, "kind": final})
    return maker.file()


def exits_behind(places: Mapping[str, str], *, softmax: bool = False, also: str = "") -> bytes:
    """A classifier with an exit of logits behind each of these places: "picture", "conv_a" or "conv_b".

    `also` is a second output of the end, which no exit has.
    """
    maker = Maker()
    found = {"picture": (maker.tensor("picture", (1, 8, 8, 3)), 3)}
    found["conv_a"] = (maker.conv("conv_a", found["picture"][0], (1, 8, 8, 3), 4), 4)
    found["conv_b"] = (maker.conv("conv_b", found["conv_a"][0], (1, 8, 8, 4), 5), 5)
    outputs = {}
    for name, place in {**places, "": "conv_b"}.items():
        source, channels = found[place]
        scores = dense(maker, f"scores_{name}", mean(maker, source, channels), channels, 3)
        outputs[f"{name}/kind".removeprefix("/")] = scores
    if also:
        outputs[also] = dense(maker, f"scores_{also}", mean(maker, found["conv_b"][0], 5), 5, 2)
    if softmax:
        outputs["kind"] = maker.tensor("probabilities", (1, 3))
        maker.operator("SOFTMAX", [scores], [outputs["kind"]], softmax_options())
    maker.ends([found["picture"][0]], list(outputs.values()))
    maker.signature("serving_default", {"picture": found["picture"][0]}, outputs)
    return maker.file()


def open_size() -> bytes:
    """Two convolutions over a picture of any size; the second has no padding and needs at least 3 x 3 pixels."""
    maker = Maker()
    picture = maker.tensor("picture", (1, 1, 1, 3))
    first = maker.conv("conv_a", picture, (1, 1, 1, 3), 4)
    second = maker.conv("conv_b", first, (1, 1, 1, 4), 2)
    maker.sub.operators[-1].builtinOptions.padding = schema.Padding.VALID
    for index in (picture, first, second):
        maker.sub.tensors[index].shapeSignature = [-1, -1, -1, maker.sub.tensors[index].shape[3]]
    maker.ends([picture], [second])
    return maker.file()


def two_inputs() -> bytes:
    """Two pictures through a convolution each, added, then one more convolution."""
    maker = Maker()
    left, right = maker.tensor("left", (1, 8, 8, 3)), maker.tensor("right", (1, 8, 8, 3))
    ends = [maker.conv("conv_l", left, (1, 8, 8, 3), 4), maker.conv("conv_r", right, (1, 8, 8, 3), 4)]
    joined = maker.tensor("joined", (1, 8, 8, 4))
    maker.operator("ADD", ends, [joined], add_options())
    out = maker.conv("conv_o", joined, (1, 8, 8, 4), 2)
    maker.ends([left, right], [out])
    return maker.file()


def half_weights() -> bytes:
    """Weights kept as float16 behind DEQUANTIZE, and a sum of two constants that both sides of the cut use."""
    maker = Maker()
    picture = maker.tensor("picture", (1, 8, 8, 3))
    offsets = [maker.weights(f"offset_{side}", (4,)) for side in "ab"]
    offset = maker.tensor("offset", (4,), open_batch=False)
    maker.operator("ADD", offsets, [offset], add_options())
    source, channels = picture, 3
    for name in ("first", "second"):
        half = maker.weights(f"{name}/half", (4, 3, 3, channels), "float16")
        full = maker.tensor(f"{name}/kernel", (4, 3, 3, channels), open_batch=False)
        maker.operator("DEQUANTIZE", [half], [full], schema.DequantizeOptionsT())
        out = maker.tensor(name, (1, 8, 8, 4))
        maker.operator("CONV_2D", [source, full, maker.weights(f"{name}/bias", (4,))], [out], conv_options())
        moved = maker.tensor(f"{name}_moved", (1, 8, 8, 4))
        maker.operator("ADD", [out, offset], [moved], add_options())
        source, channels = moved, 4
    maker.ends([picture], [source])
    return maker.file()


def quantised(scale: float = 0.05) -> bytes:
    """Two int8 convolutions with a scale per channel, then a reshape and int8 scores; made for one picture only."""
    maker = Maker()
    picture = maker.tensor("picture", (1, 4, 4, 3), "int8", scale=0.01, zero_point=-3, open_batch=False)
    source, channels = picture, 3
    for name, place in (("first", 4), ("second", -7)):
        scales = [0.01, 0.02, 0.03, 0.04]
        kernel = maker.weights(f"{name}/kernel", (4, 3, 3, channels), "int8", scale=scales)
        step = 0.01 if source == picture else scale
        bias = maker.weights(f"{name}/bias", (4,), "int32", scale=[step * one for one in scales])
        out = maker.tensor(name, (1, 4, 4, 4), "int8", scale=scale, zero_point=place, open_batch=False)
        maker.operator("CONV_2D", [source, kernel, bias], [out], conv_options(), version=3)
        source, channels = out, 4
    size = maker.tensor("size", (2,), "int32", data=np.array([1, 64], np.int32))
    flat = maker.tensor("flat", (1, 64), "int8", scale=scale, zero_point=-7, open_batch=False)
    reshape = schema.ReshapeOptionsT()
    reshape.newShape = [1, 64]
    maker.operator("RESHAPE", [source, size], [flat], reshape)
    out = maker.tensor("scores", (1, 64), "int8", scale=1 / 256, zero_point=-128, open_batch=False)
    maker.operator("SOFTMAX", [flat], [out], softmax_options(), version=2)
    maker.ends([picture], [out])
    return maker.file()


def no_cut() -> bytes:
    """The picture reaches the only output on two ways that share nothing."""
    maker = Maker()
    picture = maker.tensor("picture", (1, 4, 4, 3))
    ways = [maker.conv(name, picture, (1, 4, 4, 3), 2) for name in ("left", "right")]
    out = maker.tensor("out", (1, 4, 4, 2))
    maker.operator("ADD", ways, [out], add_options())
    maker.ends([picture], [out])
    return maker.file()


def custom(name: str = "Sharpen", data: bytes = b"\x01\x02\x03") -> bytes:
    """A convolution, an operator that is not built in, a convolution."""
    maker = Maker()
    picture = maker.tensor("picture", (1, 4, 4, 3))
    first = maker.conv("first", picture, (1, 4, 4, 3), 3)
    sharp = maker.tensor("sharp", (1, 4, 4, 3))
    maker.operator(name, [first], [sharp], custom=data)
    out = maker.conv("last", sharp, (1, 4, 4, 3), 2)
    maker.ends([picture], [out])
    return maker.file()


def split() -> bytes:
    """One operator with two outputs, both needed later: a cut before and after, none between."""
    maker = Maker()
    picture = maker.tensor("picture", (1, 4, 4, 4))
    first = maker.conv("first", picture, (1, 4, 4, 4), 4)
    axis = maker.tensor("axis", (), "int32", data=np.array(3, np.int32))
    halves = [maker.tensor(f"half_{side}", (1, 4, 4, 2)) for side in "ab"]
    options = schema.SplitOptionsT()
    options.numSplits = 2
    maker.operator("SPLIT", [axis, first], halves, options)
    joined = maker.tensor("joined", (1, 4, 4, 2))
    maker.operator("ADD", halves, [joined], add_options())
    out = maker.conv("last", joined, (1, 4, 4, 2), 2)
    maker.ends([picture], [out])
    return maker.file()


def two_signatures() -> bytes:
    """Two graphs in one file, each with its signature: "small" and "large"."""
    maker = Maker()
    for number, (key, channels) in enumerate((("small", 2), ("large", 4))):
        if number:
            maker.graph()
        picture = maker.tensor("picture", (1, 4, 4, 3))
        first = maker.conv("first", picture, (1, 4, 4, 3), channels)
        out = maker.conv("last", first, (1, 4, 4, channels), channels)
        maker.ends([picture], [out])
        maker.signature(key, {"picture": picture}, {"answer": out}, number)
    return maker.file()


def control_flow() -> bytes:
    """A picture through an IF with two further graphs."""
    maker = Maker()
    condition = maker.tensor("condition", (1,), "int32", open_batch=False)
    picture, out = maker.tensor("picture", (1, 4)), maker.tensor("out", (1, 4))
    options = schema.IfOptionsT()
    options.thenSubgraphIndex, options.elseSubgraphIndex = 1, 2
    maker.operator("IF", [condition, picture], [out], options)
    maker.ends([condition, picture], [out])
    for _ in range(2):
        maker.graph()
        same = maker.tensor("picture", (1, 4))
        doubled = maker.tensor("doubled", (1, 4))
        maker.operator("ADD", [same, same], [doubled], add_options())
        maker.ends([same], [doubled])
    return maker.file()


def stateful() -> bytes:
    """A graph with a variable tensor."""
    maker = Maker()
    picture, out = maker.tensor("picture", (1, 4)), maker.tensor("out", (1, 4))
    state = maker.tensor("state", (1, 4), variable=True)
    maker.operator("ADD", [picture, state], [out], add_options())
    maker.ends([picture], [out])
    return maker.file()


RUNNABLE: dict[str, Callable[[], bytes]] = {
    "residual": residual,
    "early_exit": early_exit,
    "two_inputs": two_inputs,
    "half_weights": half_weights,
    "quantised": quantised,
    "split": split,
    "no_cut": no_cut,
}


def _pool_options() -> schema.Pool2DOptionsT:
    options = schema.Pool2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideW = options.strideH = options.filterWidth = options.filterHeight = 2
    return options


def _depthwise_options() -> schema.DepthwiseConv2DOptionsT:
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.depthMultiplier = schema.Padding.SAME, 1
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    return options


def many_kinds() -> bytes:
    """A chain of two dozen kinds of operators that cameras' networks use."""
    maker = Maker()
    picture = last = maker.tensor("picture", (1, 8, 8, 4))

    def step(kind: str, shape: Sequence[int], *more: int, options=None, first: bool = True, version: int = 1) -> int:
        nonlocal last
        out = maker.tensor(f"{kind.lower()}_{len(maker.sub.operators)}", shape)
        maker.operator(kind, [last, *more] if first else [*more, last], [out], options, version=version)
        last = out
        return out

    def numbers(name: str, *values: int) -> int:
        return maker.tensor(name, (len(values),), "int32", data=np.array(values, np.int32))

    pads = maker.tensor("pads", (4, 2), "int32", data=np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    step("PAD", (1, 10, 10, 4), pads, options=schema.PadOptionsT())
    begin, size = numbers("begin", 0, 1, 1, 0), numbers("size", -1, 8, 8, 4)
    step("SLICE", (1, 8, 8, 4), begin, size, options=schema.SliceOptionsT())
    kernel, bias = maker.weights("dw/kernel", (1, 3, 3, 4)), maker.weights("dw/bias", (4,))
    step("DEPTHWISE_CONV_2D", (1, 8, 8, 4), kernel, bias, options=_depthwise_options())
    step("HARD_SWISH", (1, 8, 8, 4), options=schema.HardSwishOptionsT())
    step("MAX_POOL_2D", (1, 4, 4, 4), options=_pool_options())
    resize = schema.ResizeBilinearOptionsT()
    step("RESIZE_BILINEAR", (1, 8, 8, 4), numbers("resized", 8, 8), options=resize)
    step("AVERAGE_POOL_2D", (1, 4, 4, 4), options=_pool_options())
    step("PRELU", (1, 4, 4, 4), maker.weights("slopes", (1, 1, 4)))
    step("MUL", (1, 4, 4, 4), maker.weights("factors", (4,)), options=schema.MulOptionsT())
    leaky = schema.LeakyReluOptionsT()
    leaky.alpha = 0.1
    step("LEAKY_RELU", (1, 4, 4, 4), options=leaky)
    joined = schema.ConcatenationOptionsT()
    joined.axis = 3
    step("CONCATENATION", (1, 4, 4, 8), last, options=joined)
    step("TRANSPOSE", (1, 8, 4, 4), numbers("order", 0, 3, 1, 2), options=schema.TransposeOptionsT())
    blocks = schema.SpaceToDepthOptionsT()
    blocks.blockSize = 2
    step("SPACE_TO_DEPTH", (1, 4, 2, 16), options=blocks)
    slices = schema.StridedSliceOptionsT()
    slices.beginMask = slices.endMask = 1
    ends = [numbers("from", 0, 0, 0, 0), numbers("until", 0, 4, 2, 8), numbers("strides", 1, 1, 1, 1)]
    step("STRIDED_SLICE", (1, 4, 2, 8), *ends, options=slices)
    gather = schema.GatherOptionsT()
    gather.axis = 3
    step("GATHER", (1, 4, 2, 4), numbers("places", 3, 1, 0, 7), options=gather)
    up = schema.TransposeConvOptionsT()
    up.padding, up.strideW, up.strideH = schema.Padding.SAME, 2, 2
    weights, whole = maker.weights("up/kernel", (3, 2, 2, 4)), numbers("up/size", 1, 8, 4, 3)
    step("TRANSPOSE_CONV", (1, 8, 4, 3), whole, weights, options=up, first=False)
    parts = [maker.tensor(f"part_{side}", (1, 4, 4, 3)) for side in "ab"]
    sizes, axis = numbers("sizes", 4, 4), maker.tensor("axis", (), "int32", data=np.array(1, np.int32))
    options = schema.SplitVOptionsT()
    options.numSplits = 2
    maker.operator("SPLIT_V", [last, sizes, axis], parts, options)
    last = parts[0]
    step("SUB", (1, 4, 4, 3), parts[1], options=schema.SubOptionsT())
    reducer = schema.ReducerOptionsT()
    step("SUM", (1, 4, 3), numbers("over", 1), options=reducer)
    step("BATCH_MATMUL", (1, 4, 5), maker.weights("matrix", (1, 3, 5)), options=schema.BatchMatMulOptionsT())
    unpack = schema.UnpackOptionsT()
    unpack.num, unpack.axis = 2, 2
    step("LOGISTIC", (1, 4, 5))
    shaped = schema.ReshapeOptionsT()
    shaped.newShape = [-1, 10, 2]
    step("RESHAPE", (1, 10, 2), numbers("form", -1, 10, 2), options=shaped)
    rows = [maker.tensor(f"row_{side}", (1, 10)) for side in "ab"]
    maker.operator("UNPACK", [last], rows, unpack)
    pack = schema.PackOptionsT()
    pack.valuesCount, pack.axis = 2, 1
    packed = maker.tensor("packed", (1, 2, 10))
    maker.operator("PACK", rows, [packed], pack)
    last = packed
    squeeze = schema.SqueezeOptionsT()
    step("EXPAND_DIMS", (1, 1, 2, 10), numbers("at", 1), options=schema.ExpandDimsOptionsT())
    squeeze.squeezeDims = [1]
    step("SQUEEZE", (1, 2, 10), options=squeeze)
    step("TILE", (1, 4, 10), numbers("times", 1, 2, 1), options=schema.TileOptionsT())
    step("TANH", (1, 4, 10))
    step("L2_NORMALIZATION", (1, 4, 10), options=schema.L2NormOptionsT())
    maker.ends([picture], [last])
    return maker.file()


RUNNABLE["many_kinds"] = many_kinds
