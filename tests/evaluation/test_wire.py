"""Accuracy against bytes: the figures are those of doing it by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.commands import PrivacySettings, WireSettings, privacy, spread, wire
from evaluation.judging import Score, Tally
from evaluation.privacy import measure as rebuild
from evaluation.rebuilding import Recipe
from evaluation.wire import FLOAT_CODECS, QUALITIES, Row, borne_out, chance_of_at_most, chosen_codecs, measure
from evaluation.wire_report import apart, plot
from headwater.codec import Codec, decode_tensor, encode_tensor
from models.bundle import Bundle
from models.engine import Engine
from models.errors import ModelError
from models.parts import chosen_samples, seen
from models.pictures import DataError, to_input
from models.samples import unlabelled_samples
from models.tasks import Prediction, predictions
from models.training.bottleneck.splice import with_bottleneck
from tests.edge.samples import bundle_folder, tiny_bundle
from tests.evaluation.pictures import said, write_labelled
from tests.models.test_bottleneck import layers

COUNT, WRONG = 24, 6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small float classifier."""
    return tiny_bundle(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture(scope="module")
def data(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of which the bundle is wrong about a known number."""
    return write_labelled(tmp_path_factory.mktemp("data"), bundle, COUNT, wrong=WRONG)


@pytest.fixture(scope="module")
def rows(bundle: Bundle, data: Path) -> list[Row]:
    """Everything measured."""
    return measure(bundle, chosen_samples(bundle, data, "all"), ["conv_a", "add", "pool"])


def test_what_loses_nothing_gives_the_very_same_answers(rows: list[Row]) -> None:
    """PNG and float32 agree with the uncompressed answer on every picture, and are as right as the model is."""
    lossless = [row for row in rows if row.codec in {"png", "float32", "float32+zstd"}]
    assert len(lossless) == 7
    for row in lossless:
        assert row.scores == (Score("litter", "accuracy", 1 - WRONG / COUNT, 1.0, COUNT),)


def test_cut_points_may_be_asked_for_in_any_order(bundle: Bundle, data: Path, rows: list[Row]) -> None:
    """The rows are those of the file's order, whatever the order in which the cut points were named."""
    assert measure(bundle, chosen_samples(bundle, data, "all"), ["pool", "conv_a", "add"]) == rows


def test_bytes_are_those_of_the_payload(rows: list[Row]) -> None:
    """An uncompressed activation takes its values times their size, whatever the picture."""
    sizes = {(row.split, row.codec): (row.bytes_mean, row.bytes_largest) for row in rows}
    for split, values in (("conv_a", 8 * 8 * 4), ("add", 8 * 8 * 4), ("pool", 6)):
        assert [sizes[split, codec] for codec in ("float32", "float16", "uint8")] == [
            (size * values, size * values) for size in (4, 2, 1)
        ]
    assert {codec for split, codec in sizes if split == "add"} == set(FLOAT_CODECS)
    assert len([codec for split, codec in sizes if split == "image"]) == 1 + 2 * len(QUALITIES)
    assert sizes["image", "jpeg:95"] > sizes["image", "jpeg:10"]


def test_a_lossy_codec_is_judged_by_what_the_tail_says(bundle: Bundle, data: Path, rows: list[Row]) -> None:
    """Agreement of uint8 at a cut is the share of pictures whose label the decoded activation keeps."""
    engine, codec = Engine(bundle.model_path), Codec("uint8", "none")
    head, tail, whole = engine.head("conv_a"), engine.tail("conv_a"), engine.whole()
    same = []
    for sample in chosen_samples(bundle, data, "all"):
        values = to_input(seen(bundle, sample), whole.inputs[0], -1.0, 1.0)
        sent = decode_tensor(encode_tensor(head.run(values)[0], codec), 10_000)
        labels = [
            predictions(bundle, outputs, tail.outputs)[0].label for outputs in (tail.run(sent), whole.run(values))
        ]
        same.append(labels[0] == labels[1])
    (row,) = [row for row in rows if (row.split, row.codec) == ("conv_a", "uint8")]
    assert row.score("litter").agreement == pytest.approx(np.mean(same))


def test_the_cheapest_codec_within_the_bound_is_chosen() -> None:
    """Fewest bytes win, agreement decides between equals, WebP is not offered, and nothing fits where all lose."""
    rows = [
        _row("image", "png", 5000, 0.9),
        _row("image", "jpeg:10", 300, 0.8),
        _row("image", "jpeg:50", 900, 0.897),
        _row("image", "webp:10", 200, 0.9),
        _row("add", "native", 100, 0.9, agreement=0.95),
        _row("add", "float16", 100, 0.9, agreement=1.0),
        _row("add", "float32", 400, 0.9),
        _row("last", "uint8", 10, 0.5),
    ]
    assert chosen_codecs(rows, 0.5) == {"image": "jpeg:50", "add": "float16"}
    assert chosen_codecs(rows, 0.0)["image"] == "png"
    assert chosen_codecs(rows, 40.0) == {"image": "jpeg:10", "add": "float16", "last": "uint8"}


def test_few_pictures_do_not_vouch_for_a_lossy_codec() -> None:
    """Below 598 for half a point the cheapest lossless codec takes its place; a lossless one stays."""
    rows = [
        _row("image", "png", 5000, 0.9),
        _row("image", "jpeg:50", 900, 0.9),
        _row("add", "native", 100, 0.9),
        _row("add", "native+zstd", 80, 0.9),
        _row("last", "float32", 400, 0.9),
        _row("last", "float32+zstd", 300, 0.9),
        _row("last", "uint8+zstd", 90, 0.9),
    ]
    chosen = chosen_codecs(rows, 0.5)
    assert borne_out(chosen, rows, 0.5, 598) == chosen
    assert chosen["image"] == "jpeg:50"
    assert borne_out(chosen, rows, 0.5, 597) == {"image": "png", "add": "native+zstd", "last": "float32+zstd"}


def test_changes_that_were_seen_count_against_a_codec() -> None:
    """Three changed answers among 600 may be 1.3 in 100 (Clopper and Pearson), whether or not they cost accuracy."""
    assert chance_of_at_most(3, 600, 0.01286) == pytest.approx(0.05, abs=1e-3)
    assert chance_of_at_most(0, 10, 0.0) == chance_of_at_most(3, 3, 1.0) == 1.0
    rows = [_row("image", "png", 5000, 0.9), _row("image", "jpeg:20", 300, 0.9, agreement=1 - 3 / 600)]
    assert borne_out({"image": "jpeg:20"}, rows, 0.5, 600) == {"image": "png"}
    assert borne_out({"image": "jpeg:20"}, rows, 1.3, 600) == {"image": "jpeg:20"}
    rows = [rows[0], _row("image", "jpeg:20", 300, 0.9, agreement=1 - 3 / 10_000)]
    assert borne_out({"image": "jpeg:20"}, rows, 0.5, 10_000) == {"image": "jpeg:20"}


def test_a_split_without_a_vouched_or_lossless_codec_is_left_out() -> None:
    """Behind a bottleneck the lossless codec may lose too much where a lossy one got through by luck."""
    rows = [
        _row("image", "png", 5000, 0.9),
        _row("x", "float32+zstd", 300, 0.894, agreement=0.99),
        _row("x", "uint8+zstd", 90, 0.896, agreement=0.99),
    ]
    chosen = chosen_codecs(rows, 0.5)
    assert chosen["x"] == "uint8+zstd"
    assert borne_out(chosen, rows, 0.5, 500) == {"image": "png"}


def test_errors_of_a_regression_are_in_its_unit() -> None:
    """The mean absolute error is of the known values only; moves of half a unit still agree; loss is in per cent."""
    tally, reference = Tally(), Tally()
    for truth, got, whole in ((30.0, 33.0, 32.6), (50.0, 45.0, 47.0), (None, 7.0, 7.0)):
        targets = {} if truth is None else {"age": truth}
        tally.add([_age(got)], [_age(whole)], targets)
        reference.add([_age(whole)], [_age(whole)], targets)
    (found,), (before,) = tally.scores(), reference.scores()
    assert found == Score("age", "mean absolute error", 4.0, pytest.approx(2 / 3), 2)
    assert found.loss_points(before) == pytest.approx(100 * (4.0 - 2.8) / 2.8)


def test_what_the_bundle_held_out_is_the_test_part(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    """The list of a bundle decides before the content does, and a limit draws the same pictures again."""
    everything = chosen_samples(bundle, data, "all")
    folder = bundle_folder(tmp_path / "listed")
    (folder / "held_out.txt").write_text("# held out\n" + "\n".join(f"{s.digest} clean" for s in everything[:5]))
    listed = Bundle.load(folder)
    assert chosen_samples(listed, data, "test") == everything[:5]
    assert chosen_samples(listed, data, "train") == everything[5:]
    assert chosen_samples(bundle, data, "all", 4) == chosen_samples(bundle, data, "all", 4)
    assert len(chosen_samples(bundle, data, "all", 4)) == 4
    with pytest.raises(DataError, match="no picture of the part validation"):
        chosen_samples(listed, data, "validation")


def test_unlabelled_pictures_are_never_those_that_are_judged(bundle: Bundle, data: Path) -> None:
    """Every picture of the source comes once, without the ones named, and can be read."""
    everything = chosen_samples(bundle, data, "all")
    judged = {sample.digest for sample in everything[:3]}
    found = unlabelled_samples(data, judged)
    assert {sample.digest for sample in found} == {sample.digest for sample in everything[3:]}
    assert seen(bundle, found[0]).shape == (8, 8, 3)


def test_pictures_without_labels_are_refused(bundle: Bundle, data: Path) -> None:
    """Nothing can be right where nothing is known: one line before anything is computed."""
    bare = unlabelled_samples(data, set())
    with pytest.raises(ModelError, match="none of the 24 pictures has a known label of litter"):
        measure(bundle, bare, ["add"], reference=replace(bundle, model_path=Path("none")))
    with pytest.raises(ModelError, match="none of the 24 pictures"):
        rebuild(bundle, [], bare, ["add"], Recipe())


def test_a_bare_model_cannot_be_judged(bundle: Bundle, data: Path) -> None:
    """Without tasks there is no answer to be right about."""
    with pytest.raises(ModelError, match="no tasks"):
        measure(replace(bundle, tasks=()), chosen_samples(bundle, data, "all"), ["add"])


def test_a_reference_answers_the_pictures(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    """Rows of the picture are the reference's; those of cut points are compared with it, not with their own model."""
    samples = chosen_samples(bundle, data, "all")
    other = tiny_bundle(tmp_path / "other", with_bottleneck(bundle.model_path.read_bytes(), "add", layers(4)))
    png, *_, code = measure(other, samples, ["bottleneck"], reference=bundle)
    assert png.scores == (Score("litter", "accuracy", 1 - WRONG / COUNT, 1.0, COUNT),)
    one, two = Engine(bundle.model_path), Engine(other.model_path)
    same = [said(bundle, one, seen(bundle, s)) == said(bundle, two, seen(bundle, s)) for s in samples]
    assert code.score("litter").agreement == pytest.approx(np.mean(same))
    with pytest.raises(ModelError, match="differ in tasks"):
        measure(other, samples, ["bottleneck"], reference=replace(bundle, input=replace(bundle.input, low=0.0)))


def test_the_command_writes_files_and_the_choice(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CSV and SVG hold every row, the SVG is the same bytes again, and the bundle keeps the chosen codecs."""
    folder = bundle_folder(tmp_path / "mine")
    for name in ("one", "two"):
        asked = WireSettings(data=data, cuts="add,pool", part="all", output=tmp_path / name, write=name == "two")
        wire(str(folder), settings=asked)
    table = list(csv.DictReader((tmp_path / "one/wire-tiny.csv").read_text().splitlines()))
    assert len(table) == 1 + 2 * len(QUALITIES) + 2 * len(FLOAT_CODECS)
    assert (tmp_path / "one/wire-tiny.svg").read_bytes() == (tmp_path / "two/wire-tiny.svg").read_bytes()
    kept = Bundle.load(folder)
    assert kept.codecs["image"] == "png"
    assert {kept.codecs[cut].partition("+")[0] for cut in ("add", "pool")} == {"float32"}
    assert kept.wire is not None
    assert kept.wire.pictures == COUNT
    assert "chosen" in capsys.readouterr().out


def test_the_choice_of_other_cuts_is_kept(data: Path, tmp_path: Path) -> None:
    """Measured one after the other or together, the bundle holds the same."""
    one, both = bundle_folder(tmp_path / "one"), bundle_folder(tmp_path / "both")
    for folder, cuts in ((one, "add"), (one, "pool"), (both, "add,pool")):
        wire(str(folder), settings=WireSettings(data=data, cuts=cuts, part="all", write=True))
    assert Bundle.load(one).wire == Bundle.load(both).wire
    assert set(Bundle.load(one).codecs) == {"image", "add", "pool"}


@pytest.mark.parametrize(("cuts", "said"), [("add,pool,add", "add 2 times"), ("add,net_1/add_1/Add", "add 2 times")])
def test_a_cut_named_twice_is_refused(tmp_path: Path, cuts: str, said: str) -> None:
    """Before any picture is looked for, by both commands."""
    folder = str(bundle_folder(tmp_path / "mine"))
    with pytest.raises(ModelError, match=said):
        wire(folder, settings=WireSettings(data=tmp_path / "none", cuts=cuts))
    with pytest.raises(ModelError, match=said):
        privacy(folder, settings=PrivacySettings(data=tmp_path / "none", cuts=cuts))


def test_neighbours_are_not_named_over_one_another(tmp_path: Path) -> None:
    """Of cut points closer than a name is wide the cheaper one is named, at its cheapest codec, inside the frame."""
    assert apart({"c": 0.5, "a": 0.1, "b": 0.12, "d": 0.53}, 0.025) == ["a", "c", "d"]
    sizes = {"add": 1000, "near": 1010, "far": 3000}
    rows = [_row("image", codec, 5000, 0.9) for codec in ("png", "jpeg:50", "webp:50")]
    rows += [_row(cut, codec, n * size, 0.9) for cut, n in sizes.items() for codec, size in (("a", 9), ("b+zstd", 1))]
    plot(tmp_path / "wire.svg", rows, "x")
    text = (tmp_path / "wire.svg").read_text()
    assert [text.count(f">{cut}<") for cut in sizes] == [2, 0, 2]


def test_default_cuts_are_spread() -> None:
    """First and last are among them, and few names are all taken."""
    assert spread(tuple("abcdefghi")) == ["a", "c", "e", "g", "i"]
    assert spread(("a", "b")) == ["a", "b"]
    assert spread(()) == []


def _row(split: str, codec: str, size: float, accuracy: float, agreement: float = 1.0) -> Row:
    return Row(split, codec, size, int(size), (Score("litter", "accuracy", accuracy, agreement, 100),))


def _age(value: float) -> Prediction:
    return Prediction("age", None, value, None, [])
