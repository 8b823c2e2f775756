"""Run parts of one model with LiteRT; a part is taken out of the file when it is first asked for, and kept."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput, CutError, RunError
from models.graph import Graph, TensorName
from models.runtime import new_interpreter
from models.structure import TRAVELS

Array = NDArray[Any]
Shape = tuple[int, ...]
Ends = tuple[int, ...]
"""The tensors at one end of a part, by their numbers."""
P = TypeVar("P")
IMAGE, DEVICE = "image", "device"
_REFUSALS = (ValueError, RuntimeError, MemoryError)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a part takes or gives, with the batch in `shape`; `scale` 0.0 means not quantised.

    `name` is the signature's name where there is one, else the short name; `tensor` is the name in the file; sizes that
    the model leaves open are -1 in `shape_signature`.
    """

    name: str
    shape: Shape
    dtype: str
    scale: float
    zero_point: int
    tensor: str
    shape_signature: Shape


class Part:
    """A piece of a model, ready to run; for one thread at a time."""

    rows_at_once = 1
    """How many rows one run should be given: on a CPU LiteRT gains nothing from more."""

    def __init__(
        self,
        label: str,
        content: bytes,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        threads: int = 1,
        xnnpack: bool = True,
    ) -> None:
        self.label, self.inputs = label, tuple(inputs)
        self._content, self.threads, self._xnnpack = content, threads, xnnpack
        for spec in (*inputs, *outputs):
            if spec.dtype not in TRAVELS:
                raise RunError(label, f"{spec.name} holds {spec.dtype}, which numpy has not", "cut elsewhere")
        self._dtypes = [np.dtype(spec.dtype) for spec in inputs]
        self._declared = [spec.shape for spec in inputs]
        self._is_open = any(-1 in spec.shape_signature[1:] for spec in inputs)  # only a run tells the size
        self._batches: bool | None = None  # not known before the first batch was compared with its rows
        self._load()
        details = self._interpreter.get_output_details()
        self._output_places = [detail["index"] for detail in details]
        shapes = (tuple(map(int, detail["shape"])) for detail in details)
        self.outputs = tuple(replace(spec, shape=shape) for spec, shape in zip(outputs, shapes, strict=True))

    @property
    def nbytes(self) -> int:
        """The size of the part as a .tflite file."""
        return len(self._content)

    def _load(self) -> None:
        """Make the interpreter anew, with the shapes of the file."""
        try:
            self._interpreter = new_interpreter(self._content, self.threads, self._xnnpack)
            if not self._is_open:
                self._interpreter.allocate_tensors()
        except _REFUSALS as error:
            raise RunError(self.label, one_line(error), "convert the model for the runtime installed here") from error
        self._input_places = [detail["index"] for detail in self._interpreter.get_input_details()]
        self._shapes = [] if self._is_open else self._declared

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """Return the outputs for these inputs, in the order of the specs, as arrays of the caller's own.

        A size that the model leaves open may be any. A batch gives for each row what a run of that row alone gives, bit
        for bit: the first batch is also run row by row, and where LiteRT's answers differ or the model takes one
        picture only, all batches are run so.

        Raises:
            BadInput: an array does not fit.
            RunError: LiteRT refused.
        """
        shapes = [array.shape for array in arrays]
        if shapes != self._shapes:
            self._check_shapes(shapes)
            if shapes != self._declared and _is_batch(shapes, self._declared):
                return self._run_batch(arrays, shapes)
            self._resize(shapes)
        return self._invoke(arrays)

    def _invoke(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        interpreter = self._interpreter
        for place, array, dtype, spec in zip(self._input_places, arrays, self._dtypes, self.inputs, strict=True):
            if array.dtype != dtype:
                raise BadInput(self.label, spec.name, f"{array.dtype} numbers", spec.dtype)
            interpreter.set_tensor(place, array)
        try:
            interpreter.invoke()
        except _REFUSALS as error:
            raise RunError(self.label, one_line(error), "run `headwater models cuts` on it to look closer") from error
        return tuple(interpreter.get_tensor(place) for place in self._output_places)

    def _run_batch(self, arrays: Sequence[Array], shapes: list[Shape]) -> tuple[Array, ...]:
        open_batch = all(_fits(shape, spec.shape_signature) for spec, shape in zip(self.inputs, shapes, strict=True))
        if self._batches and open_batch:
            self._resize(shapes)
            return self._invoke(arrays)
        rows = [self.run(*(array[row : row + 1] for array in arrays)) for row in range(shapes[0][0])]
        joined = tuple(np.concatenate([np.atleast_1d(row) for row in column]) for column in zip(*rows, strict=True))
        if self._batches is None:
            self._batches = open_batch and self._same_as_batch(arrays, shapes, joined)
            if not self._batches:
                self._resize(self._declared)
        return joined

    def _same_as_batch(self, arrays: Sequence[Array], shapes: list[Shape], expected: Sequence[Array]) -> bool:
        try:
            self._resize(shapes)
            got = self._invoke(arrays)
        except RunError:
            return False
        return all(a.tobytes() == b.tobytes() for a, b in zip(got, expected, strict=True))

    def warm_up(self, runs: int = 1) -> None:
        """Run on zeros, so that the first real run does not pay for what LiteRT prepares late."""
        zeros = [np.zeros(spec.shape, dtype) for spec, dtype in zip(self.inputs, self._dtypes, strict=True)]
        for _ in range(runs):
            self.run(*zeros)

    def _resize(self, shapes: list[Shape]) -> None:
        """Give the interpreter these input shapes."""
        try:
            for place, shape in zip(self._input_places, shapes, strict=True):
                self._interpreter.resize_tensor_input(place, shape)
            self._interpreter.allocate_tensors()
        except _REFUSALS as error:
            self._load()
            raise RunError(self.label, one_line(error), f"it does not take inputs of {shapes}") from error
        self._shapes = shapes

    def _check_shapes(self, shapes: list[Shape]) -> None:
        """Raise BadInput unless the shapes are what the model takes, or a batch of it."""
        if len(shapes) != len(self.inputs):
            raise BadInput(self.label, "all", f"{len(shapes)} arrays", f"{len(self.inputs)}")
        batch = _is_batch(shapes, self._declared)
        for spec, shape in zip(self.inputs, shapes, strict=True):
            if 0 in shape or not (batch or _fits(shape, spec.shape_signature)):
                expected = ", ".join("any" if size == -1 else str(size) for size in spec.shape_signature)
                raise BadInput(self.label, spec.name, f"shape {shape}", f"({expected})")


def _fits(shape: Shape, signature: Shape) -> bool:
    return len(shape) == len(signature) and all(s in (-1, size) for s, size in zip(signature, shape, strict=True))


def _is_batch(shapes: Sequence[Shape], single: Sequence[Shape]) -> bool:
    """Return whether `shapes` are those of a single run but for one common number of rows."""
    alike = all(shape[1:] == one[1:] and one[:1] == (1,) for shape, one in zip(shapes, single, strict=True))
    return alike and len({shape[:1] for shape in shapes}) == 1


def one_line(error: Exception) -> str:
    """Return what an error says, short and in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


class Parts(ABC, Generic[P]):
    """Parts of one model file, each made when first asked for; the last few stay ready."""

    def __init__(self, graph: Graph, max_cached_parts: int) -> None:
        self.graph, self._max_cached_parts = graph, max(1, max_cached_parts)
        self._parts: OrderedDict[tuple[Ends, Ends], P] = OrderedDict()
        self._lock = threading.Lock()

    @abstractmethod
    def new_part(self, first: Ends, last: Ends) -> P:
        """Return the part between some tensors, warmed up."""

    def whole(self) -> P:
        """Return the whole model as one part."""
        return self.part(None, None)

    def head(self, split: str) -> P:
        """Return the part from the model's inputs to the split; "device" is the whole model."""
        if split == IMAGE:
            raise CutError(self.graph.origin, 'the split "image" has no head', "send the picture")
        return self.whole() if split == DEVICE else self.part(None, [split])

    def tail(self, split: str) -> P:
        """Return the part from the split to the final outputs; "image" is the whole model."""
        if split == DEVICE:
            raise CutError(self.graph.origin, 'the split "device" has no tail', "the device has finished")
        return self.whole() if split == IMAGE else self.part([split], None)

    def part(self, from_: Sequence[TensorName] | None, to: Sequence[TensorName] | None) -> P:
        """Return the part between some tensors, warmed up; None stands for the model's own inputs or outputs."""
        key = self.graph.ends(from_, to)
        with self._lock:
            return self._kept(key)

    def _kept(self, key: tuple[Ends, Ends]) -> P:
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = self.new_part(*key)
            while len(self._parts) > self._max_cached_parts:
                self._parts.popitem(last=False)
        self._parts.move_to_end(key)
        return part

    def label(self, first: Ends, last: Ends) -> str:
        """Return what a part is called in messages."""
        names = [", ".join(map(self.graph.tensor_name, ends)) for ends in (first, last)]
        return f"the part {names[0]} to {names[1]} of {self.graph.origin}"

    def specs(self, ends: Ends) -> list[TensorSpec]:
        """Return what the file says of some tensors."""
        return [_spec(self.graph, index) for index in ends]


class Engine(Parts[Part]):
    """Parts of one model file that LiteRT runs."""

    def __init__(
        self,
        model: Path | bytes,
        *,
        threads: int = 1,
        xnnpack: bool = True,
        max_cached_parts: int = 8,
        signature: str | None = None,
        outputs: Sequence[TensorName] | None = None,
    ) -> None:
        """Read the model.

        Args:
            model: the .tflite file or its bytes
            threads: LiteRT threads of each part
            xnnpack: run with the XNNPACK kernels
            max_cached_parts: parts kept ready; the one not used for longest goes first
            signature: the signature to use, of a file with several
            outputs: the final outputs, when not all (a model with early exits)
        """
        super().__init__(Graph.read(model, signature=signature, outputs=outputs), max_cached_parts)
        self.threads, self.xnnpack = threads, xnnpack

    def new_part(self, first: Ends, last: Ends) -> Part:
        """Return the part between some tensors, warmed up."""
        content, label = self.graph.extract(first, last), self.label(first, last)
        inputs, outputs = self.specs(first), self.specs(last)
        part = Part(label, content, inputs, outputs, threads=self.threads, xnnpack=self.xnnpack)
        if all(-1 not in spec.shape_signature[1:] for spec in inputs):
            part.warm_up()
        return part


def _spec(graph: Graph, index: int) -> TensorSpec:
    tensor = graph.tensors[index]
    return TensorSpec(
        name=graph.tensor_name(index),
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=tensor.scale,
        zero_point=tensor.zero_point,
        tensor=tensor.name,
        shape_signature=tensor.shape_signature,
    )
