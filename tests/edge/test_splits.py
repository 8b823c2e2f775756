"""Where the device may stop, and how what it has then may travel."""

from __future__ import annotations

import pytest

from edge.splits import PictureCodec, checked_split, codec_fits, cut_points, resolve_codec
from headwater.codec import CODECS, Codec
from headwater.errors import SettingsError
from models.graph import Graph
from tests.models import tflite_files

FLOATS = Graph.read(tflite_files.residual())
INTEGERS = Graph.read(tflite_files.quantised())
UNCUT = Graph.read(tflite_files.no_cut())


@pytest.mark.parametrize("split", ["image", "device", "conv_a", "add", "net.scores"])
def test_names_of_splits_are_taken(split: str) -> None:
    """The two ends and every cut point's short name."""
    assert checked_split(FLOATS, split) == split


def test_a_tensors_full_name_and_number_give_the_short_name() -> None:
    """What other tools call the tensor is understood too."""
    point = cut_points(FLOATS)[1]
    assert checked_split(FLOATS, point.tensor) == point.name
    assert checked_split(FLOATS, f"#{point.index}") == point.name


@pytest.mark.parametrize(("split", "near"), [("conv_b", "conv_a"), ("imagge", "image"), ("dev", "device")])
def test_another_name_is_refused_with_the_nearest(split: str, near: str) -> None:
    """A tensor that is no cut point, a misspelt or an empty name: one line that says what there is."""
    with pytest.raises(
        SettingsError, match=f"split: got '{split}', expected image, device or a cut point.*{near}.*models cuts"
    ):
        checked_split(FLOATS, split)


def test_a_model_without_cut_points_has_its_two_ends() -> None:
    """`image` and `device` stay when nothing can be cut."""
    assert cut_points(UNCUT) == ()
    assert [checked_split(UNCUT, end) for end in ("image", "device")] == ["image", "device"]
    with pytest.raises(SettingsError, match="expected image, device"):
        checked_split(UNCUT, "left")


@pytest.mark.parametrize(
    ("name", "codec"),
    [("auto", "native+zstd"), ("float16", "float16"), ("uint8+zstd", "uint8+zstd"), ("native", "native")],
)
def test_an_activation_travels_as_named(name: str, codec: str) -> None:
    """`auto` is what loses nothing, compressed."""
    assert str(resolve_codec(FLOATS, "add", name)) == codec


@pytest.mark.parametrize(
    ("name", "quality", "text"),
    [("auto", None, "png"), ("png", None, "png"), ("jpeg", 90, "jpeg:90"), ("jpeg:7", 7, "jpeg:7")],
)
def test_a_picture_travels_as_named(name: str, quality: int | None, text: str) -> None:
    """`auto` is PNG, which loses nothing; JPEG has a quality."""
    codec = resolve_codec(FLOATS, "image", name)
    assert codec == PictureCodec(quality)
    assert str(codec) == text


def test_finished_predictions_need_no_codec_but_a_real_name() -> None:
    """Any codec may stand there for a later split; a misspelt one is refused at once."""
    for name in (*CODECS, "png", "jpeg:50"):
        assert resolve_codec(FLOATS, "device", name) is None
    with pytest.raises(SettingsError, match="codec: got 'zstdd', expected one of auto"):
        resolve_codec(FLOATS, "device", "zstdd")


@pytest.mark.parametrize(
    ("graph", "split", "name"),
    [
        (FLOATS, "image", "float16"),
        (FLOATS, "add", "png"),
        (FLOATS, "add", "jpeg:80"),
        (FLOATS, "add", "nonsense"),
        (FLOATS, "image", "jpeg:0"),
        (FLOATS, "image", "jpeg:101"),
        (FLOATS, "device", "jpeg:101"),
        (FLOATS, "image", "jpeg:٣"),
        (FLOATS, "add", ""),
        (INTEGERS, "first", "uint8"),
        (INTEGERS, "first", "float16+zstd"),
    ],
)
def test_a_codec_for_something_else_is_refused(graph: Graph, split: str, name: str) -> None:
    """Pictures, floats and integers have each their own; the line names what was expected."""
    with pytest.raises(SettingsError, match=r"^codec: .*expected|^codec: .*use native"):
        resolve_codec(graph, split, name)
    assert not codec_fits(graph, split, name)


def test_integers_travel_as_they_are() -> None:
    """A full-integer model's activation is not made to float and back."""
    assert resolve_codec(INTEGERS, "first", "auto") == Codec("native", "zstd")
    assert codec_fits(INTEGERS, "first", "native")
