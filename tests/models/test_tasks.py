"""From a network's outputs to predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from models.errors import ModelError
from models.tasks import MAX_RAW_SCORES, Prediction, Task, dequantise, predictions, tempered

LITTER = Task("litter", "classification", "litter", ("clean", "dirty"), positive="dirty")
AGE = Task("age", "regression", "age", unit="years")


@dataclass
class Spec:
    name: str
    scale: float = 0.0
    zero_point: int = 0


@dataclass
class Answers:
    tasks: tuple[Task, ...]
    outputs: tuple[str, ...] = ()


def test_the_best_label_wins_with_its_score() -> None:
    """A classification names the label of the highest score, its confidence, and all scores."""
    found = predictions(Answers((LITTER,)), [np.array([[0.25, 0.75]], np.float32)], [Spec("litter")])
    assert found == [Prediction("litter", "dirty", None, 0.75, [0.25, 0.75])]


def test_quantised_outputs_become_real_numbers() -> None:
    """An int8 output is read through its scale and zero point."""
    found = predictions(Answers((LITTER,)), [np.array([[64, -64]], np.int8)], [Spec("litter", 1 / 256, -128)])
    assert found[0].label == "clean"
    assert found[0].scores == [0.75, 0.25]


def test_every_row_of_a_batch_has_its_own_predictions() -> None:
    """The row says which picture of the batch is meant."""
    batch = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    assert [predictions(Answers((LITTER,)), [batch], [Spec("litter")], row)[0].label for row in (0, 1)] == [
        "clean",
        "dirty",
    ]


def test_outputs_are_found_by_name_whatever_their_order() -> None:
    """Two tasks read the outputs that carry their names."""
    outputs = [np.array([[31.5]], np.float32), np.array([[0.9, 0.1]], np.float32)]
    found = predictions(Answers((LITTER, AGE)), outputs, [Spec("age"), Spec("litter")])
    assert [prediction.task for prediction in found] == ["litter", "age"]
    assert found[1] == Prediction("age", None, 31.5, None, [])


def test_outputs_of_other_names_are_found_by_place() -> None:
    """A file that calls its output otherwise is read in the manifest's order of outputs."""
    bundle = Answers((AGE,), ("litter", "age"))
    outputs = [np.array([[0.9, 0.1]], np.float32), np.array([[40.0]], np.float32)]
    assert predictions(bundle, outputs, [Spec("call:0"), Spec("call:1")])[0].value == 40.0


def test_a_missing_output_is_named() -> None:
    """When neither name nor place gives the output, both sides are named."""
    with pytest.raises(ModelError, match="task age reads output age, the model gave call:0"):
        predictions(Answers((AGE,)), [np.zeros((1, 1))], [Spec("call:0")])


def test_outputs_and_descriptions_must_be_of_one_part() -> None:
    """As many descriptions as outputs, or an error instead of a wrong answer."""
    with pytest.raises(ModelError, match="1 outputs came with 0 descriptions"):
        predictions(Answers(()), [np.zeros((1, 1))], [])


def test_labels_must_be_as_many_as_scores() -> None:
    """A wrong list of labels is an error that says how many there are."""
    with pytest.raises(ModelError, match="has 3 values, expected 2"):
        predictions(Answers((LITTER,)), [np.zeros((1, 3), np.float32)], [Spec("litter")])


def test_one_sigmoid_value_answers_for_two_labels() -> None:
    """A network of one output gives the probability of the second label."""
    found = predictions(Answers((LITTER,)), [np.array([[0.75]], np.float32)], [Spec("litter")])
    assert found[0] == Prediction("litter", "dirty", None, 0.75, [0.25, 0.75])


@pytest.mark.parametrize("logits", [[0.0, 100.0], [100.0]])
def test_logits_become_probabilities(logits: list[float]) -> None:
    """Scores said to be logits pass through a softmax that does not overflow."""
    task = Task("litter", "classification", "litter", ("clean", "dirty"), scores="logits")
    found = predictions(Answers((task,)), [np.array([logits], np.float32)], [Spec("litter")])
    assert found[0].scores == pytest.approx([0, 1])


def test_without_tasks_the_scores_are_raw() -> None:
    """A model that nobody described gives one list of numbers per output; giant outputs give none."""
    outputs = [np.array([[1.0, 2.0]]), np.zeros((1, MAX_RAW_SCORES + 1))]
    found = predictions(Answers(()), outputs, [Spec("boxes"), Spec("map")])
    assert found[0] == Prediction("boxes", None, None, None, [1.0, 2.0])
    assert found[1].scores == []


def test_floats_are_left_as_they_are() -> None:
    """A scale of 0.0 means not quantised."""
    assert dequantise(np.array([[0.5]], np.float32), Spec("x")).tolist() == [0.5]


def test_a_temperature_softens_and_1_changes_nothing() -> None:
    """Logits are divided by the temperature: 2 takes the root of the odds, 1 leaves the very same numbers."""
    task = Task("litter", "classification", "litter", ("clean", "dirty"), temperature=2.0)
    found = predictions(Answers((task,)), [np.array([[0.1, 0.9]], np.float32)], [Spec("litter")])[0]
    assert found.label == "dirty"
    assert found.scores[1] / found.scores[0] == pytest.approx(3.0, rel=1e-5)
    row = np.array([0.1, 0.9], np.float32)
    assert tempered(row, 1.0) is row


def test_a_probability_of_zero_can_be_tempered() -> None:
    """An int8 softmax that says 0 stays a finite answer that sums to 1."""
    assert tempered(np.array([0.0, 1.0], np.float32), 3.0).sum() == pytest.approx(1.0)


def test_a_temperature_near_1_changes_little_however_many_labels() -> None:
    """With a thousand labels the smallest probabilities together stay small."""
    scores = np.full(1000, 0.01 / 999, np.float32)
    scores[7] = 0.99
    assert tempered(scores, 1.001)[7] == pytest.approx(0.99, abs=0.02)
