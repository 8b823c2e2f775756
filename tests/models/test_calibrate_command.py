"""`headwater models calibrate`: a real bundle is asked about real files, and its bundle.toml is changed."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headwater.cli import main
from models.bundle import Bundle
from models.choices import Part
from models.engine import Engine
from models.exits import ExitRule, entropy
from models.judge import judge, place_madds
from models.manifest_text import rewrite_exits
from models.parts import HELD_OUT_FILE, chosen_samples, seen
from models.pictures import to_input
from models.samples import Sample, read_samples
from models.stages import StagedHead, rules_of
from models.tasks import predictions, tempered
from tests.edge.samples import bundle_folder, exit_bundle

PICTURES = 120


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A network with one exit that nobody leaves at."""
    return exit_bundle(tmp_path / "early", 0.0)


@pytest.fixture
def pictures(tmp_path: Path, bundle: Bundle) -> Path:
    """Noise, each picture in the folder of what the whole network says of it: the end is always right."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    for label in bundle.tasks[0].labels:
        (folder / "all" / label).mkdir(parents=True)
    for number in range(PICTURES):
        path = folder / "all" / bundle.tasks[0].labels[0] / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    for sample in judge(bundle, read_samples(folder, bundle.tasks)).samples:
        said = judge(bundle, [sample]).answers.final.scores["litter"][0]
        path = folder / sample.name
        path.rename(folder / "all" / bundle.tasks[0].labels[int(said.argmax())] / path.name)
    return folder


def _run(*arguments: str | Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", "calibrate", *map(str, arguments)])
    assert ended.value.code == 0


def _shown(bundle: Bundle, sample: Sample, head: StagedHead) -> np.ndarray:
    """Return a picture as the device hands it to its head."""
    wanted = bundle.input
    return to_input(seen(bundle, sample), head.inputs[0], wanted.low, wanted.high, wanted.colour)


def test_judging_says_what_the_staged_run_says(bundle: Bundle, pictures: Path) -> None:
    """Scores of exit and end are those of the device's own staged run, picture by picture; costs grow."""
    judged = judge(bundle, read_samples(pictures, bundle.tasks))
    engine, exit_ = Engine(bundle.model_path, outputs=bundle.finals), bundle.exits[0].name
    never, always = (
        StagedHead(engine, bundle, "device", {exit_: ExitRule("entropy", {"litter": limit})}) for limit in (0.0, 99.0)
    )
    shown = [_shown(bundle, sample, never) for sample in judged.samples]
    left, kept = [always.run(one) for one in shown], [never.run(one) for one in shown]
    assert {one.exit for one in left} == {exit_}
    assert {one.exit for one in kept} == {None}
    at_exit = [one.predictions[0].scores for one in left]
    at_end = [predictions(bundle, one.values, never.outputs)[0].scores for one in kept]
    assert judged.answers.exits[0].scores["litter"] == pytest.approx(np.array(at_exit), abs=1e-6)
    assert judged.answers.final.scores["litter"] == pytest.approx(np.array(at_end), abs=1e-6)
    assert np.abs(np.array(at_exit) - at_end).max() > 0.01
    (first, branch), (last, _) = place_madds(bundle, engine)
    assert 0 < branch < first < last


def test_thresholds_are_written_and_kept_by_the_bundle(bundle: Bundle, pictures: Path, tmp_path: Path) -> None:
    """With --write the bundle.toml has thresholds and temperatures that load; files tell the curve and the classes."""
    out = tmp_path / "out"
    options = ["--max-loss", "20", "--confidence", "0", "--part", "all", "--write", "--output", out]
    _run(bundle.folder, "--data", pictures, *options)
    found = Bundle.load(bundle.folder)
    assert found.exits[0].thresholds.keys() == {"litter"}
    assert found.exits[0].temperatures["litter"] > 0
    left = sum(int(row["left"]) for row in csv.DictReader((out / "classes.csv").read_text().splitlines())
               if row["place"] == found.exits[0].name)  # fmt: skip
    assert found.exits[0].leave == pytest.approx(left / PICTURES, abs=1e-4)
    rows = list(csv.DictReader((out / "curve.csv").read_text().splitlines()))
    assert float(rows[0][f"share {found.exits[0].name}"]) == 0.0
    assert float(rows[-1][f"share {found.exits[0].name}"]) == 1.0
    classes = list(csv.DictReader((out / "classes.csv").read_text().splitlines()))
    assert sum(int(row["left"]) for row in classes) == PICTURES
    assert (out / "curve.svg").read_text().startswith("<?xml")


def test_a_threshold_set_by_hand_is_shown(bundle: Bundle, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--set says what a hand-chosen threshold does to these pictures, without testing it."""
    name = bundle.exits[0].name
    options = ["--rule", "top-probability", "--part", "all", "--json", "--set", f"{name}/litter=0.0"]
    _run(bundle.folder, "--data", pictures, *options)
    said = json.loads(capsys.readouterr().out)
    assert said["shares"] == {name: 1.0, "end": 0.0}
    assert said["thresholds"] == {name: {"litter": 0.0}}
    assert said["accuracy_end"] == {"litter": 1.0}
    assert said["madds"] < said["madds_end"]
    assert sum(row["left"] for row in said["classes"]) == PICTURES


def test_a_threshold_set_by_hand_is_judged_as_the_bundle_is(
    bundle: Bundle, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--set keeps the bundle's own temperatures: what it shows is what a device does, and --write leaves them."""
    exit_, path = bundle.exits[0], bundle.folder / "bundle.toml"
    rewrite_exits(path, [replace(exit_, temperatures={"litter": 2.5})], {"litter": 0.6})
    samples = read_samples(pictures, bundle.tasks)
    scores = tempered(judge(bundle, samples).answers.exits[0].scores["litter"], 2.5)
    middle = round(float(np.median(entropy(scores))), 4)
    _run(bundle.folder, "--data", pictures, "--part", "all", "--json", "--set", f"exit1/litter={middle}", "--write")
    said, written = json.loads(capsys.readouterr().out), Bundle.load(bundle.folder)
    assert said["temperatures"] == {"exit1": {"litter": 2.5}, "end": {"litter": 0.6}}
    set_so = {"temperatures": {"litter": 2.5}, "thresholds": {"litter": middle}, "leave": said["shares"]["exit1"]}
    assert written.exits == (replace(exit_, **set_so),)
    assert written.tasks == (replace(bundle.tasks[0], temperature=0.6),)
    device = StagedHead(Engine(written.model_path, outputs=written.finals), written, "device", rules_of(written))
    left = [device.run(_shown(written, sample, device)).exit == "exit1" for sample in samples]
    assert 0.3 < np.mean(left) < 0.7
    assert said["shares"]["exit1"] == pytest.approx(np.mean(left))


def test_a_written_threshold_adds_no_temperature(bundle: Bundle, pictures: Path) -> None:
    """A bundle.toml without temperatures has none after --set --write."""
    _run(bundle.folder, "--data", pictures, "--part", "all", "--set", "exit1/litter=0.5", "--write")
    assert "temperature" not in (bundle.folder / "bundle.toml").read_text()
    assert Bundle.load(bundle.folder).exits == (replace(bundle.exits[0], thresholds={"litter": 0.5}, leave=0.0),)


def test_an_exit_is_set_whole_or_not_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A --set of one of two classifications would leave the exit closed: refused before any picture is read."""
    with pytest.raises(SystemExit) as ended:
        main(["models", "calibrate", "faces", "--data", str(tmp_path), "--set", "exit2/gender=0.6"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "--set gives nothing for exit2/age-group, expected a number for each classification" in said
    assert said.endswith("add --set exit2/age-group=NUMBER\n")
    assert said.count("\n") == 1


def test_too_few_pictures_are_said(bundle: Bundle, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing can be stated with the confidence asked for, the tables come with what it would take."""
    _run(bundle.folder, "--data", pictures, "--max-loss", "0.1", "--part", "all")
    said = capsys.readouterr().out
    assert "none: nobody leaves" in said
    assert "that takes at least" in said


@pytest.mark.parametrize(("part", "warned"), [("train", 1), ("all", 1), ("validation", 0), ("test", 0)])
def test_pictures_of_the_training_are_warned_of(
    bundle: Bundle, pictures: Path, part: str, warned: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was trained on promises nothing for new pictures: one line says so, beside the same tables."""
    _run(bundle.folder, "--data", pictures, "--part", part, "--confidence", "0")
    said = capsys.readouterr().err
    assert said.count(f"warning: --part {part} takes pictures that the network has seen") == warned
    assert said.count("warning") == warned


@pytest.mark.parametrize("part", ["validation", "test"])
def test_own_pictures_are_divided_though_the_bundle_lists_others(
    bundle: Bundle, pictures: Path, part: Part, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list of pictures that are not among these says nothing of them: their content decides, without a warning."""
    expected = {s.digest for s in read_samples(pictures, bundle.tasks) if s.part == part}
    (bundle.folder / HELD_OUT_FILE).write_text(f"# never seen\n{'ab' * 32} clean\n")
    _run(bundle.folder, "--data", pictures, "--part", part, "--confidence", "0")
    assert capsys.readouterr().err.count("warning") == 0
    assert {sample.digest for sample in chosen_samples(bundle, pictures, part)} == expected
    assert 0 < len(expected) < PICTURES / 2


def test_pictures_beside_held_out_ones_were_trained_on(
    bundle: Bundle, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one of the list in it the source is the training's: nothing is left but that one, and the line says so."""
    samples = read_samples(pictures, bundle.tasks)
    (bundle.folder / HELD_OUT_FILE).write_text(f"{samples[0].digest} clean\n")
    assert chosen_samples(bundle, pictures, "test") == samples[:1]
    assert len(chosen_samples(bundle, pictures, "train")) == PICTURES - 1
    with pytest.raises(SystemExit) as ended:
        main(["models", "calibrate", str(bundle.folder), "--data", str(pictures)])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no picture of the part validation among its 120: the training of tiny held out 1 of them" in said
    assert said.endswith("add --part test, or give pictures of your own without these\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--set", "exit9/litter=0.5"], "expected EXIT/TASK=NUMBER"),
        (["--set", "exit1/litter=high"], "expected EXIT/TASK=NUMBER"),
        ([], ""),
    ],
)
def test_what_cannot_be_done_is_one_line(
    bundle: Bundle, pictures: Path, options: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong --set is refused with what is expected."""
    if not expected:
        bundle, expected = Bundle.load(bundle_folder(pictures.parent / "plain")), "has no exits; give it some"
    with pytest.raises(SystemExit) as ended:
        main(["models", "calibrate", str(bundle.folder), "--data", str(pictures), "--part", "all", *options])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_temperatures_of_a_bundle_count_once(bundle: Bundle, pictures: Path) -> None:
    """What was calibrated is asked without its temperatures, so that calibrating again finds the same ones."""
    samples = read_samples(pictures, bundle.tasks)
    before = judge(bundle, samples).answers
    options = ["--max-loss", "20", "--confidence", "0", "--part", "all", "--write"]
    _run(bundle.folder, "--data", pictures, *options)
    first = Bundle.load(bundle.folder)
    after = judge(first, samples).answers
    for one, other in zip(before.places, after.places, strict=True):
        assert np.array_equal(one.scores["litter"], other.scores["litter"])
    _run(bundle.folder, "--data", pictures, *options)
    assert Bundle.load(bundle.folder).exits == first.exits


def test_drop_thresholds_are_not_calibrated_over(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exit that gives frames up is refused: the figures would not count what it ends."""
    given_up = exit_bundle(tmp_path / "dropping", 0.0, drop=0.5)
    with pytest.raises(SystemExit) as ended:
        main(["models", "calibrate", str(given_up.folder), "--data", str(pictures), "--part", "all", "--write"])
    assert ended.value.code == 2
    assert "has drop thresholds" in capsys.readouterr().err


def test_exits_of_different_rules_want_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No exit is judged by the rule of another unless that is asked for."""
    folder = tmp_path / "faces"
    shutil.copytree(Bundle.load("faces").folder, folder)
    first, second = Bundle.load(folder).exits
    rewrite_exits(folder / "bundle.toml", [replace(first, rule="margin"), replace(second, rule="entropy")], {})
    with pytest.raises(SystemExit) as ended:
        main(["models", "calibrate", str(folder), "--data", str(tmp_path)])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "decide by entropy and margin, expected one rule" in said
    assert "calibrate with --rule entropy" in said
    assert said.count("\n") == 1
