"""Make a bundle of a model file: find out what it is, give it exits, measure it, and write the folder."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from models.branches.add import HAND_SET, Grown, add_exits, wanted_places
from models.branches.features import most_pictures, probe_samples, targets_of
from models.bundle import Bundle, file_digest
from models.choices import Colour
from models.crop import NothingFound, open_crop
from models.engine import Engine
from models.graph import Graph
from models.importing.exits import exits_among, final_outputs
from models.importing.learning import check_enough, folds_of, lesson
from models.importing.measure import measure, said_of_int8
from models.importing.outputs import tasks_of
from models.importing.ranges import Tried, best_range, said_of
from models.importing.request import Imported, Measured, Request
from models.importing.wishes import ImportFailed, TaskWish, bundle_name, task_wishes
from models.importing.write import check_folder, write_folder
from models.manifest import Exit, InputSpec, Manifest
from models.parts import cuts_of
from models.pictures import to_input
from models.profile import noise
from models.samples import PARTS, Sample, labels_in, read_samples
from models.training.progress import Progress

if TYPE_CHECKING:
    from models.training.keras_file import KerasFile

KERAS: Final = (".keras", ".h5", ".hdf5")
_ASKED: Final = 4
_CALIBRATION: Final = 128

Parts = Mapping[str, Sequence[Sample]]


def import_model(request: Request, progress: Progress) -> Imported:
    """Return the bundle that was written. Raises: ModelError for whatever cannot be used."""
    _check(request)
    name = bundle_name(request.name, request.file)
    folder = request.output or Path(name)
    check_folder(folder)
    with tempfile.TemporaryDirectory() as work:
        return _Import(request, name, Path(work), progress).run(folder)


def _check(request: Request) -> None:
    if not request.file.is_file():
        raise ImportFailed(f"{request.file} is no file, expected a .tflite or a Keras model; correct the path")
    for flag, asked in (("--add-exits", request.exits is not None), ("--int8", request.int8)):
        if asked and request.data is None:
            raise ImportFailed(f"{flag} needs labelled pictures, got none; add --data FOLDER")
    if request.int8 and request.file.suffix not in KERAS:
        raise ImportFailed(f"--int8 is for Keras files, got {request.file.name}; convert it before the import")


@dataclass
class _Import:
    """One import on its way; what was learnt on the way is noted for the card."""

    request: Request
    name: str
    work: Path
    progress: Progress

    def run(self, folder: Path) -> Imported:
        """Return what was written to the folder."""
        self.notes: list[str] = []
        keras_file = self._keras_file()
        bundle, parts = self._described(self._model_file(keras_file))
        bundle, tried = self._in_range(bundle, parts)
        if keras_file is not None and self.request.int8:
            in_float, bundle = bundle, self._as_int8(keras_file, bundle, parts)
            self.notes += self._cost_of_int8(in_float, bundle, parts)
        grown = self._with_exits(bundle, parts) if self.request.exits else None
        if grown is not None:
            bundle = self._file_of(bundle, grown.content, grown.exits)
        measured = self._measured(bundle, parts)
        self.progress.say("writing")
        done = Imported(
            folder, self._manifest(bundle, measured), bundle.model_path.stat().st_size,
            grown.rows if grown else (), tuple(tried), measured, tuple(self.notes),
        )  # fmt: skip
        write_folder(self.request, done, bundle.model_path)
        return done

    def _keras_file(self) -> KerasFile | None:
        if self.request.file.suffix not in KERAS:
            return None
        from models.training.terminal import training_imports

        self.progress.say("reading with Keras")
        with training_imports():
            from models.training.keras_file import KerasFile
        return KerasFile(self.request.file)

    def _model_file(self, keras_file: KerasFile | None) -> Path:
        if keras_file is None:
            return self.request.file
        self.progress.say("converting")
        path = self.work / f"{self.request.file.stem}.tflite"
        path.write_bytes(keras_file.as_float())
        self.notes.append("Converted from Keras to float32, compared on random pictures.")
        return path

    def _described(self, path: Path) -> tuple[Bundle, Parts]:
        """Return the bundle with its input and tasks as far as the file and the user tell, and the pictures."""
        request = self.request
        bare = Bundle.load(path)
        low, high = request.value_range or (bare.input.low, bare.input.high)
        if low >= high:
            raise ImportFailed(f"--value-range is {low:g} {high:g}, expected the lower first; turn it round")
        spec = InputSpec(bare.input.width, bare.input.height, low, high, self._colour(bare), request.crop)
        wishes = self._wishes()
        engine = Engine(path, threads=request.threads)
        finals = final_outputs(engine.graph, [wish.output for wish in wishes if wish.output])
        if len(finals) < len(bare.outputs):
            engine = Engine(path, threads=request.threads, outputs=finals)
        tasks = tasks_of(engine, wishes, _asked_about(engine, low, high), request.scores)
        bundle = replace(bare, name=self.name, input=spec, tasks=tasks, description=request.description)
        bundle = self._with_own_exits(bundle, engine.graph)
        return bundle, self._parts(bundle)

    def _wishes(self) -> list[TaskWish]:
        request = self.request
        labels: str | tuple[str, ...] | None = request.labels
        if labels is None and not request.tasks and request.data is not None:
            labels = labels_in(request.data)
            self.notes.append(f"Labels: the folders of the data in alphabetical order ({','.join(labels)}).")
        wishes = task_wishes(request.tasks, labels, self.name)
        numbered = [label for wish in wishes for label in wish.numbered]
        if numbered:
            self.notes.append(f"Labels that stand more than once in their file are numbered: {', '.join(numbered)}.")
        return wishes

    def _with_own_exits(self, bundle: Bundle, graph: Graph) -> Bundle:
        """Return the bundle with the exits that its file has already."""
        exits = exits_among(graph, bundle.outputs, bundle.tasks)
        if not exits:
            return bundle
        found = ", ".join(f"{one.name} behind {one.after}" for one in exits)
        self.notes.append(
            f"Exits of the file: {found}; when frames leave is set by hand, at a top probability of {HAND_SET:g}: "
            "`headwater models calibrate` finds better thresholds."
        )
        outputs, points = tuple(task.output for task in bundle.tasks), graph.cut_points()
        return replace(bundle, outputs=outputs, exits=exits, cut_points=tuple(point.name for point in points))

    def _colour(self, bare: Bundle) -> Colour:
        asked = self.request.colour
        if asked is not None and (asked == "grey") != (bare.input.colour == "grey"):
            raise ImportFailed(f"--colour is {asked}, the model takes {bare.input.colour}; drop it")
        return asked or bare.input.colour

    def _parts(self, bundle: Bundle) -> Parts:
        if self.request.data is None:
            return {}
        self.progress.say("finding pictures")
        found: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
        for sample in read_samples(self.request.data, bundle.tasks):
            found[sample.part].append(sample)
        return found

    def _in_range(self, bundle: Bundle, parts: Parts) -> tuple[Bundle, list[Tried]]:
        """Return the bundle with the range of pixel values that was said, that its file says, or that serves best."""
        quantised = Engine(bundle.model_path).whole().inputs[0].scale > 0
        if self.request.value_range is not None or quantised:
            if quantised and self.request.value_range is None:
                self.notes.append("Range of pixel values: that of the quantised input.")
            return bundle, []
        if not parts or not any(task.kind == "classification" for task in bundle.tasks):
            self.notes.append("Range of pixel values: not known, 0 to 1 is assumed; say it with --value-range.")
            return bundle, []
        self.progress.say("finding the range of pixel values")
        tried = best_range(bundle, self._to_find_range(bundle, parts), self.request.seed, lambda: None)
        best = tried[0]
        self.notes.append(said_of(tried))
        return replace(bundle, input=replace(bundle.input, low=best.low, high=best.high)), tried

    def _to_find_range(self, bundle: Bundle, parts: Parts) -> list[Sample]:
        """Return the labelled pictures of the first part that has any, the test part last: it is measured on."""
        labelled = {task.name for task in bundle.tasks if task.kind == "classification"}
        found = ([sample for sample in parts[name] if labelled & sample.targets.keys()] for name in PARTS)
        part = next((samples for samples in found if samples), None)
        if part is None:
            raise ImportFailed(
                f"{self.request.data} says of no picture what {' or '.join(sorted(labelled))} is, expected labels to "
                "find the range of pixel values by; add them, or give --value-range LOW HIGH"
            )
        return part

    def _as_int8(self, keras_file: KerasFile, bundle: Bundle, parts: Parts) -> Bundle:
        self.progress.say("converting to int8")
        samples = list(parts["train"]) or [sample for part in parts.values() for sample in part]
        chosen = random.Random(self.request.seed).sample(samples, min(_CALIBRATION, len(samples)))  # noqa: S311
        wanted, crop = bundle.input, open_crop(bundle.input.crop, max_faces=1)
        spec = Engine(bundle.model_path).whole().inputs[0]
        cuts = [cuts_of(sample, crop, wanted) for sample in chosen]
        shown = [to_input(c[0].pixels, spec, wanted.low, wanted.high, wanted.colour) for c in cuts if c]
        if not shown:
            raise NothingFound(wanted.crop, len(chosen))
        content = keras_file.as_int8(np.concatenate(shown), wanted.low, wanted.high)
        part = " of the train part" if parts["train"] else ""
        self.notes.append(f"Quantised to int8, ranges from {len(shown)} pictures{part}.")
        given = [output for found in bundle.exits for output in found.outputs.values()]
        exits = exits_among(Graph.read(content, outputs=bundle.outputs), given, bundle.tasks) if given else ()
        return self._file_of(bundle, content, exits)

    def _cost_of_int8(self, in_float: Bundle, bundle: Bundle, parts: Parts) -> list[str]:
        self.progress.say("comparing int8 with float32")
        part, samples = self._to_measure(parts)
        both = [measure(one, samples, part, self.request.threads, lambda: None) for one in (in_float, bundle)]
        return said_of_int8(*both)

    def _file_of(self, bundle: Bundle, content: bytes, exits: Sequence[Exit]) -> Bundle:
        """Return the bundle with another file."""
        path = self.work / f"{self.request.file.stem}-{hashlib.sha256(content).hexdigest()[:8]}.tflite"
        path.write_bytes(content)
        return replace(bundle, model_path=path, digest=file_digest(path), exits=tuple(exits))

    def _with_exits(self, bundle: Bundle, parts: Parts) -> Grown:
        wish, request = self.request.exits, self.request
        assert wish is not None  # noqa: S101
        points = wanted_places(bundle, wish)
        check_enough(parts["train"], bundle.tasks, wish, request.data)
        found = lesson(parts["train"], most_pictures(points), request.seed)
        self.notes += found.notes
        self.progress.expect(len(found.samples) + len(points) + len(self._to_measure(parts)[1]))
        self.progress.say("computing activations")
        seen, kept = probe_samples(
            bundle, points, found.samples, threads=request.threads, tick=lambda: self.progress.step(1)
        )
        check_enough(kept, bundle.tasks, wish, request.data)
        self.progress.say(f"training branches at {len(points)} places")
        targets = {task.name: targets_of(kept, task.name) for task in bundle.tasks}
        return add_exits(bundle, seen, targets, points, folds_of(found, kept), wish, self.progress)

    def _to_measure(self, parts: Parts) -> tuple[str, Sequence[Sample]]:
        """Return the part to measure on, which no new exit learnt from where there is such a one."""
        for part in ("test", "validation") if self.request.exits else ("test",):
            if parts[part]:
                return f"{part} part of the given folder", parts[part]
        return "all of the given folder", [sample for found in parts.values() for sample in found]

    def _measured(self, bundle: Bundle, parts: Parts) -> Measured | None:
        if not parts:
            return None
        part, samples = self._to_measure(parts)
        if self.request.exits is not None and not (parts["test"] or parts["validation"]):
            self.notes.append("Without another part the exits are measured on pictures that they learnt from.")
        self.progress.say("measuring")
        if self.request.exits is None:
            self.progress.expect(len(samples))
        return measure(bundle, samples, part, self.request.threads, lambda: self.progress.step(1))

    def _manifest(self, bundle: Bundle, measured: Measured | None) -> Manifest:
        training = {"source": self.request.source, "licence": self.request.licence, "imported": self.request.file.name}
        if self.request.exits is not None:
            training["exits"] = "branches on the frozen network; see MODEL_CARD.md"
        return Manifest(
            name=bundle.name,
            description=bundle.description,
            digest=bundle.digest,
            input=bundle.input,
            outputs=bundle.outputs,
            tasks=bundle.tasks,
            exits=bundle.exits,
            cut_points=bundle.cut_points,
            training=training,
            accuracy=measured.accuracy if measured else (),
        )


def _asked_about(engine: Engine, low: float, high: float) -> list[np.ndarray]:
    """Return some inputs over the range of the network, to see what its answers look like."""
    spec = engine.whole().inputs[0]
    pictures = [noise(spec, seed) for seed in range(_ASKED)]
    return pictures if spec.scale else [(low + picture * (high - low)).astype(spec.dtype) for picture in pictures]
