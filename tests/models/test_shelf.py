"""The shelf: its list, its layer tables, its networks as files that the stream can cut, its trainings."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from headwater.cli import main
from headwater.command_list import COMMANDS
from models.bundle import SHIPPED, Bundle
from models.engine import Engine
from models.errors import ModelError
from models.exits import ExitRule
from models.graph import Graph
from models.layers import CHAINS, rows_of, tables
from models.pictures import to_input
from models.shelf import SHELF, entry, standings
from models.stages import StagedHead
from models.training.epochs import FILE, read_epochs
from models.zoo.chain import cut_points, rows

ROOT = Path(__file__).parents[2]
DIGITS = ROOT.parent / "shared" / "data" / "mnist" / "mnist.npz"
pytestmark = pytest.mark.timeout(600)  # one process makes all files of the shelf, with TensorFlow


@pytest.mark.parametrize(("name", "count", "cuts"), [("alexnet", 19, 10), ("vgg16", 37, 21), ("mnist", 9, 6)])
def test_networks_have_the_documents_layers(name: str, count: int, cuts: int) -> None:
    """AlexNet has 19 layers, VGG16 37, the network for digits 9, numbered without gaps."""
    found = rows_of(name)
    assert [row.number for row in found] == list(range(1, count + 1))
    assert len(cut_points(CHAINS[name])) == cuts
    assert found[-1].cut_point == "device"


def test_layers_read_as_the_documents_tables() -> None:
    """The lines that papers/001 prints stand in ours, with the sizes that follow from them."""
    lines = {name: {row.number: row.text for row in rows_of(name)} for name in CHAINS}
    assert lines["alexnet"][1] == "Conv2d(3, 64, kernel_size=11, stride=4, padding=2)"
    assert lines["alexnet"][4] == "Conv2d(64, 192, kernel_size=5, padding=2)"
    assert lines["alexnet"][17] == "Linear(4096, 4096)"
    assert lines["vgg16"][32] == "AdaptiveAvgPool2d((7, 7))"
    assert lines["vgg16"][33] == "Linear(25088, 4096)"
    assert lines["mnist"] == {
        1: "Conv2d(1, 10, kernel_size=5)",
        2: "MaxPool2d(kernel_size=2, stride=2)",
        3: "ReLU()",
        4: "Conv2d(10, 20, kernel_size=5)",
        5: "MaxPool2d(kernel_size=2, stride=2)",
        6: "Linear(320, 50)",
        7: "ReLU()",
        8: "Linear(50, 10)",
        9: "Softmax(dim=1)",
    }


def test_the_page_about_layers_is_the_table_of_the_code() -> None:
    """docs/layers.md ends with what the code says."""
    assert (ROOT / "docs/layers.md").read_text().endswith(tables() + "\n")


@pytest.mark.parametrize("name", list(CHAINS))
def test_layers_map_to_the_cut_points_of_the_file(shelf: tuple[Path, dict], name: str) -> None:
    """Every cut point of the table is one of LiteRT's file, in that order, and lies behind its layer."""
    folder, _ = shelf
    chain = CHAINS[name] if name == "mnist" else CHAINS[name].thin(32)
    points = {point.name: point for point in Graph.read(folder / f"{name}.tflite").cut_points()}
    assert [point for point in points if point in cut_points(chain)] == list(cut_points(chain))
    for row in rows(chain):
        if row.cut_point in points:
            assert tuple(points[row.cut_point].shape[1:]) == row.shape, row
    others = set(points) - set(cut_points(chain))
    assert others <= {"pad_1", "flatten.Reshape"}


def test_a_trained_network_answers_alike_at_every_split(shelf: tuple[Path, dict]) -> None:
    """A bundle of a training gives the same bits when the device computes nothing, a part, or everything."""
    folder, _ = shelf
    for name in ("mnist", "mnist-fp32"):
        bundle = Bundle.load(folder / name)
        engine = Engine(bundle.model_path)
        spec = engine.whole().inputs[0]
        picture = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
        given = to_input(picture, spec, bundle.input.low, bundle.input.high, bundle.input.colour)
        (expected,) = engine.tail("image").run(given)
        assert bundle.cut_points == cut_points(CHAINS["mnist"])
        for split in (*bundle.cut_points, "device"):
            staged = StagedHead(engine, bundle, split, {}).run(given)
            answer = staged.values if split == "device" else engine.tail(split).run(*staged.values)
            assert answer[0].tobytes() == expected.tobytes(), (name, split)


def test_a_training_says_what_it_measured(shelf: tuple[Path, dict]) -> None:
    """Manifest and card give the accuracy on the pictures never seen, the source and the licence."""
    folder, _ = shelf
    bundle = Bundle.load(folder / "mnist")
    card = (bundle.folder / "MODEL_CARD.md").read_text()
    assert bundle.accuracy[0].pictures == 100
    assert bundle.accuracy[0].value > 0.5
    for text in ("squares", "CC0", "Luger 2023", "| final | 100 |", "seed 0"):
        assert text in card
    assert [row[:2] for row in read_epochs(bundle.folder / FILE)] == [(number, "final") for number in (1, 2, 3)]


def test_an_unfinished_training_is_kept_until_its_bundles_are_written(shelf: tuple[Path, dict]) -> None:
    """An interruption while converting loses nothing; other data begins anew; only what is done with is removed."""
    assert shelf[1]["unfinished"]
    assert all(shelf[1]["unfinished"].values()), shelf[1]["unfinished"]


def test_a_card_does_not_contradict_itself(shelf: tuple[Path, dict]) -> None:
    """What was decided with the test pictures is not denied, and the decay is the same number twice."""
    card = " ".join((shelf[0] / "cifar-mem" / "MODEL_CARD.md").read_text().split())
    assert "was decided with an eye on the test pictures" in card
    assert "neither when the training ended nor which epoch was kept" in card
    assert "chosen by looking" not in card
    assert "is given 0.007 for the same" in card
    assert "decay 0.007, batches of 512" in card


def test_a_network_for_timing_says_so(shelf: tuple[Path, dict]) -> None:
    """Its card and description promise no accuracy; its scores are taken as logits."""
    folder, _ = shelf
    bundle = Bundle.load(folder / "alexnet")
    assert "its answers mean nothing" in bundle.description
    assert "**For timing, no accuracy**" in " ".join((bundle.folder / "MODEL_CARD.md").read_text().split())
    assert bundle.tasks[0].scores == "logits"
    assert bundle.accuracy == ()


@pytest.mark.parametrize("name", ["cifar-mem", "cifar-mem-fp32"])
def test_exits_stand_where_the_document_has_them(shelf: tuple[Path, dict], name: str) -> None:
    """Eight exits branch off behind eight blocks; norms are folded; whole and staged runs agree bit for bit."""
    folder, _ = shelf
    bundle = Bundle.load(folder / name)
    assert {operator.kind for operator in Graph.read(bundle.model_path).operators} == {
        "ADD", "CONV_2D", "MAX_POOL_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"
    }  # fmt: skip
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    assert set(bundle.cut_points) <= {point.name for point in engine.graph.cut_points()}
    assert [found.after for found in bundle.exits] == [f"block{number}" for number in range(1, 9)]
    given = np.zeros((1, 32, 32, 3), engine.whole().inputs[0].dtype)
    (expected,) = engine.whole().run(given)
    never = {found.name: ExitRule("normalised-entropy", {"object": -1.0}) for found in bundle.exits}
    assert StagedHead(engine, bundle, "device", never).run(given).values[0].tobytes() == expected.tobytes()
    fifth = never | {"exit5": ExitRule("normalised-entropy", {"object": 2.0})}
    assert StagedHead(engine, bundle, "device", fifth).run(given).exit == "exit5"


def test_colours_and_means_are_folded_into_the_first_layer(shelf: tuple[Path, dict]) -> None:
    """VGG16 on RGB in the shelf's range answers as Caffe's on BGR less the mean, but for its border."""
    assert shelf[1]["colours"] < 1e-2


def test_changed_copies_are_repeatable(shelf: tuple[Path, dict]) -> None:
    """The same seed gives the same copies, which differ among themselves and keep their size."""
    assert all(shelf[1]["changes"].values()), shelf[1]["changes"]


def test_the_first_layer_whitens_and_the_others_begin_as_the_identity(shelf: tuple[Path, dict]) -> None:
    """The fixed filters are twelve that share nothing, in both signs; a convolution hands on what it gets."""
    assert all(shelf[1]["starts"].values()), shelf[1]["starts"]


def test_every_model_of_the_shelf_has_a_command() -> None:
    """What `list` advises is a command that there is."""
    for one in SHELF:
        words = one.command.split()
        group, name = ("models train", words[3]) if words[2] == "train" else ("models", words[2])
        if not one.name.startswith("faces"):
            assert name in COMMANDS[group], one.command
        assert one.name in words


def test_what_is_here_is_listed(shelf: tuple[Path, dict], capsys: pytest.CaptureFixture[str]) -> None:
    """The list knows shipped, built and trained bundles, their size and accuracy."""
    folder, _ = shelf
    with pytest.raises(SystemExit) as ended:
        main(["models", "list", "--json", "--bundles", str(folder)])
    assert ended.value.code == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(listed) == {one.name for one in SHELF}
    assert listed["litter"]["state"] == "shipped"
    assert listed["alexnet"]["state"] == "built"
    assert [one["name"] for one in listed["mnist"]["bundles"] if one["state"] == "trained"] == ["mnist", "mnist-fp32"]
    assert listed["cifar-sem1"]["state"] == "not here"
    assert listed["cifar-mem"]["exits"] == [f"exit{number}" for number in range(1, 9)]
    with pytest.raises(SystemExit):
        main(["models", "list", "--bundles", str(folder)])
    shown = capsys.readouterr().out
    assert "headwater models train cifar-sem1 --data" in shown
    assert "headwater models build alexnet" not in shown


def test_figures_are_told_with_their_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each figure of the list stands behind the name of its task; an error has its unit."""
    with pytest.raises(SystemExit) as ended:
        main(["models", "list", "--bundles", str(tmp_path)])
    assert ended.value.code == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert re.search(r" gender \d\d\.\d%, age-group \d\d\.\d%, age ±\d\.\d\d years ", lines["faces"])
    assert " digit 99.3% " in lines["mnist"]


def test_the_shipped_ones_are_on_the_shelf() -> None:
    """Every bundle that ships is an entry of the shelf, with the tasks that it says."""
    for path in sorted(SHIPPED.iterdir()):
        bundle = Bundle.load(path)
        found = entry(path.name.removesuffix("-fp32"))
        assert bundle.digest in {one.bundle.digest for one in standings(found, ())}
        assert set(found.tasks) == {task.name for task in bundle.tasks}


@pytest.mark.parametrize("name", ["mnist", "mnist-fp32"])
def test_the_shipped_digits_are_read_rightly(name: str) -> None:
    """At least 98 of 100 of MNIST's first thousand test digits are read rightly, and the card says 99 % of all."""
    if not DIGITS.is_file():
        pytest.fail(f"{DIGITS} is missing") if os.environ.get("CI") else pytest.skip("MNIST is not here")
    bundle = Bundle.load(name)
    whole = Engine(bundle.model_path).whole()
    with np.load(DIGITS) as arrays:
        pictures, labels = arrays["x_test"][:1000], arrays["y_test"][:1000]
    said = []
    for picture in pictures:
        rgb = np.repeat(picture[..., None], 3, axis=2)
        (scores,) = whole.run(to_input(rgb, whole.inputs[0], bundle.input.low, bundle.input.high, bundle.input.colour))
        said.append(int(scores.argmax()))
    assert np.mean(np.array(said) == labels) >= 0.98
    assert bundle.accuracy[0].value >= 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "mnist"], "mnist is trained, not built: headwater models train mnist"),
        (["build", "alexnet", "--weights", "x.npz"], "--weights is given for alexnet"),
        (["build", "alexnett"], "no model of the shelf is called 'alexnett'; there are: litter"),
        (["list", "--bundles", "nowhere"], "--bundles nowhere is not there, expected a folder with bundles"),
        (["list", "--bundles", __file__], "is no folder, expected a folder with bundles"),
        (["layers", "litter"], "'litter' has no table of layers, expected one of alexnet, vgg16, mnist"),
    ],
)
def test_wrong_calls_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown or unfitting name ends with status 2 and says what to do."""
    with pytest.raises(SystemExit) as ended:
        main(["models", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_unknown_models_are_named() -> None:
    """The registry names what it has."""
    with pytest.raises(ModelError, match="there are: litter, faces"):
        entry("nothing")
