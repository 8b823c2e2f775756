"""Every error about models that is reported to a person.

ModelError                  one line on stderr, exit status 2
├── ModelFileError          the bytes are not a usable .tflite file
├── UnsupportedModel        a valid file with something that cannot be cut
├── TensorNotFound          a name that is no tensor of the model
├── NoCutPoint              no tensor that all paths pass through
├── CutError                the asked part cannot be taken out of the graph
├── RuntimeMissing          no LiteRT is installed
├── RunError                the runtime refused the model or the run
├── NotInTensorFlow         a model that LiteRT runs and our TensorFlow engine does not
├── BadInput                an array that the part does not take
└── CannotWrite             a part that cannot be written to a file
"""

from __future__ import annotations

from collections.abc import Sequence


class ModelError(Exception):
    """The base of every error about a model whose message is meant for a person."""


class ModelFileError(ModelError):
    """The bytes are not a usable .tflite file."""

    def __init__(self, origin: str, detail: str) -> None:
        super().__init__(f"{origin} is not a usable .tflite file: {detail}; copy or convert it again")
        self.origin, self.detail = origin, detail


class UnsupportedModel(ModelError):
    """The file is valid, but uses something that cannot be cut."""

    def __init__(self, origin: str, feature: str, remedy: str) -> None:
        super().__init__(f"{origin} cannot be cut: {feature}; {remedy}")
        self.origin, self.feature, self.remedy = origin, feature, remedy


class TensorNotFound(ModelError):
    """A name does not name exactly one activation of the model."""

    def __init__(self, name: str, origin: str, nearest: Sequence[str]) -> None:
        hint = f"did you mean {', '.join(nearest)}? " if nearest else ""
        super().__init__(f"{origin} has no activation {name!r}; {hint}`headwater models cuts` lists the cut points")
        self.name, self.origin, self.nearest = name, origin, tuple(nearest)


class NoCutPoint(ModelError):
    """No tensor of the model is passed by every path from the input to the outputs."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"{origin} has no cut point: no tensor is passed by every path from the input to the final outputs;"
            ' only "image" and "device" can be chosen as its split'
        )
        self.origin = origin


class CutError(ModelError):
    """The part between the given tensors cannot be taken out of the graph."""

    def __init__(self, origin: str, reason: str, remedy: str) -> None:
        super().__init__(f"cannot cut {origin}: {reason}; {remedy}")
        self.origin, self.reason, self.remedy = origin, reason, remedy


class RuntimeMissing(ModelError):
    """No LiteRT interpreter is installed."""

    def __init__(self) -> None:
        super().__init__(
            "no LiteRT interpreter is installed, needed to run a model; pip install ai-edge-litert"
            " (on 32-bit ARM: pip install tflite-runtime)"
        )


class RuntimeUnusable(ModelError):
    """A LiteRT interpreter is installed and cannot be imported."""

    def __init__(self, package: str, reason: str) -> None:
        self.package, self.reason = package, reason
        remedy = "pip install 'numpy<2'" if package == "tflite_runtime" else f"install {package} again"
        super().__init__(
            f"{package} cannot be imported: {reason.splitlines()[0] if reason else 'ImportError'}; {remedy}"
        )


class RunError(ModelError):
    """The runtime refused to load or to run a part."""

    def __init__(self, part: str, detail: str, remedy: str, runtime: str = "LiteRT") -> None:
        super().__init__(f"{runtime} cannot run {part}: {detail}; {remedy}")
        self.part, self.detail, self.remedy = part, detail, remedy


class NotInTensorFlow(ModelError):
    """A model has something that LiteRT runs and that is not built here as TensorFlow operations."""

    def __init__(self, origin: str, feature: str, remedy: str) -> None:
        super().__init__(f"{origin} cannot run in TensorFlow here: {feature}; {remedy}")
        self.origin, self.feature = origin, feature


class BadInput(ModelError):
    """An array does not fit the input of a part."""

    def __init__(self, part: str, tensor: str, got: str, expected: str) -> None:
        super().__init__(
            f"input {tensor!r} of {part}: got {got}, expected {expected}; use the same model on both sides"
        )
        self.part, self.tensor, self.got, self.expected = part, tensor, got, expected


class CannotWrite(ModelError):
    """A part cannot be written to a file."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(f"cannot write {path}: {detail}; give another file with -o")
        self.path, self.detail = path, detail
