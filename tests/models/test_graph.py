"""Reading a graph: its cut points, their names, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.errors import CutError, ModelFileError, NoCutPoint, TensorNotFound, UnsupportedModel
from models.graph import Graph
from models.names import short_names
from tests.models import tflite_files as files


def names(data: bytes, **options) -> list[str]:
    return [point.name for point in Graph.read(data, **options).cut_points()]


def test_cut_points_are_the_tensors_on_every_path() -> None:
    """A tensor beside a skip connection is no cut point, those before and after it are."""
    assert names(files.residual()) == ["conv_a", "add", "conv_c", "pool", "net.scores"]


def test_input_and_output_are_no_cut_points() -> None:
    """The input is the split "image" and the final output the split "device"."""
    graph = Graph.read(files.residual())
    ends = {tensor.index for tensor in (*graph.inputs, *graph.outputs)}
    assert not ends & {point.index for point in graph.cut_points()}


def test_constants_behind_operators_belong_to_whoever_uses_them() -> None:
    """Neither a float16 weight behind DEQUANTIZE nor a sum of constants keeps a tensor from being a cut point."""
    graph = Graph.read(files.half_weights())
    assert [point.name for point in graph.cut_points()] == ["first", "first_moved", "second"]
    for part in (graph.extract(None, ["first_moved"]), graph.extract(["first_moved"], None)):
        assert "DEQUANTIZE" in [operator.kind for operator in Graph.read(part).operators]
        assert len(Graph.read(part).inputs) == 1


def test_both_inputs_must_have_joined_before_a_cut() -> None:
    """With two inputs a tensor that only one of them reaches is no cut point."""
    assert names(files.two_inputs()) == ["joined"]


def test_an_operator_with_two_outputs_is_no_cut() -> None:
    """Between a SPLIT and what joins its halves two tensors live, so there is none."""
    assert names(files.split()) == ["first", "joined"]


def test_early_exits_close_the_cuts_behind_them_unless_finals_are_named() -> None:
    """A model with an exit has one cut point towards both outputs, and three towards the final one."""
    both, final = Graph.read(files.early_exit()), Graph.read(files.early_exit(), outputs=["kind"])
    assert [point.name for point in both.cut_points()] == ["conv_a"]
    assert [point.name for point in final.cut_points()][:2] == ["conv_a", "conv_b"]


def test_a_model_without_cut_points_lists_none_and_refuses_a_name() -> None:
    """Asking such a model for a cut point says that it has none."""
    graph = Graph.read(files.no_cut())
    assert graph.cut_points() == ()
    with pytest.raises(NoCutPoint, match="no cut point"):
        graph.cut_point("left")


def test_a_tensor_that_is_no_cut_point_is_refused_with_the_nearest() -> None:
    """The error names the cut points around a tensor that is none."""
    with pytest.raises(TensorNotFound, match="conv_a"):
        Graph.read(files.residual()).cut_point("conv_b")


@pytest.mark.parametrize("name", ["conv_b", "net_1/conv_b_1/Relu6;net_1/conv_b_1/add", "#6", 6])
def test_a_tensor_has_three_names(name: str | int) -> None:
    """Short name, full name and #index stand for the same tensor."""
    graph = Graph.read(files.residual())
    assert graph.index(name) == graph.index("conv_b")


def test_an_output_has_its_name_in_the_signature() -> None:
    """The signature's names are accepted too, whatever is in them."""
    graph = Graph.read(files.early_exit())
    assert graph.index("exit1/kind") == graph.outputs[0].index
    assert graph.tensor_name(graph.outputs[0].index) == "exit1/kind"


@pytest.mark.parametrize("name", ["conv_x", "#4", "#999", "#x", "#" + "9" * 5000, "", "conv_a/kernel", -1])
def test_an_unknown_name_is_an_error(name: str | int) -> None:
    """A name of nothing, of a constant, or a number out of range is refused."""
    with pytest.raises(TensorNotFound):
        Graph.read(files.residual()).index(name)


def test_the_nearest_names_are_told() -> None:
    """A typing mistake is answered with what was probably meant."""
    with pytest.raises(TensorNotFound, match="did you mean conv_a"):
        Graph.read(files.residual()).index("conv_aa")


def test_short_names_are_unique_safe_and_stable() -> None:
    """Every activation has its own name without blanks or semicolons, the same each time."""
    for make in files.RUNNABLE.values():
        graph = Graph.read(make())
        found = graph.names
        assert len(set(found.values())) == len(found)
        assert all(name and not set(name) & set("; /#") and len(name) <= 48 for name in found.values())
        assert found == Graph.read(make()).names


def test_keras_names_lose_the_model_and_the_number() -> None:
    """`net_1/block_1_relu_1/Relu6;…` is block_1_relu, and two tensors of one layer keep their operators' names."""
    full = {
        3: "net_1/block_1_relu_1/Relu6;net_1/block_1_bn_1/add",
        4: "net_1/swish_1/Sigmoid",
        5: "net_1/swish_1/mul",
        6: "net_1/block_2_relu_1/Relu6",
    }
    assert short_names(full, {}) == {3: "block_1_relu", 4: "swish.Sigmoid", 5: "swish.mul", 6: "block_2_relu"}


def test_numbered_layers_of_other_exporters_keep_their_numbers() -> None:
    """Where not every layer ends in _1 the number belongs to the name."""
    full = {1: "net/conv/Relu", 2: "net/conv_1/Relu", 3: "net/conv_2/Relu"}
    assert list(short_names(full, {}).values()) == ["conv", "conv_1", "conv_2"]


def test_ambiguous_reserved_and_empty_names_fall_back_to_the_number() -> None:
    """Equal names, the two fixed splits, names like the fall-back and no name at all become t and the index."""
    full = {1: "same", 2: "same", 3: "image", 4: "device", 5: "t1", 6: "", 7: "x" * 80, 8: ";;"}
    assert set(short_names(full, {}).values()) == {f"t{index}" for index in full}


def test_an_endless_name_costs_nothing() -> None:
    """A name of a million slashes in a hostile file takes neither time nor memory."""
    assert short_names({1: "a/" * 1_000_000, 2: "b"}, {})[2] == "b"


def test_a_signature_name_wins_over_a_layer_of_that_name() -> None:
    """The output "kind" keeps its name although a layer has it, too."""
    found = short_names({1: "net_1/kind_1/MatMul", 2: "net_1/other_1/x", 3: "StatefulPartitionedCall:0"}, {3: "kind"})
    assert found[3] == "kind"
    assert found[1] != "kind"


def test_quantisation_of_a_cut_is_known() -> None:
    """A cut in a full-integer model is int8 with its scale and zero point."""
    point = Graph.read(files.quantised()).cut_points()[0]
    assert (point.dtype, round(point.scale, 6), point.zero_point, point.nbytes) == ("int8", 0.05, 4, 64)


def test_multiply_adds_are_those_of_the_layers() -> None:
    """MAdds count weights times places: 8·8·4·3·3·3 for the first convolution, and head plus tail is the whole."""
    points = Graph.read(files.residual()).cut_points()
    assert points[0].madds_head == 8 * 8 * 4 * 27
    assert len({point.madds_head + point.madds_tail for point in points}) == 1
    assert points[-1].madds_tail == 0


def test_multiply_adds_of_every_kind_that_multiplies() -> None:
    """Depthwise, transposed and batched products are counted, the others cost none."""
    graph = Graph.read(files.many_kinds())
    head = {point.name: point.madds_head for point in graph.cut_points()}
    assert head["slice_1"] == 0
    assert head["depthwise_conv_2d_2"] == 8 * 8 * 4 * 9
    assert head["transpose_conv_15"] - head["gather_14"] == 4 * 2 * 4 * 2 * 2 * 3
    assert head["batch_matmul_19"] - head["sum_18"] == 4 * 3 * 5


def test_a_signature_is_chosen_by_its_name() -> None:
    """A file with two signatures wants one named, and then cuts that graph."""
    data = files.two_signatures()
    with pytest.raises(UnsupportedModel, match="small, large"):
        Graph.read(data)
    assert Graph.read(data, signature="large").outputs[0].shape == (1, 4, 4, 4)
    part = Graph.read(Graph.read(data, signature="small").extract(["first"], None))
    assert part.signature == "small"
    assert part.signature_names[part.outputs[0].index] == "answer"
    with pytest.raises(CutError, match="small, large"):
        Graph.read(data, signature="medium")


@pytest.mark.parametrize(
    ("make", "words"), [(files.control_flow, "IF, control flow"), (files.stateful, "keeps a state")]
)
def test_what_cannot_be_cut_is_named(make: Callable[[], bytes], words: str) -> None:
    """Control flow and states are refused by name."""
    with pytest.raises(UnsupportedModel, match=words):
        Graph.read(make())


def test_values_outside_of_the_flatbuffer_are_refused() -> None:
    """A buffer that only has a place behind the flatbuffer (files over 2 GB) is refused."""
    maker = files.Maker()
    picture, out = maker.tensor("picture", (1, 4)), maker.tensor("out", (1, 4))
    offset = maker.weights("offset", (4,))
    maker.model.buffers[1].data, maker.model.buffers[1].offset, maker.model.buffers[1].size = None, 4096, 16
    maker.operator("ADD", [picture, offset], [out], files.add_options())
    maker.ends([picture], [out])
    with pytest.raises(UnsupportedModel, match="outside of the flatbuffer"):
        Graph.read(maker.file())


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_path_that_is_no_file_is_a_clear_error(tmp_path: Path, kind: str) -> None:
    """A missing file and a folder are refused with their path."""
    path = tmp_path if kind == "folder" else tmp_path / "none.tflite"
    with pytest.raises(ModelFileError, match=str(path)):
        Graph.read(path)


def test_a_part_keeps_what_makes_its_numbers() -> None:
    """Names, quantisation per channel, open batch, versions, options and lasting metadata survive; the rest is left."""
    whole = Graph.read(files.residual())
    part = Graph.read(whole.extract(["add"], None))
    assert part.inputs[0].name == "net_1/add_1/Add"
    assert part.inputs[0].shape_signature == (-1, 8, 8, 4)
    assert [entry["name"] for entry in part._model["metadata"]] == ["min_runtime_version"]
    assert part.operators[0].options["fused_activation_function"] == 3
    quantised = Graph.read(Graph.read(files.quantised()).extract(["first"], None))
    assert quantised._model["operator_codes"][0]["version"] == 3
    kernel = next(table for table in quantised._subgraph["tensors"] if table["name"] == "second/kernel")
    assert np.allclose(kernel["quantization"]["scale"], [0.01, 0.02, 0.03, 0.04])


def test_a_part_holds_only_its_own_weights() -> None:
    """Head and tail together are about as large as the whole, not twice."""
    data = files.many_kinds()
    graph = Graph.read(data)
    head, tail = graph.extract(None, ["gather_14"]), graph.extract(["gather_14"], None)
    assert len(head) + len(tail) < 1.3 * len(graph.extract())


def test_a_custom_operator_is_copied_with_its_options() -> None:
    """An operator that is not built in goes into the part that needs it, options and all."""
    graph = Graph.read(files.custom("Sharpen", b"\x01\x02\x03"))
    part = Graph.read(graph.extract(["first"], ["sharp"]))
    assert [operator.kind for operator in part.operators] == ["CUSTOM:Sharpen"]
    assert bytes(part._subgraph["operators"][0]["custom_options"]) == b"\x01\x02\x03"


def test_parts_that_do_not_stand_alone_are_refused() -> None:
    """A part that needs more than it is given, or that is empty, is an error that says what is missing."""
    graph = Graph.read(files.residual())
    with pytest.raises(CutError, match="serving_default_picture"):
        graph.extract(["conv_b"], None)
    with pytest.raises(CutError, match="nothing lies between"):
        graph.extract(["add"], ["add"])
    halves = Graph.read(files.split())
    with pytest.raises(CutError, match="also needs"):
        halves.extract(["half_a"], None)


def test_exits_and_the_next_boundary_come_out_of_one_part() -> None:
    """One part may have several ends: an early exit's answer and the activation to go on with."""
    graph = Graph.read(files.early_exit())
    part = Graph.read(graph.extract(None, ["exit1/kind", "conv_a"]))
    assert [part.tensor_name(tensor.index) for tensor in part.outputs] == ["exit1/kind", "conv_a"]


def test_a_part_of_a_part_is_a_part() -> None:
    """What was extracted can be cut again at the same names."""
    head = Graph.read(Graph.read(files.residual()).extract(None, ["conv_c"]))
    assert [point.name for point in head.cut_points()] == ["conv_a", "add"]
