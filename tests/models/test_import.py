"""`headwater models import`: from a model file, labels and pictures to a bundle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headwater.cli import main
from models import judge as judging
from models.branches.add import Wish, wanted_places
from models.bundle import Bundle
from models.crop import Cut, Whole
from models.engine import Engine
from models.errors import ModelError
from models.exits import ExitRule
from models.graph import Graph
from models.importing import commands, run
from models.importing.learning import FOLDS, MANY, lesson
from models.importing.ranges import Tried, said_of
from models.importing.wishes import TaskWish, bundle_name, read_labels, task_wishes
from models.profile import noise
from models.samples import Sample, part_by_content, read_samples
from models.stages import StagedHead
from tests.models import tflite_files as files

LABELS = ("blue", "green", "red")
needs_tensorflow = pytest.mark.skipif(
    not os.environ.get("CI") and not any((Path(p) / "tensorflow").is_dir() for p in sys.path),
    reason="a Keras file needs TensorFlow",
)


def import_(file: Path, **said: Any) -> None:
    """Call the command."""
    if "task" in said:
        said["task"] = tuple(said["task"])
    commands.import_(file, commands.ImportSettings(**said))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures of three colours, forty of each."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number, label in enumerate(LABELS):
        (folder / label).mkdir()
        for place in range(40):
            picture = random.integers(0, 120, (8, 8, 3), dtype=np.uint8)
            picture[..., 2 - number] += 120
            Image.fromarray(picture).save(folder / label / f"{place}.png")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return written(tmp_path, files.residual())


def written(folder: Path, content: bytes, name: str = "Street View.tflite") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def ending_in(kind: str | None, outputs: int) -> bytes:
    """A classifier of random weights whose last operator is of a kind; None: that of its dense layer."""
    maker = files.Maker()
    picture = maker.tensor("picture", (1, 8, 8, 3))
    scores = files.dense(maker, "scores", files.mean(maker, maker.conv("a", picture, (1, 8, 8, 3), 4), 4), 4, outputs)
    if kind:
        out = maker.tensor("out", (1, outputs))
        maker.operator(kind, [scores], [out], files.softmax_options() if kind == "SOFTMAX" else None)
        scores = out
    maker.ends([picture], [scores])
    return maker.file()


def test_a_file_and_labels_make_a_bundle(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Input, output, probabilities and name are read from the file; what is not known is said."""
    import_(model, labels="a, b,c", output=tmp_path / "out", value_range=(-1, 1), licence="MIT", description="Streets.")
    bundle = Bundle.load(tmp_path / "out")
    (task,) = bundle.tasks
    assert (bundle.name, task.name, task.labels, task.scores) == ("street-view",) * 2 + (
        ("a", "b", "c"),
        "probabilities",
    )
    assert (bundle.input.width, bundle.input.low, bundle.input.high) == (8, -1, 1)
    assert bundle.model_path.read_bytes() == model.read_bytes()
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"
    card = (bundle.folder / "MODEL_CARD.md").read_text()
    for said in ("# street-view\n\nStreets. Imported", "Licence of model and data: MIT.", "Not measured: no labelled"):
        assert said in card


@pytest.mark.parametrize(
    ("ending", "values", "labels", "scores"),
    [
        (None, 3, "a,b,c", "logits"),
        ("SOFTMAX", 3, "a,b,c", "probabilities"),
        ("LOGISTIC", 1, "no,yes", "probabilities"),
        ("NEG", 3, "a,b,c", "logits"),
        (None, 1, None, None),
    ],
)
def test_what_an_output_is_is_found_out(
    ending: str | None, values: int, labels: str | None, scores: str | None, tmp_path: Path
) -> None:
    """By its last operator or its answers; one value without labels is a regression."""
    import_(written(tmp_path, ending_in(ending, values)), labels=labels, output=tmp_path / "out")
    (task,) = Bundle.load(tmp_path / "out").tasks
    assert (task.kind, task.scores if labels else None) == ("classification" if labels else "regression", scores)


def test_several_outputs_are_named(tmp_path: Path) -> None:
    """Each output gets its task, with labels or a unit."""
    path = written(tmp_path, files.early_exit())
    (tmp_path / "kinds.txt").write_text("a\nb\nc\n")
    import_(path, task=["kind=kind:x,y,z", f"early=exit1/kind:{tmp_path / 'kinds.txt'}"], output=tmp_path / "out")
    tasks = {task.name: task for task in Bundle.load(tmp_path / "out").tasks}
    assert {name: (task.output, task.labels) for name, task in tasks.items()} == {
        "kind": ("kind", ("x", "y", "z")), "early": ("exit1/kind", ("a", "b", "c")),
    }  # fmt: skip
    path = written(tmp_path, files.early_exit("early"), "two.tflite")
    with pytest.raises(ModelError, match=r"not told apart, the outputs are early \(3 values\) and kind \(3 values\)"):
        import_(path, labels="a,b,c", output=tmp_path / "other")
    with pytest.raises(ModelError, match="no task reads output early, expected one for each output; add --task NAME="):
        import_(path, task=["kind=kind:x,y,z"], output=tmp_path / "other")


def test_exits_of_a_file_are_found(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Outputs such as soon/kind beside kind are exits where they branch off, the earliest first, open at 0.9."""
    path = written(tmp_path, files.exits_behind({"late": "conv_b", "soon": "conv_a"}))
    import_(path, task=["colour=kind:blue,green,red"], data=pictures, output=tmp_path / "out")
    bundle, said = Bundle.load(tmp_path / "out"), capsys.readouterr()
    assert [(found.name, found.after, found.outputs) for found in bundle.exits] == [
        ("soon", "conv_a", {"colour": "soon/kind"}), ("late", "conv_b", {"colour": "late/kind"}),
    ]  # fmt: skip
    assert [found.thresholds for found in bundle.exits] == [{"colour": 0.9}] * 2
    assert (bundle.outputs, bundle.cut_points[:2]) == (("kind",), ("conv_a", "conv_b"))
    assert [found.metric for found in bundle.accuracy] == ["accuracy", "accuracy at soon", "accuracy at late"]
    assert "leave at soon (behind conv_a)" in said.out
    assert "note: Exits of the file: soon behind conv_a, late behind conv_b" in said.err
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    always = StagedHead(engine, bundle, "device", {"soon": ExitRule("top-probability", {"colour": 0.0})})
    assert always.run(noise(always.inputs[0])).exit == "soon"


def test_one_label_list_serves_a_network_with_exits(tmp_path: Path) -> None:
    """Beside its exits a network of one answer needs no names of outputs."""
    import_(written(tmp_path, files.early_exit()), labels="a,b,c", output=tmp_path / "out")
    bundle = Bundle.load(tmp_path / "out")
    assert ([task.output for task in bundle.tasks], [found.after for found in bundle.exits]) == (["kind"], ["conv_a"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (files.exits_behind({"exit1": "picture"}), "exit1 of .* branches off at no cut point, .* NAME=exit1/kind:…"),
        (files.exits_behind({"exit1": "conv_a"}, softmax=True), "exit1/kind .* gives logits and kind gives probabilit"),
    ],
)
def test_exits_that_no_bundle_states_are_refused(content: bytes, says: str, tmp_path: Path) -> None:
    """An exit on the picture itself, or with scores of another kind, is one line; as a task of its own it may stay."""
    path = written(tmp_path, content)
    with pytest.raises(ModelError, match=says):
        import_(path, labels="a,b,c", output=tmp_path / "out")
    import_(path, task=["kind=kind:a,b,c", "early=exit1/kind:a,b,c"], output=tmp_path / "out")
    assert Bundle.load(tmp_path / "out").exits == ()


def test_an_exit_answers_every_task(tmp_path: Path) -> None:
    """A frame that left at an exit of one task would lack the other: as a task of its own the output may stay."""
    path = written(tmp_path, files.exits_behind({"exit1": "conv_a"}, also="size"))
    tasks = ["kind=kind:a,b,c", "size=size:s,l"]
    with pytest.raises(ModelError, match=r"gives kind alone, expected every task: size too; .* NAME=exit1/kind:…"):
        import_(path, task=tasks, output=tmp_path / "out")
    import_(path, task=[*tasks, "early=exit1/kind:a,b,c"], output=tmp_path / "out")
    assert Bundle.load(tmp_path / "out").exits == ()


def test_task_texts() -> None:
    """A word behind the output is a unit, words with commas are labels."""
    assert task_wishes(["age=years_out:years"], None, "m") == [TaskWish("age", "years_out", (), "years")]
    assert task_wishes(["g=o:male,female"], None, "m") == [TaskWish("g", "o", ("male", "female"))]
    assert task_wishes(["kind"], "a,b", "m") == [TaskWish("kind", None, ("a", "b"))]
    assert bundle_name(None, Path("My_Net (2).keras")) == "my_net-2"


@pytest.mark.parametrize(
    ("texts", "labels", "says"),
    [
        (["a=b:x,y"], "x,y", "--labels is given beside --task"),
        (["a", "b"], None, "given 2 times as a bare name"),
        (["a="], None, "names no output"),
        (["A b=c"], None, "'A b' is no name"),
        ([], "x,x", "got 'x' twice, expected two or more different ones"),
        ([], "x,", "one of them empty"),
        ([], "gone.txt", "neither a,b,c nor a file of labels"),
    ],
)
def test_texts_that_say_nothing_are_refused(texts: list[str], labels: str | None, says: str) -> None:
    """Each mistake gets one line that says what was expected."""
    with pytest.raises(ModelError, match=says):
        task_wishes(texts, labels, "name")


def test_a_file_of_labels_may_have_blanks(tmp_path: Path) -> None:
    """One label a line; blank lines and a byte-order mark are passed over."""
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffa b\n\nc, d\n", encoding="utf-8")
    assert read_labels(str(path)) == (("a b", "c, d"), ())


def test_labels_that_a_file_repeats_are_numbered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ImageNet's own list holds crane, the bird and the machine: the second is told apart, and that is said."""
    path = tmp_path / "labels.txt"
    path.write_text("crane\nmaillot\ncrane\n", encoding="utf-8")
    assert read_labels(str(path)) == (("crane", "maillot", "crane (2)"), ("crane (2)",))
    for name, said in {"one": {"labels": str(path)}, "two": {"task": [f"kind=scores:{path}"]}}.items():
        import_(written(tmp_path, files.residual()), output=tmp_path / name, **said)
        assert Bundle.load(tmp_path / name).tasks[0].labels == ("crane", "maillot", "crane (2)")
        assert "stand more than once in their file are numbered: crane (2)." in capsys.readouterr().err
    path.write_text("a\na\na (2)\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"'a \(2\)' twice"):
        read_labels(str(path))


def test_more_labels_than_a_file_name_holds(tmp_path: Path) -> None:
    """A list of a hundred labels is no path that is too long."""
    labels = tuple(f"label{number}" for number in range(100))
    path = written(tmp_path, ending_in("SOFTMAX", 100))
    import_(path, labels=",".join(labels), output=tmp_path / "one")
    import_(path, task=[f"kind=out:{','.join(labels)}"], output=tmp_path / "two")
    assert [Bundle.load(tmp_path / name).tasks[0].labels for name in ("one", "two")] == [labels] * 2
    unit = "u" * 300
    assert task_wishes([f"a=b:{unit}"], None, "m") == [TaskWish("a", "b", (), unit)]


def test_a_folder_with_a_comma_is_one_label(tmp_path: Path) -> None:
    """The folders of the data are labels as they are."""
    for label in ("glass", "paper, card", "tin"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for place in range(4):
            picture = np.random.default_rng([place, len(label)]).integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "data" / label / f"{place}.png")
    path = written(tmp_path, files.residual())
    import_(path, data=tmp_path / "data", value_range=(0, 1), output=tmp_path / "out")
    assert Bundle.load(tmp_path / "out").tasks[0].labels == ("glass", "paper, card", "tin")


def test_what_does_not_fit_is_one_clear_line(model: Path, pictures: Path, tmp_path: Path) -> None:
    """Wrong labels, several yes-or-no answers, detectors, taken folders and missing pictures."""
    out = tmp_path / "out"
    with pytest.raises(ModelError, match=r"gives 3 values, got 2 labels \(a, b\); give one for each value"):
        import_(model, labels="a,b", output=out)
    with pytest.raises(ModelError, match="gives 3 values, got no labels for them; add --labels"):
        import_(model, output=out)
    with pytest.raises(
        ModelError, match="do not add up to 1, as several yes-or-no answers; say what they are with --sc"
    ):
        import_(written(tmp_path, ending_in("LOGISTIC", 3), "m.tflite"), labels="a,b,c", output=out)
    maker = files.Maker()
    picture = maker.tensor("picture", (1, 8, 8, 3))
    maker.ends([picture], [maker.conv("conv_b", maker.conv("a", picture, (1, 8, 8, 3), 4), (1, 8, 8, 4), 5)])
    maps = written(tmp_path, maker.file(), "maps.tflite")
    with pytest.raises(ModelError, match=r"output conv_b .* is \[1, 8, 8, 5\].* boxes, points or maps"):
        import_(maps, labels="a,b", output=out)
    for arguments, says in (
        ({"add_exits": "auto"}, "--add-exits needs labelled pictures, got none; add --data"),
        ({"int8": True}, "--int8 needs labelled"),
        ({"int8": True, "data": pictures}, "--int8 is for Keras files"),
        ({"distil": True}, "--distil is for exits"),
        ({"value_range": (1.0, -1.0)}, "expected the lower first"),
        ({"colour": "grey"}, "--colour is grey, the model takes RGB"),
        ({"output": tmp_path}, "is there and not empty"),
        ({"add_exits": "conv_a,", "data": pictures}, "expected auto or names of cut points"),
        ({"add_exits": "conv_x", "data": pictures}, "no activation 'conv_x'"),
    ):
        with pytest.raises(ModelError, match=says):
            import_(model, **{"labels": "blue,green,red", "output": out, **arguments})
    with pytest.raises(ModelError, match="gone is no file"):
        import_(tmp_path / "gone", output=out)
    assert not out.exists()


def test_exits_are_chosen_trained_and_measured(
    model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From pictures alone: labels, range, accuracy, and an exit whose model says in the end what it said before."""
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["models", "import", str(model), "--data", str(pictures), "--add-exits", "auto", "-o", str(out), "--json"])
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["cut_point"] for row in said["candidates"] if row["chosen"]] == [said["bundle"]["exits"][0]["after"]]
    assert all(row["accuracy"]["street-view"] > 0.9 for row in said["candidates"])
    assert any("alphabetical order (blue,green,red)" in note for note in said["notes"])
    bundle = Bundle.load(out)
    assert [found.metric for found in bundle.accuracy] == ["accuracy", "accuracy at exit1"]
    assert bundle.accuracy[1].value > 0.8
    engine, whole = Engine(bundle.model_path, outputs=bundle.finals), Engine(model).whole()
    picture = noise(whole.inputs[0])
    never = {"exit1": ExitRule("top-probability", {})}
    ended_at = StagedHead(engine, bundle, "device", never).run(picture)
    assert ended_at.values[0].tobytes() == whole.run(picture)[0].tobytes()
    card = (out / "MODEL_CARD.md").read_text()
    for words in ("## Exits", "set by hand", "by cross-validation in 5 folds", "accuracy at exit1"):
        assert words in card


def test_exits_of_a_task_of_logits_give_logits(pictures: Path, tmp_path: Path) -> None:
    """What an exit of such a task gives is made probabilities once, as the end's is, so that it can be sure."""
    path, out = written(tmp_path, ending_in(None, 3)), tmp_path / "out"
    import_(path, data=pictures, value_range=(0, 1), add_exits="a", output=out)
    bundle = Bundle.load(out)
    assert (bundle.tasks[0].scores, Graph.read(bundle.model_path).operators[-1].kind) == ("logits", "FULLY_CONNECTED")
    said = judging.judge(bundle, read_samples(pictures, bundle.tasks)).answers
    (scores,) = said.exits[0].scores.values()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert said.right(bundle.tasks[0].name)[0].mean() > 0.9
    assert np.median(scores.max(axis=1)) > 0.9


def test_exits_see_the_train_part_alone(
    model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither exits nor the range learn from validation or test, so that `models calibrate` may use the same folder."""
    probed, ranged = run.probe_samples, run.best_range
    seen: dict[str, set[str]] = {"exits": set(), "range": set()}

    def probe(bundle: Bundle, points: Any, samples: Any, **said: Any) -> Any:
        seen["exits"] |= {sample.part for sample in samples}
        return probed(bundle, points, samples, **said)

    def ranges(bundle: Bundle, samples: Any, *said: Any) -> Any:
        seen["range"] |= {sample.part for sample in samples}
        return ranged(bundle, samples, *said)

    monkeypatch.setattr(run, "probe_samples", probe)
    monkeypatch.setattr(run, "best_range", ranges)
    import_(model, data=pictures, add_exits="conv_a", output=tmp_path / "out")
    assert seen == {"exits": {"train"}, "range": {"train"}}
    assert "5 folds of the train part" in " ".join(capsys.readouterr().err.split())
    card = " ".join((tmp_path / "out" / "MODEL_CARD.md").read_text().split())
    assert "(test part of the given folder)" in card
    assert "trained on the train part of the pictures" in card


def test_pictures_for_exits_come_in_folds() -> None:
    """Few are judged in five folds; of many a fifth judges and the rest teach; more than fit are drawn by the seed."""
    train = [Sample(f"{n}.png", f"{n * 2654435761 % 2**64:064x}"[::-1], "train", {}, b"") for n in range(MANY)]
    few, many, drawn = lesson(train[:-1], MANY, 0), lesson(train, MANY, 0), lesson(train, 100, 0)
    assert set(few.folds) == set(range(FOLDS))
    assert many.folds[:-1] == tuple(-1 if fold else 0 for fold in few.folds)
    assert 0.15 < many.folds.count(0) / MANY < 0.25
    assert (len(drawn.samples), drawn) == (100, lesson(train, 100, 0))
    assert "100 pictures; more do not fit" in drawn.notes[0]


def test_too_few_labels_for_exits_or_a_range_are_one_line(model: Path, tmp_path: Path) -> None:
    """A table that knows next to nothing gives no exit of NaN, and no traceback."""
    folder, random = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for number in range(60):
        picture = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
    said: dict[str, Any] = {"labels": "a,b,c", "task": ["kind"], "data": folder, "output": tmp_path / "out"}
    for known, fault in ((0, "says of no picture what kind is, .* --value-range LOW HIGH"), (1, None)):
        rows = [f"{number}.png,{'abc'[number % 3] if number < known else ''}" for number in range(60)]
        (folder / "labels.csv").write_text("\n".join(["file,kind", *rows]))
        if fault:
            with pytest.raises(ModelError, match=fault):
                import_(model, **said)
        with pytest.raises(ModelError, match=r"has [01] pictures in its train part that say something of kind, expec"):
            import_(model, add_exits="conv_a", value_range=(0, 1), **said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("said", [{"add_exits": "conv_a"}, {"int8": True}])
def test_a_damaged_picture_is_named(
    said: dict[str, Any], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among thousands of files the one to look at is told."""
    shutil.copytree(pictures, tmp_path / "data")
    damaged = next(data for data in (b"damaged %d" % n for n in range(99)) if part_of(data) == "train")
    (tmp_path / "data" / "red" / "x.png").write_bytes(damaged)
    monkeypatch.setattr(run._Import, "_keras_file", lambda _: Converted() if "int8" in said else None)
    path = written(tmp_path, files.residual(), "net.keras" if "int8" in said else "net.tflite")
    with pytest.raises(ModelError, match=r"red/x.png: 9 B are no picture"):
        import_(path, data=tmp_path / "data", value_range=(0, 1), output=tmp_path / "out", **said)


def part_of(data: bytes) -> str:
    """The part of a picture of these bytes."""
    return part_by_content(hashlib.sha256(data).hexdigest())


def test_a_tie_of_ranges_is_no_find(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A network that says the same whatever the range leaves it undecided, and the note says how to state it."""
    maker = files.Maker()
    picture = maker.tensor("picture", (1, 8, 8, 3))
    kernel = maker.tensor("kernel", (3, 3), data=np.zeros((3, 3), np.float32))
    scores = maker.tensor("scores", (1, 3))
    given = [files.mean(maker, picture, 3), kernel, maker.weights("bias", (3,))]
    maker.operator("FULLY_CONNECTED", given, [scores], files.schema.FullyConnectedOptionsT())
    maker.ends([picture], [scores])
    import_(written(tmp_path, maker.file()), data=pictures, output=tmp_path / "out")
    said = " ".join(capsys.readouterr().err.split())
    assert "undecided between 0 to 1 and -1 to 1 and 0 to 255 (" in said
    assert "0 to 1 was taken, state the one that the model was trained with by --value-range LOW HIGH." in said


def test_the_best_range_is_a_find() -> None:
    """One range above the others is told with the figures of all."""
    tried = [Tried(-1, 1, 0.9), Tried(0, 1, 0.5), Tried(0, 255, 0.5)]
    assert said_of(tried) == (
        "Range of pixel values: the one of 3 with the best accuracy (-1 to 1: 90%, 0 to 1: 50%, 0 to 255: 50%)."
    )


def test_places_named_by_hand_and_a_teacher(
    model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two named places become two exits in their order; the same seed gives the same file."""
    for name in ("one", "two"):
        import_(
            model, labels="blue,green,red", data=pictures, value_range=(0, 1), add_exits="add,conv_a", distil=True,
            output=tmp_path / name,
        )  # fmt: skip
    bundle = Bundle.load(tmp_path / "one")
    assert [(found.name, found.after) for found in bundle.exits] == [("exit1", "conv_a"), ("exit2", "add")]
    assert [found.thresholds for found in bundle.exits] == [{"street-view": 0.9}] * 2
    assert bundle.digest == Bundle.load(tmp_path / "two").digest
    said = capsys.readouterr().out
    assert said.count("chosen") == 4
    assert "with thresholds set by hand" in said
    assert "headwater models calibrate" in said
    with pytest.raises(ModelError, match="street-view has exits already, expected none"):
        wanted_places(bundle, Wish())


KERAS = """
import sys
from pathlib import Path
import keras
import numpy as np
from headwater.cli import main
folder, pictures = map(Path, sys.argv[1:])
keras.utils.set_random_seed(1)
image = keras.Input((8, 8, 3))
x = keras.layers.Conv2D(8, 3, activation="relu", padding="same")(image)
x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", padding="same")(x)
x = keras.layers.GlobalAveragePooling2D()(x)
keras.Model(image, keras.layers.Dense(3, activation="softmax", name="colour")(x)).save(folder / "net.keras")
layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), *layers]).save(folder / "chain.keras")
try:
    main(["models", "import", str(folder / "chain.keras"), "--labels", "a,b,c", "-o", str(folder / "chain")])
except SystemExit as ended:
    assert ended.code == 0
(folder / "cut.keras").write_bytes((folder / "net.keras").read_bytes()[:1000])
try:
    main(["models", "import", str(folder / "cut.keras"), "--labels", "a,b,c", "-o", str(folder / "cut")])
except SystemExit as ended:
    assert ended.code == 2
pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="first")(image))
early = keras.layers.Dense(3, activation="softmax")(pooled)
late = keras.layers.Dense(3, activation="softmax")(keras.layers.Dense(8, activation="relu")(pooled))
keras.Model(image, {"exit1/kind": early, "kind": late}).save(folder / "early.keras")
files = [str(folder / "early.keras"), "--data", str(pictures), "-o", str(folder / "early")]
try:
    main(["models", "import", *files, "--int8", "--value-range", "0", "1"])
except SystemExit as ended:
    assert ended.code == 0
def done(name, *said):
    try:
        main(["models", "import", str(folder / (name + ".keras")), "-o", str(folder / name), *said])
    except SystemExit as ended:
        assert ended.code == 0, name
layer = keras.layers.Dense(3, activation="softmax", name="d")
values = keras.layers.Rescaling(1e5, 2.5e5)(keras.layers.Dense(1)(pooled))
outputs = [layer(pooled), layer(keras.layers.ReLU()(pooled)), values]
keras.Model(image, outputs).save(folder / "shared.keras")
done("shared", "--task", "one=d:a,b,c", "--task", "two=d_2:a,b,c", "--task", "price=rescaling:EUR")
keras.mixed_precision.set_global_policy("mixed_float16")
half = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(64, 3, activation="relu")(image))
ends = {"kind": keras.layers.Dense(3, activation="softmax", dtype="float32", name="k")(half)}
ends["age"] = keras.layers.Dense(1, dtype="float32", name="a")(half)
keras.Model(image, ends).save(folder / "half.keras")
done("half", "--task", "kind=kind:a,b,c", "--task", "age=age:years")
keras.mixed_precision.set_global_policy("float16")
halved = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="halved")])
halved.add(keras.layers.GlobalAveragePooling2D())
halved.save(folder / "halved.keras")
keras.mixed_precision.set_global_policy("float32")
try:
    main(["models", "import", str(folder / "halved.keras"), "--labels", "a,b,c,d", "-o", str(folder / "halved")])
except SystemExit as ended:
    assert ended.code == 2
drowned = keras.Sequential([
    keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 1), keras.layers.Conv2D(3, 1),
    keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax"),
])
wide = np.eye(3, 4, dtype=np.float32)[None, None]
wide[..., 3] = 3000
back = np.eye(4, 3, dtype=np.float32)[None, None]
none = np.zeros(3, np.float32)
drowned.set_weights([wide, np.zeros(4, np.float32), back, none, 60 * np.eye(3, dtype=np.float32)[::-1], none])
drowned.save(folder / "drowned.keras")
done("drowned", "--data", str(pictures), "--int8", "--value-range", "0", "1")
files = [str(folder / "net.keras"), "--data", str(pictures), "-o", str(folder / "out")]
main(["models", "import", *files, "--int8", "--add-exits", "conv2d_1", "--value-range", "0", "1"])
"""


@pytest.mark.timeout(400)
@needs_tensorflow
def test_a_keras_file_is_converted(pictures: Path, tmp_path: Path) -> None:
    """A chain of layers to float32, networks to int8 with an exit of their own or a new one; never half a file."""
    arguments = [sys.executable, "-c", KERAS, str(tmp_path), str(pictures)]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "cut.keras is no .keras file: got 1000 B that are no whole zip archive; copy it again" in ran.stderr
    assert Bundle.load(tmp_path / "chain").tasks[0].labels == ("a", "b", "c")
    early = Bundle.load(tmp_path / "early")
    assert {found.name: found.outputs for found in early.exits} == {"exit1": {"early": "exit1/kind"}}
    assert early.exits[0].after in early.cut_points
    bundle = Bundle.load(tmp_path / "out")
    engine = Engine(bundle.model_path)
    assert [spec.name for spec in engine.whole().outputs] == ["colour", "exit1/net"]
    assert {tensor.dtype for tensor in engine.graph.tensors} == {"int8", "int32"}
    assert [found.after for found in bundle.exits] == ["conv2d_1"]
    assert "Quantised to int8" in (bundle.folder / "MODEL_CARD.md").read_text()
    check_odd_keras_files(tmp_path, ran.stderr)


def check_odd_keras_files(folder: Path, said: str) -> None:
    """Outputs of one layer, values far from 1, half precision, and what int8 costs; in the same process to be quick."""
    shared = Bundle.load(folder / "shared")
    assert [task.output for task in shared.tasks] == ["d", "d_2", "rescaling"]
    half = Bundle.load(folder / "half")
    assert {tensor.dtype for tensor in Graph.read(half.model_path).tensors} == {"float32", "int32"}
    assert {task.name: task.output for task in half.tasks} == {"kind": "kind", "age": "age"}
    assert "halved.keras holds halved/kernel in float16, expected weights in float32; build it with" in said
    drowned = (folder / "drowned" / "MODEL_CARD.md").read_text()
    for words in (" ".join(said.split()), " ".join(drowned.split())):
        assert "Warning: drowned, accuracy: 100.0% in float32, " in words
        assert "int8 answers worse" in words
    (first,) = Engine(Bundle.load(folder / "drowned").model_path).whole().inputs
    assert (first.scale, first.zero_point) == (pytest.approx(1 / 255), -128)


class NoFaces(Whole):
    """A crop that finds nothing."""

    def cut(self, picture: np.ndarray, width: int, height: int) -> list[Cut]:
        """Return nothing."""
        return []


class Converted:
    """What stands for a Keras file where none is read; nothing of it is quantised."""

    def as_float(self) -> bytes:
        """Return a .tflite file."""
        return files.residual()


@pytest.mark.parametrize("said", [{"int8": True}, {"int8": True, "value_range": (0, 1)}, {"value_range": (0, 1)}])
def test_a_crop_that_finds_nothing_is_said(
    said: dict[str, Any], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures without a face show neither ranges nor accuracy: one line names the crop, and nothing is written."""
    monkeypatch.setattr(run._Import, "_keras_file", lambda _: Converted())
    for module in (run, judging):
        monkeypatch.setattr(module, "open_crop", lambda *_, **__: NoFaces())
    path, out = written(tmp_path, b"", "net.keras"), tmp_path / "out"
    with pytest.raises(ModelError, match=r"^the crop face finds nothing in any of \d+ pictures, expected .*--data"):
        import_(path, data=pictures, crop="face", output=out, **said)
    assert not out.exists()


def test_a_keras_file_without_tensorflow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install."""
    for name in [
        name
        for name in sys.modules
        if name.startswith(("models.training.keras_file", "models.training.convert", "keras"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ModelError, match=r"keras is missing, .* install the extra training"):
        import_(written(tmp_path, b"", "net.keras"), output=tmp_path / "out")
