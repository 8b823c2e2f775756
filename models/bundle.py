"""Bundles: a model file, and what one must know to use it. Needs no LiteRT and no TensorFlow."""

from __future__ import annotations

import difflib
import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.errors import ModelError, NoCutPoint
from models.evidence import Leak, Wire
from models.manifest import Accuracy, Exit, InputSpec, Manifest, read_manifest
from models.tasks import Prediction, Task, predictions
from models.toml_table import BundleError

if TYPE_CHECKING:
    from models.graph import Graph
    from models.structure import Tensor

__all__ = [
    "SHIPPED",
    "Accuracy",
    "Bundle",
    "BundleError",
    "Exit",
    "InputSpec",
    "Prediction",
    "Task",
    "file_digest",
    "find_bundles",
    "predictions",
]

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "bundles"
MODEL_FILE, MANIFEST_FILE = "model.tflite", "bundle.toml"
MAX_MODEL_BYTES = 1 << 30


@dataclass(frozen=True)
class Bundle:
    """A model file with its size of input, tasks and cut points; without tasks its outputs are raw scores."""

    name: str
    digest: str
    model_path: Path
    input: InputSpec
    tasks: tuple[Task, ...] = ()
    outputs: tuple[str, ...] = ()
    cut_points: tuple[str, ...] = ()
    exits: tuple[Exit, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()
    description: str = ""
    wire: Wire | None = None
    leaks: tuple[Leak, ...] = ()

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        folders: Iterable[Path] = (),
        value_range: tuple[float, float] | None = None,
    ) -> Bundle:
        """Return the bundle of that name, in that folder, or made of a bare .tflite file.

        A name is looked for in `folders`, then among the shipped ones, then as a path. `value_range` says what pixel
        values 0 and 255 become (a bare float model does not tell: 0.0 to 1.0 by default).

        Raises: BundleError when nothing has that name, the manifest is wrong, or the model file is another one.
        """
        path = _find(name_or_path, (*folders, SHIPPED))
        bundle = _read_folder(path) if path.is_dir() else _read_bare(path)
        if value_range is None:
            return bundle
        low, high = value_range
        return replace(bundle, input=replace(bundle.input, low=low, high=high))

    @property
    def finals(self) -> tuple[str, ...] | None:
        """The outputs towards which the model is cut; None: all of its file, where it has no exits."""
        return self.outputs if self.exits else None

    @property
    def codecs(self) -> Mapping[str, str]:
        """The codec that was measured to be the cheapest for each split; none where nothing was measured."""
        return self.wire.codec if self.wire else {}

    @property
    def folder(self) -> Path:
        """The folder that holds the model file."""
        return self.model_path.parent


def find_bundles(folders: Iterable[Path]) -> dict[str, Bundle]:
    """Return by digest the shipped bundles and those in `folders`: bundle folders, folders of them, bare .tflite files.

    A bare file that is no network for pictures, as a part that was cut out of one, is passed over with a warning.

    Raises: BundleError for the first bundle folder that cannot be used, or a folder that does not exist.
    """
    found: dict[str, Bundle] = {}
    for path in (path for folder in (*folders, SHIPPED) for path in _paths_in(Path(folder))):
        try:
            bundle = _read_folder(path) if path.is_dir() else _read_bare(path)
        except ModelError as error:
            if path.is_dir():
                raise
            log.warning("passed over: %s", error)
            continue
        found.setdefault(bundle.digest, bundle)
    return found


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a model file as 64 hex digits. Raises: BundleError when unreadable or too large."""
    try:
        size = path.stat().st_size
        if size > MAX_MODEL_BYTES:
            raise BundleError(f"{path} has {size} B, expected at most {MAX_MODEL_BYTES}; use a smaller model")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}; check the path and its rights") from error


def _paths_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        if folder == SHIPPED:
            return []
        raise BundleError(f"{folder} is no folder, expected one that holds bundles; correct the path")
    if (folder / MANIFEST_FILE).is_file():
        return [folder]
    inside = sorted(folder.iterdir())
    return [p for p in inside if (p / MANIFEST_FILE).is_file() or (p.suffix == ".tflite" and p.is_file())]


def _find(name_or_path: str | Path, folders: tuple[Path, ...]) -> Path:
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and len(path.parts) == 1 and path.suffix != ".tflite":
        for folder in folders:
            if (folder / name_or_path / MANIFEST_FILE).is_file():
                return folder / name_or_path
    if path.is_file():
        return path.parent if path.name == MANIFEST_FILE else path
    if (path / MANIFEST_FILE).is_file():
        return path
    if path.is_dir():
        raise BundleError(f"{path} holds no {MANIFEST_FILE}; expected a bundle's folder or a .tflite file")
    names = sorted({p.name for folder in folders if folder.is_dir() for p in _paths_in(folder)})
    near = difflib.get_close_matches(str(name_or_path), names, n=1)
    advice = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none'}"
    raise BundleError(f"no bundle, folder or .tflite file is called {str(name_or_path)!r}; {advice}")


def _read_folder(folder: Path) -> Bundle:
    manifest = read_manifest(folder / MANIFEST_FILE)
    model = folder / MODEL_FILE
    digest = file_digest(model)
    if digest != manifest.digest:
        raise BundleError(
            f"{model} has SHA-256 {digest[:12]}…, its {MANIFEST_FILE} says {manifest.digest[:12]}…; "
            f"fetch the bundle again, or write the new digest into {MANIFEST_FILE}"
        )
    return _with_model(manifest, model)


def _with_model(manifest: Manifest, model: Path) -> Bundle:
    return Bundle(
        name=manifest.name,
        digest=manifest.digest,
        model_path=model,
        input=manifest.input,
        tasks=manifest.tasks,
        outputs=manifest.outputs,
        cut_points=manifest.cut_points,
        exits=manifest.exits,
        accuracy=manifest.accuracy,
        description=manifest.description,
        wire=manifest.wire,
        leaks=manifest.leaks,
    )


def _read_bare(path: Path) -> Bundle:
    """Return a bundle of a .tflite file alone: the input from its graph, no tasks, every cut point offered."""
    from models.graph import Graph

    digest = file_digest(path)
    graph = Graph.read(path)
    return Bundle(
        name=path.stem,
        digest=digest,
        model_path=path,
        input=_bare_input(path, graph.inputs),
        outputs=tuple(graph.tensor_name(tensor.index) for tensor in graph.outputs),
        cut_points=_cut_points(graph),
    )


def _cut_points(graph: Graph) -> tuple[str, ...]:
    try:
        return tuple(point.name for point in graph.cut_points())
    except NoCutPoint:
        return ()


def _bare_input(path: Path, inputs: tuple[Tensor, ...]) -> InputSpec:
    shapes = [tuple(tensor.shape_signature) for tensor in inputs]
    sizes = [shape[1:] for shape in shapes if len(shape) == 4]
    if len(inputs) != 1 or not sizes or min(sizes[0]) < 1 or sizes[0][2] not in {1, 3}:
        raise BundleError(
            f"{path} has inputs {', '.join(map(str, shapes))}, expected one of (1, height, width, 3 or 1); "
            "a network for pictures of open size needs a bundle.toml with its [input]"
        )
    (height, width, channels), tensor = sizes[0], inputs[0]
    low, high = 0.0, 1.0
    if tensor.scale:
        limits = np.iinfo(tensor.dtype)
        low, high = ((limit - tensor.zero_point) * tensor.scale for limit in (limits.min, limits.max))
    return InputSpec(width, height, low, high, "RGB" if channels == 3 else "grey")
