"""Running parts: the same answer in one piece, in two and in batches, and clear refusals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from models import runtime
from models.engine import Engine, Part
from models.errors import BadInput, CutError, ModelError, RunError, RuntimeMissing, RuntimeUnusable, TensorNotFound
from models.profile import noise
from tests.models import tflite_files as files

CUTTABLE = [kind for kind in files.RUNNABLE if kind != "no_cut"]


def batch(part: Part, rows: int) -> list[np.ndarray]:
    """Return noise for each input of a part, so many rows of it."""
    return [np.concatenate([noise(spec, seed) for seed in range(rows)]) for spec in part.inputs]


def same(left: tuple[np.ndarray, ...], right: tuple[np.ndarray, ...]) -> bool:
    """Return whether two lists of arrays are equal to the bit."""
    return [(a.shape, a.dtype, a.tobytes()) for a in left] == [(b.shape, b.dtype, b.tobytes()) for b in right]


@pytest.mark.parametrize("xnnpack", [True, False])
@pytest.mark.parametrize("kind", CUTTABLE)
def test_head_then_tail_is_the_whole_bit_for_bit(kind: str, xnnpack: bool) -> None:
    """At every cut point the two parts give what the whole gives, with XNNPACK and without."""
    engine = Engine(files.RUNNABLE[kind](), xnnpack=xnnpack)
    inputs = batch(engine.whole(), 1)
    expected = engine.whole().run(*inputs)
    for point in engine.graph.cut_points():
        assert same(engine.tail(point.name).run(*engine.head(point.name).run(*inputs)), expected), point.name


def test_the_whole_part_answers_as_the_file_itself() -> None:
    """What was laid out anew gives what LiteRT gives for the file as it was."""
    data = files.many_kinds()
    plain = runtime.new_interpreter(data, 1, True)
    plain.allocate_tensors()
    part = Engine(data).whole()
    picture = noise(part.inputs[0])
    plain.set_tensor(plain.get_input_details()[0]["index"], picture)
    plain.invoke()
    assert same((plain.get_tensor(plain.get_output_details()[0]["index"]),), part.run(picture))


def test_parts_in_a_row_give_the_same_activations() -> None:
    """From cut point to cut point each part gives what the head up to there gives."""
    engine = Engine(files.residual())
    picture = batch(engine.whole(), 1)
    before, activation = None, tuple(picture)
    for point in engine.graph.cut_points():
        activation = engine.part(before, [point.name]).run(*activation)
        assert same(activation, engine.head(point.name).run(*picture)), point.name
        before = [point.name]


@pytest.mark.parametrize("xnnpack", [True, False])
@pytest.mark.parametrize("kind", files.RUNNABLE)
def test_each_row_of_a_batch_is_what_it_gives_alone(kind: str, xnnpack: bool) -> None:
    """A batch, also the second of its size and one of another size, gives the rows' own answers."""
    part = Engine(files.RUNNABLE[kind](), xnnpack=xnnpack).whole()
    for rows in (3, 3, 3, 5, 1, 2):
        inputs = batch(part, rows)
        alone = [part.run(*(array[row : row + 1] for array in inputs)) for row in range(rows)]
        assert same(part.run(*inputs), tuple(np.concatenate(column) for column in zip(*alone, strict=True)))


def test_a_model_made_for_one_picture_takes_a_batch_row_by_row() -> None:
    """A reshape to a fixed size does not stop a batch."""
    part = Engine(files.quantised()).whole()
    assert part.inputs[0].shape_signature[0] == 1
    assert part.run(*batch(part, 4))[0].shape == (4, 64)


def test_an_int8_head_gives_int8_with_its_scale() -> None:
    """The activation of a full-integer model travels as it is, and the spec says how to read it."""
    head = Engine(files.quantised()).head("first")
    spec, array = head.outputs[0], head.run(noise(head.inputs[0]))[0]
    assert (array.dtype, spec.dtype, spec.zero_point, round(spec.scale, 6)) == (np.int8, "int8", 4, 0.05)
    assert array.shape == spec.shape == (1, 4, 4, 4)


def test_specs_name_the_signature() -> None:
    """Outputs are known by their names in the signature, activations by their short names."""
    engine = Engine(files.early_exit())
    assert [spec.name for spec in engine.whole().outputs] == ["exit1/kind", "kind"]
    assert engine.head("conv_a").outputs[0].name == "conv_a"
    assert engine.head("conv_a").outputs[0].tensor.startswith("net_1/conv_a_1/Relu6;")


def test_exits_come_with_the_next_boundary() -> None:
    """One run gives an early exit's answer and the activation; the tail goes on from there alone."""
    engine = Engine(files.early_exit(), outputs=["kind"])
    picture = batch(engine.whole(), 1)
    early, activation = engine.part(None, ["exit1/kind", "conv_b"]).run(*picture)
    both = Engine(files.early_exit()).whole().run(*picture)
    assert same((early,), both[:1])
    assert same(engine.tail("conv_b").run(activation), both[1:])


def test_image_and_device_are_the_whole_model() -> None:
    """The split "device" has the whole model as its head, "image" as its tail, and neither has the other part."""
    engine = Engine(files.residual())
    assert engine.head("device") is engine.whole()
    assert engine.tail("image") is engine.whole()
    for ask, split in ((engine.head, "image"), (engine.tail, "device")):
        with pytest.raises(CutError, match=split):
            ask(split)


def test_results_are_the_callers_own() -> None:
    """What a run returned stays as it is when the part runs again."""
    part = Engine(files.residual()).head("conv_a")
    first = part.run(noise(part.inputs[0], 1))[0]
    kept = first.copy()
    part.run(noise(part.inputs[0], 2))
    first += 0
    assert np.array_equal(first, kept)


def test_parts_are_kept_up_to_the_limit() -> None:
    """The part not used for longest goes first; one that is kept is the same object."""
    engine = Engine(files.residual(), max_cached_parts=2)
    first, second = engine.head("conv_a"), engine.head("add")
    assert engine.head("net_1/conv_a_1/Relu6;net_1/conv_a_1/add") is first
    engine.head("conv_c")
    assert engine.head("conv_a") is first
    assert engine.head("add") is not second


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 8, 8, 3), np.float64), "got float64 numbers, expected float32"),
        (np.zeros((1, 8, 8, 3), np.uint8), "got uint8 numbers, expected float32"),
        (np.zeros((8, 8, 3), np.float32), r"got shape \(8, 8, 3\), expected \(any, 8, 8, 3\)"),
        (np.zeros((1, 9, 8, 3), np.float32), r"got shape \(1, 9, 8, 3\)"),
        (np.zeros((0, 8, 8, 3), np.float32), r"got shape \(0, 8, 8, 3\)"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(array: np.ndarray, words: str) -> None:
    """A wrong type, rank, size or empty batch says what came and what is expected, and the part still works."""
    part = Engine(files.residual()).whole()
    with pytest.raises(BadInput, match=words):
        part.run(array)
    assert part.run(noise(part.inputs[0]))[0].shape == (1, 3)


def test_a_wrong_number_of_arrays_is_refused() -> None:
    """Too few or unequal batches are refused."""
    part = Engine(files.two_inputs()).whole()
    left, right = batch(part, 2)
    with pytest.raises(BadInput, match="1 arrays"):
        part.run(left)
    with pytest.raises(BadInput):
        part.run(left, right[:, :4])


def test_unequal_open_sizes_are_a_clear_error() -> None:
    """Batches of different length at two inputs end in our error, and the part still works."""
    part = Engine(files.two_inputs()).whole()
    left, right = batch(part, 3)
    with pytest.raises(ModelError):
        part.run(left, right[:2])
    assert part.run(left, right)[0].shape == (3, 8, 8, 2)


def test_an_operator_that_litert_does_not_know_is_a_clear_error() -> None:
    """The runtime's reason comes in one line; a part without that operator runs."""
    engine = Engine(files.custom())
    with pytest.raises(RunError, match="unresolved custom op: Sharpen") as caught:
        engine.whole()
    assert "\n" not in str(caught.value)
    head = engine.head("first")
    assert head.run(noise(head.inputs[0]))[0].shape == (1, 4, 4, 3)


def test_an_unknown_split_is_refused() -> None:
    """A split that is no tensor is refused with the nearest names."""
    with pytest.raises(TensorNotFound, match="conv_a"):
        Engine(files.residual()).head("conv_aa")


def test_a_signature_of_several_is_run() -> None:
    """Of a file with two graphs the named one is cut and run."""
    engine = Engine(files.two_signatures(), signature="small")
    picture = batch(engine.whole(), 1)
    assert engine.whole().outputs[0].name == "answer"
    assert same(engine.tail("first").run(*engine.head("first").run(*picture)), engine.whole().run(*picture))


def test_a_picture_of_open_size_may_have_any() -> None:
    """Nothing is run on the placeholder of one pixel; every size that fits is, and head then tail is the whole."""
    engine = Engine(files.open_size())
    for side in (32, 16, 32):
        picture = np.random.default_rng(side).random((1, side, side, 3), np.float32)
        whole = engine.whole().run(picture)
        assert whole[0].shape == (1, side - 2, side - 2, 2)
        assert same(engine.tail("conv_a").run(*engine.head("conv_a").run(picture)), whole)
    with pytest.raises(RunError):
        engine.whole().run(np.zeros((1, 2, 2, 3), np.float32))
    assert same(engine.whole().run(picture), whole)


def test_threads_do_not_change_the_answer() -> None:
    """Two threads give the bits of one."""
    data = files.many_kinds()
    one, two = Engine(data).whole(), Engine(data, threads=2).whole()
    picture = batch(one, 1)
    assert same(one.run(*picture), two.run(*picture))


def test_without_a_runtime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither package is there, the message names both."""
    monkeypatch.setattr(runtime, "PACKAGES", ("no_such_runtime",))
    runtime.interpreter_module.cache_clear()
    try:
        with pytest.raises(RuntimeMissing, match=r"pip install ai-edge-litert.*tflite-runtime"):
            Engine(files.residual()).whole()
    finally:
        runtime.interpreter_module.cache_clear()


def test_the_older_runtime_is_taken_where_it_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With tflite_runtime alone, its Interpreter is used."""
    older = ModuleType("tflite_runtime.interpreter")
    monkeypatch.setitem(sys.modules, "tflite_runtime", ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", older)
    monkeypatch.setattr(runtime, "PACKAGES", ("no_such_runtime", "tflite_runtime"))
    runtime.interpreter_module.cache_clear()
    try:
        assert runtime.interpreter_module() is older
    finally:
        runtime.interpreter_module.cache_clear()


def test_a_runtime_that_does_not_load_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The old runtime with the new NumPy ends in an ImportError; the message says which NumPy it wants."""
    package = tmp_path / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text("raise ImportError('numpy.core.multiarray failed to import')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(runtime, "PACKAGES", ("tflite_runtime",))
    runtime.interpreter_module.cache_clear()
    try:
        with pytest.raises(RuntimeUnusable, match=r"multiarray failed.*'numpy<2'$"):
            runtime.interpreter_module()
    finally:
        runtime.interpreter_module.cache_clear()
        sys.modules.pop("tflite_runtime", None)


def test_cutting_needs_neither_a_schema_nor_a_runtime() -> None:
    """Reading and extracting loads no LiteRT, no flatbuffers and no TensorFlow."""
    program = (
        "import sys, models.graph, models.engine\n"
        "print(sorted({'ai_edge_litert', 'flatbuffers', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_example_finds_the_same_answer_at_every_cut(tmp_path: Path) -> None:
    """examples/cut_any_model.py runs on a user's file, and fails with one line on another."""
    model, example = tmp_path / "model.tflite", Path(__file__).parents[2] / "examples" / "cut_any_model.py"
    model.write_bytes(files.residual())
    command = [sys.executable, example, model]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=example.parents[1])
    assert ran.stdout.count("the whole's answer") == 5
    model.write_bytes(b"nothing")
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=example.parents[1])
    assert ran.returncode == 1
    assert ran.stderr.startswith("cut_any_model: ")
