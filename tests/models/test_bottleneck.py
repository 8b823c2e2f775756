"""A learned bottleneck is layers of the same file: it cuts bit for bit, and says what its arrays say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headwater.cli import main
from models.bundle import SHIPPED, Bundle
from models.engine import Engine
from models.errors import CutError, UnsupportedModel
from models.graph import Graph
from models.parts import seen
from models.pictures import encode_png, to_input
from models.samples import read_samples
from models.tasks import dequantise
from models.training.bottleneck.commands import BottleneckSettings, bottleneck
from models.training.bottleneck.layers import Bottleneck, Convolution
from models.training.bottleneck.splice import CODE, with_bottleneck
from models.training.bottleneck.train import Recipe, activations
from tests.edge.samples import bundle_folder, tiny_bundle
from tests.evaluation.pictures import gradient, write_labelled
from tests.models import tflite_files

LITTER = SHIPPED / "litter" / "model.tflite"


def layers(channels: int, code: int = 3, width: int = 8, seed: int = 0) -> Bottleneck:
    """Return an untrained bottleneck with one halving."""
    rng = np.random.default_rng(seed)

    def layer(side: int, source: int, target: int, **options: object) -> Convolution:
        kernel = rng.normal(0, 1.5 / np.sqrt(side * side * source), (side, side, source, target)).astype(np.float32)
        return Convolution(kernel, rng.normal(0, 0.1, target).astype(np.float32), top=6.0, **options)  # type: ignore[arg-type]

    encoder = (layer(3, channels, width, stride=2, relu=True), layer(1, width, code))
    decoder = (layer(3, code, width, relu=True), layer(3, width, 4 * width, relu=True, doubles=True))
    return Bottleneck(encoder, (*decoder, layer(3, width, channels)))


def pictures(content: bytes | Path, count: int = 3) -> list[np.ndarray]:
    """Return a few inputs for a model."""
    spec = Engine(content).whole().inputs[0]
    rng = np.random.default_rng(4)
    return [to_input(gradient(rng, spec.shape[1]), spec, -1.0, 127 / 128) for _ in range(count)]


@pytest.mark.parametrize("model", ["float", "int8", "odd"])
def test_head_then_tail_is_the_whole_at_every_cut_of_it(model: str) -> None:
    """The code travels as int8 of scale 1, and every cut point around it gives the whole's answer bit for bit."""
    source = tflite_files.residual() if model == "float" else LITTER.read_bytes()
    at, channels = {"float": ("add", 4), "int8": ("block_5_add", 32), "odd": ("block_13_project", 160)}[model]
    finals = None if model == "float" else ["litter"]
    content = with_bottleneck(source, at, layers(channels), finals)
    engine, before = Engine(content, max_cached_parts=99, outputs=finals), Graph.read(source, outputs=finals)
    point = engine.graph.cut_point(CODE)
    assert (point.dtype, point.scale, point.zero_point, point.shape[3]) == ("int8", 1.0, 0, 3)
    names = [point.name for point in engine.graph.cut_points()]
    assert [name for name in names if not name.startswith(CODE)] == [point.name for point in before.cut_points()]
    place = names.index(CODE)
    for picture in pictures(content):
        whole = engine.whole().run(picture)[0]
        for name in [names[0], *names[place - 2 : place + 5], names[-1]]:
            values = engine.head(name).run(picture)
            assert engine.tail(name).run(*values)[0].tobytes() == whole.tobytes()


def test_what_leads_there_is_unchanged() -> None:
    """The head up to the cut point computes what it did, bit for bit."""
    content = with_bottleneck(LITTER.read_bytes(), "block_5_add", layers(32), ["litter"])
    for picture in pictures(content, 2):
        one, other = (Engine(model).head("block_5_add").run(picture)[0] for model in (content, LITTER))
        assert np.array_equal(one, other)


def test_an_exit_before_it_keeps_its_answer() -> None:
    """A branch that reads the cut point goes on reading it, not what the decoder makes of it."""
    source = tflite_files.early_exit()
    content = with_bottleneck(source, "conv_a", layers(4), ["kind"])
    for picture in pictures(source):
        (early, final), (new_early, new_final) = (Engine(model).whole().run(picture) for model in (source, content))
        assert np.array_equal(early, new_early)
        assert not np.array_equal(final, new_final)
    assert CODE in [point.name for point in Graph.read(content, outputs=["kind"]).cut_points()]


def test_a_place_that_does_not_fit_is_refused() -> None:
    """A vector has no halves, and one bottleneck is enough."""
    source = tflite_files.residual()
    with pytest.raises(UnsupportedModel, match="between convolutions"):
        with_bottleneck(source, "pool", layers(6))
    with pytest.raises(CutError, match="already"):
        with_bottleneck(with_bottleneck(source, "add", layers(4)), "conv_a", layers(4))
    with pytest.raises(CutError, match="must give"):
        with_bottleneck(source, "add", layers(5))


def test_it_learns_from_what_a_device_sees(tmp_path: Path) -> None:
    """The activations learnt from are those of the bundle's own crop, as when it is judged."""
    bundle = Bundle.load(bundle_folder(tmp_path / "tiny"))
    bundle = replace(bundle, input=replace(bundle.input, crop="centre"))
    at, label = bundle.cut_points[0], bundle.tasks[0].labels[0]
    (tmp_path / "pictures" / label).mkdir(parents=True)
    wide = np.random.default_rng(0).integers(0, 256, (8, 24, 3), np.uint8)
    (tmp_path / "pictures" / label / "wide.png").write_bytes(encode_png(wide))
    (sample,) = read_samples(tmp_path / "pictures", bundle.tasks)
    head, wanted = Engine(bundle.model_path, outputs=bundle.finals).head(at), bundle.input
    pixels = to_input(seen(bundle, sample), head.inputs[0], wanted.low, wanted.high, wanted.colour)
    found = activations(bundle, [sample], Recipe(at, copies=0), lambda count: None)
    assert np.array_equal(found[0], head.run(pixels)[0][0])


@pytest.mark.parametrize("model", ["float", "int8"])
def test_a_tail_in_real_numbers_says_what_the_file_says(model: str) -> None:
    """The differentiable tail gives the file's answer, of an int8 file up to its rounding."""
    from models.tensorflow_engine.computation import Computation

    source = tflite_files.residual() if model == "float" else LITTER.read_bytes()
    at, tolerance = ("conv_a", 1e-5) if model == "float" else ("block_5_add", 0.1)
    engine = Engine(source, outputs=None if model == "float" else ["litter"])
    graph, final = engine.graph, engine.whole()
    tail = Computation(graph, [graph.index(at)], [graph.outputs[0].index], rounds=False)
    for picture in pictures(source):
        head = engine.head(at)
        values = head.run(picture)[0]
        found = np.asarray(tail(dequantise(values, head.outputs[0]).reshape(values.shape))[0])
        assert found.ravel() == pytest.approx(dequantise(final.run(picture)[0], final.outputs[0]), abs=tolerance)


def test_the_file_computes_what_was_trained(tmp_path: Path) -> None:
    """Code and decoded activation of a float file are those of the arrays it was written from."""
    from models.training.bottleneck.network import Network, Shape, rounded

    source = tflite_files.residual()
    values = [Engine(source).head("add").run(picture)[0] for picture in pictures(source)]
    network = Network(Shape(1, 3, 8), 4, unit=2.0)
    found = network.layers(np.concatenate(values))
    engine = Engine(with_bottleneck(source, "add", found))
    decoded = [p.name for p in engine.graph.cut_points() if p.name.startswith(f"{CODE}_decoder")][-1]
    for value in values:
        code = np.asarray(rounded(network.encode(value / 2.0)))
        assert np.array_equal(engine.part(["add"], [CODE]).run(value)[0], code.astype(np.int8))
        expected = np.asarray(network.decode(code)) * 2.0
        assert engine.part(["add"], [decoded]).run(value)[0] == pytest.approx(expected, abs=1e-3)


def test_odd_sides_are_cut_to_size() -> None:
    """What is halved more often than it can be comes back in its own size, as the training computed it."""
    from models.training.bottleneck.network import Network, Shape, rounded

    source = tflite_files.residual()
    values = [Engine(source).head("conv_c").run(picture)[0] for picture in pictures(source)]
    network = Network(Shape(3, 3, 8), 6, unit=2.0)
    engine = Engine(with_bottleneck(source, "conv_c", network.layers(np.concatenate(values))))
    assert engine.graph.cut_point(CODE).shape == (1, 1, 1, 3)
    for value in values:
        code = rounded(network.encode(value / 2.0))
        expected = np.asarray(network.decode(code, (4, 4))) * 2.0
        found = engine.part(["conv_c"], [f"{CODE}_fitted"]).run(value)[0]
        assert found.shape == value.shape
        assert found == pytest.approx(expected, abs=1e-3)


def test_training_brings_the_answers_back(tmp_path: Path) -> None:
    """After a short training the code says more of the model's answer than an untrained one of the same size."""
    from models.training.bottleneck.network import Shape
    from models.training.bottleneck.train import Recipe, train_bottleneck

    bundle = tiny_bundle(tmp_path / "tiny")
    samples = read_samples(write_labelled(tmp_path / "data", bundle, 40), bundle.tasks)
    errors = {}
    for epochs in (1, 30):
        recipe = Recipe("add", wire_bytes=200, shape=Shape(1, 6, 12), epochs=epochs, copies=4, batch=20)
        content = train_bottleneck(bundle, samples, recipe, Silent())
        inputs = pictures(bundle.model_path, 20)
        answers = [np.stack([Engine(m).whole().run(p)[0] for p in inputs]) for m in (bundle.model_path, content)]
        errors[epochs] = float(np.abs(answers[0] - answers[1]).mean())
    assert errors[30] < 0.8 * errors[1]


def test_the_command_writes_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It loads, offers the code as a cut point between its neighbours, and its card has the figures."""
    folder = bundle_folder(tmp_path / "mine")
    data = write_labelled(tmp_path / "data", Bundle.load(folder), 60)
    out = tmp_path / "out"
    asked = BottleneckSettings(data=data, at="add", wire_bytes=100, channels=2, width=4, epochs=1, copies=1, output=out)
    bottleneck(str(folder), settings=asked)
    (target,) = out.iterdir()
    made = Bundle.load(target)
    assert made.name == "tiny-bottleneck"
    assert made.cut_points[made.cut_points.index("add") + 1] == CODE
    assert [figure.task for figure in made.accuracy] == ["litter"]
    assert "| litter |" in (target / "MODEL_CARD.md").read_text()
    assert "B per picture" in capsys.readouterr().out


@pytest.mark.parametrize(("at", "halvings"), [("add", 1), ("conv_c", 3)])
def test_few_pictures_and_odd_sides_are_trained_on(tmp_path: Path, at: str, halvings: int) -> None:
    """Fewer activations than a batch are one smaller batch, and any place between convolutions will do."""
    folder = bundle_folder(tmp_path / "mine")
    data = write_labelled(tmp_path / "data", Bundle.load(folder), 60)
    asked = BottleneckSettings(
        data=data, at=at, halvings=halvings, channels=2, width=4, epochs=2, copies=0, limit=5, output=tmp_path / "out"
    )
    bottleneck(str(folder), settings=asked)
    assert CODE in Bundle.load(tmp_path / "out/tiny-bottleneck").cut_points


@pytest.mark.parametrize("command", ["train bottleneck x --at y", "privacy x"])
@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_a_seed_that_no_generator_takes_is_refused(command: str, seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line before anything is read."""
    with pytest.raises(SystemExit) as ended:
        main(["models", *command.split(), "--data", "z", f"--seed={seed}"])
    assert ended.value.code == 2
    assert "seed" in capsys.readouterr().err


def test_unknown_labels_are_not_wrong(tmp_path: Path) -> None:
    """What is right is counted among the pictures whose label is known; what agrees, among all."""
    from models.training.bottleneck.write import judge, write_bottleneck

    bundle = tiny_bundle(tmp_path / "mine")
    samples = read_samples(write_labelled(tmp_path / "data", bundle, 12), bundle.tasks)
    half = [replace(sample, targets={}) if n % 2 else sample for n, sample in enumerate(samples)]
    content = with_bottleneck(bundle.model_path.read_bytes(), "add", layers(4))
    whole, found = judge(bundle, content, samples), judge(bundle, content, half)
    assert (found.known, found.right_before, found.pictures) == ({"litter": 6}, {"litter": 6}, 12)
    assert found.agreed == whole.agreed == whole.right
    made = Bundle.load(write_bottleneck(tmp_path / "out", bundle, content, "add", "x", found))
    assert [(figure.pictures, figure.value) for figure in made.accuracy] == [(6, round(found.right["litter"] / 6, 4))]
    none = judge(bundle, content, [replace(sample, targets={}) for sample in samples])
    assert not Bundle.load(write_bottleneck(tmp_path / "none", bundle, content, "add", "x", none)).accuracy


class Silent:
    """A progress that nobody sees."""

    def expect(self, steps: float) -> None: ...

    def say(self, text: str) -> None: ...

    def step(self, count: float) -> None: ...
