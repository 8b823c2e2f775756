"""Activations come back as they were, within the stated error, or are refused before memory is taken."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from msgspec.structs import replace

from headwater.codec import CODECS, Codec, decode_tensor, encode_tensor
from headwater.errors import BadTensor, SettingsError, TooLarge, WireError
from headwater.messages import Activation, Frame, Tensor, decode, encode
from tests.headwater.samples import ACTIVATION_FRAME

LIMIT = 10_000_000
TYPES = ["float32", "int8", "uint8", "int16", "int32"]
INTEGERS = TYPES[1:]
FLOAT32_MAX = float(np.finfo(np.float32).max)
AFFINE, AFFINE_ZSTD = Codec("uint8", "none"), Codec("uint8", "zstd")
NATIVE, NATIVE_ZSTD = Codec("native", "none"), Codec("native", "zstd")
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def arrays(dtype: str, elements: Any = None) -> st.SearchStrategy[np.ndarray]:
    """Arrays of up to four sides of up to five."""
    return hnp.arrays(dtype, hnp.array_shapes(max_dims=4, max_side=5), elements=elements)


def travelled(values: np.ndarray, codec: Codec) -> np.ndarray:
    """Return what the receiver gets, through the whole message."""
    frame = replace(ACTIVATION_FRAME, body=Activation(encode_tensor(values, codec)))
    body = decode(Frame, encode(frame), LIMIT).body
    assert isinstance(body, Activation)
    return decode_tensor(body.tensor, LIMIT)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["auto", "native", "native+zstd"])
@given(data=st.data())
def test_lossless_codecs_return_every_bit(name: str, dtype: str, data: st.DataObject) -> None:
    """Native codecs give back each type bit for bit, NaN and infinity too."""
    values = data.draw(arrays(dtype))
    back = travelled(values, Codec.named(name, dtype))
    assert (back.dtype, back.shape, back.tobytes()) == (values.dtype, values.shape, values.tobytes())


@pytest.mark.parametrize("name", ["float32", "float32+zstd"])
@given(values=arrays("float32"))
def test_float32_returns_every_bit(name: str, values: np.ndarray) -> None:
    """float32 travels bit for bit, NaN and infinity too."""
    assert travelled(values, Codec.named(name, "float32")).tobytes() == values.tobytes()


@pytest.mark.parametrize("name", ["float16", "float16+zstd"])
@given(values=arrays("float32", st.floats(-65504, 65504, width=32)))
def test_float16_keeps_eleven_bits(name: str, values: np.ndarray) -> None:
    """float16 is within half a unit of its last place, 2^-11 relative or 2^-25 absolute."""
    back = travelled(values, Codec.named(name, "float32"))
    assert back.dtype == np.float32
    assert np.all(np.abs(back.astype(float) - values) <= np.maximum(np.abs(values.astype(float)) * 2**-11, 2**-25))


@given(
    values=arrays("float32", st.floats(-(2.0**119), 2.0**119, width=32)), codec=st.sampled_from([AFFINE, AFFINE_ZSTD])
)
def test_affine_errs_by_half_a_step_and_keeps_zero(values: np.ndarray, codec: Codec) -> None:
    """uint8 affine is off by at most scale / 2 (and float32's rounding); zero stays zero."""
    tensor = encode_tensor(values, codec)
    back = decode_tensor(tensor, LIMIT)
    assert 0 <= tensor.zero_point <= 255
    assert np.isfinite(back).all()
    assert np.all(np.abs(back.astype(float) - values) <= tensor.scale * (0.5 + 1e-4))
    assert not back[values == 0].any()


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 0.0],
        [1e-45, 0.0],
        [-1e-45, 1e-45],
        [1e-38, 2e-38],
        [3.3e38],
        [-3.3e38],
        [-1.6e38, 1.6e38],
        [1.0],
        [-1.0],
        [5.0, 5.0],
        [-3.0, -2.0],
        [0.0, 6.0],
    ],
)
def test_affine_holds_at_the_ends_of_float32(values: list[float]) -> None:
    """Denormal, huge, constant and one-sided activations keep the error bound."""
    original = np.array(values, np.float32)
    tensor = encode_tensor(original, AFFINE)
    back = decode_tensor(tensor, LIMIT).astype(float)
    assert np.all(np.abs(back - original) <= tensor.scale * (0.5 + 1e-4))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("codec", ["uint8", "uint8+zstd", "float16", "float16+zstd"])
def test_lossy_codecs_refuse_what_they_cannot_hold(codec: str, bad: float) -> None:
    """NaN and infinity are refused by name instead of becoming some number."""
    values = np.array([[1.0, bad], [-1.0, 0.0]], np.float32)
    with pytest.raises(BadTensor, match="use float32"):
        encode_tensor(values, Codec.named(codec, "float32"))


@pytest.mark.parametrize("values", [[65520.0], [-1e30]])
def test_float16_refuses_an_overflow(values: list[float]) -> None:
    """The first value that float16 rounds to infinity is refused, the last that it holds is not."""
    with pytest.raises(BadTensor, match="65504"):
        encode_tensor(np.array(values, np.float32), Codec("float16", "none"))
    last = np.array([65519.996], np.float32)
    assert decode_tensor(encode_tensor(last, Codec("float16", "none")), LIMIT) == [65504.0]


def test_affine_refuses_a_range_over_float32() -> None:
    """From the lowest to the highest float32 there are no 255 equal float32 steps."""
    with pytest.raises(BadTensor, match="use float32"):
        encode_tensor(np.array([-FLOAT32_MAX, FLOAT32_MAX], np.float32), AFFINE)


@pytest.mark.parametrize("name", CODECS)
def test_the_memory_order_of_the_array_does_not_matter(name: str) -> None:
    """Transposed, strided, zero-stride, read-only and big-endian arrays travel as their values."""
    plain = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    codec = Codec.named(name, "float32")
    frozen = plain.copy()
    frozen.setflags(write=False)
    for values in (plain.T, plain[:, ::2, ::-1], np.broadcast_to(plain[0, 0], (5, 4)), frozen, plain.astype(">f4")):
        back = travelled(values, codec)
        assert back.shape == values.shape
        assert np.abs(back - values).max() <= 23 / 255 / 2 * 1.001
        assert back.dtype == np.dtype("<f4")


@pytest.mark.parametrize("dtype", [">i2", ">i4"])
def test_integers_are_little_endian_on_the_wire(dtype: str) -> None:
    """Whatever the byte order in memory, the wire has the low byte first."""
    values = np.array([1, -2], dtype)
    assert bytes(encode_tensor(values, NATIVE).data) == struct.pack("<2h" if "2" in dtype else "<2i", 1, -2)


def test_the_bytes_of_each_encoding_are_pinned() -> None:
    """The wire of [0, 1, -1, 0.5] in every encoding is these bytes."""
    values = np.array([0, 1, -1, 0.5], np.float32)
    affine = encode_tensor(values, AFFINE)
    assert bytes(affine.data).hex() == "80ff01c0"
    assert (affine.scale, affine.zero_point) == (2 / 255, 128)
    assert bytes(encode_tensor(values, Codec("float16", "none")).data).hex() == "0000003c00bc0038"
    assert bytes(encode_tensor(values, NATIVE).data).hex() == "000000000000803f000080bf0000003f"
    integers = np.array([[-128, 127]], np.int8)
    tensor = encode_tensor(integers, NATIVE, 0.25, -3)
    assert tensor == Tensor("int8", (1, 2), "native", "none", memoryview(b"\x80\x7f"), 0.25, -3)
    frame = encode_tensor(np.zeros(600, np.int8), NATIVE_ZSTD).data
    assert bytes(frame)[:4].hex() == "28b52ffd"
    assert zstandard.frame_content_size(frame) == 600


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", [name for name in CODECS if name[:6] not in {"auto", "native"}])
def test_codecs_for_floats_are_refused_for_integers(name: str, dtype: str) -> None:
    """A quantised activation travels in its own type only, on both sides."""
    with pytest.raises(SettingsError, match="native or auto"):
        Codec.named(name, dtype)
    encoding, _, compression = name.partition("+")
    with pytest.raises(BadTensor):
        encode_tensor(np.zeros(4, dtype), Codec(encoding, compression or "none"))  # type: ignore[arg-type]
    with pytest.raises(BadTensor):
        decode_tensor(Tensor(dtype, (4,), encoding, "none", memoryview(bytes(16))), LIMIT)  # type: ignore[arg-type]


def test_codec_names() -> None:
    """A codec's text is its name; unknown names and types are refused with the choice."""
    for name in CODECS[1:]:
        assert str(Codec.named(name, "float32")) == name
    assert str(Codec.named("auto", "int8")) == "native+zstd"
    for name in ("", "gzip", "native+", "+zstd", "float32+zstd+zstd", "Native"):
        with pytest.raises(SettingsError, match="expected one of auto, "):
            Codec.named(name, "float32")
    with pytest.raises(SettingsError, match="float64 cannot travel"):
        Codec.named("auto", "float64")


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,) * 9, (65537,)])
@pytest.mark.parametrize("codec", [AFFINE, NATIVE, Codec("float16", "zstd")])
def test_shapes_that_the_receiver_would_refuse_are_not_sent(shape: tuple[int, ...], codec: Codec) -> None:
    """An array without values or with too many sides raises BadTensor at the sender."""
    with pytest.raises(BadTensor, match="expected 1 to 8 sides of 1 to 65536"):
        encode_tensor(np.zeros(shape, np.float32), codec)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bool", "int64", "complex64", "object", "<U3"])
def test_types_that_no_message_knows_are_not_sent(dtype: str) -> None:
    """Another type than the message's raises BadTensor at the sender."""
    with pytest.raises(BadTensor, match="expected float32, int8"):
        encode_tensor(np.zeros(3, dtype), NATIVE)


def compressed(content: bytes, **options: Any) -> memoryview:
    """Return a zstd frame of `content`."""
    return memoryview(zstandard.ZstdCompressor(**options).compress(content))


def announcing(size_bytes: int) -> memoryview:
    """Return a tiny zstd frame whose header announces `size_bytes`. Source: RFC 8878, section 3.1.1.1."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0b1110_0000]) + struct.pack("<Q", size_bytes)
    return memoryview(header + b"\x03\x00\x00\x61")  # one last block: the byte 61 repeated 0 times


WHOLE = bytes(compressed(bytes(1000)))


@pytest.mark.parametrize(
    "data",
    [
        announcing(1000),
        announcing(2**40),
        announcing(2**64 - 1),
        compressed(bytes(999)),
        compressed(bytes(1001)),
        compressed(bytes(1000), write_content_size=False),
        memoryview(WHOLE + b"x"),
        memoryview(WHOLE + WHOLE),
        memoryview(WHOLE[:-1]),
        memoryview(b"\x50\x2a\x4d\x18\xe8\x03\x00\x00" + bytes(1000)),  # a skippable frame of 1000 B
        memoryview(b""),
        memoryview(bytes(1000)),
    ],
    ids=["less", "1 TB", "16 EB", "999", "1001", "no size", "trailing", "two", "cut", "skippable", "empty", "not zstd"],
)
def test_a_zstd_frame_holds_exactly_what_the_shape_needs(data: memoryview) -> None:
    """Bombs, frames without a size, cut, doubled or of another length are refused without taking their memory."""
    tensor = Tensor("int8", (1000,), "native", "zstd", data)
    tracemalloc.start()
    with pytest.raises(BadTensor):
        decode_tensor(tensor, LIMIT)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 100_000


def test_a_zstd_frame_that_lies_about_its_size_is_refused() -> None:
    """A header that fits the shape over a content that is longer or shorter raises BadTensor."""
    for real in (999, 1001, 5_000_000):
        honest = bytearray(compressed(bytes(real), write_content_size=False))
        # Frame header: magic, descriptor (no content size, window follows), window; see RFC 8878, section 3.1.1.1.
        assert honest[4] & 0b1110_0000 == 0
        lying = bytes(honest[:4]) + bytes([honest[4] | 0b0100_0000, honest[5]]) + struct.pack("<H", 1000 - 256)
        tensor = Tensor("int8", (1000,), "native", "zstd", memoryview(lying + bytes(honest[6:])))
        assert zstandard.frame_content_size(tensor.data) == 1000
        with pytest.raises(BadTensor):
            decode_tensor(tensor, LIMIT)


@pytest.mark.parametrize("encoding", ["float32", "float16", "uint8", "native"])
@pytest.mark.parametrize("length_bytes", [0, 1, 15, 17, 64])
def test_plain_data_holds_exactly_what_the_shape_needs(encoding: Any, length_bytes: int) -> None:
    """Uncompressed data of another length than shape times width raises BadTensor."""
    sides = {"float32": 4, "native": 4, "float16": 8, "uint8": 16}
    right = Tensor("float32", (sides[encoding],), encoding, "none", memoryview(bytes(16)), 1.0)
    assert decode_tensor(right, LIMIT).shape == right.shape
    with pytest.raises(BadTensor, match=f"got {length_bytes} B, its shape and type need 16 B"):
        decode_tensor(replace(right, data=memoryview(bytes(length_bytes))), LIMIT)


@pytest.mark.parametrize("shape", [(65536,) * 8, (65536, 65536), (1, 14, 14, 65536)])
@pytest.mark.parametrize("encoding", ["uint8", "native"])
def test_a_shape_over_the_limit_takes_no_memory(shape: tuple[int, ...], encoding: Any) -> None:
    """A tiny message of a huge shape is TooLarge, also when its zstd frame announces the same."""
    size_bytes = min(int(np.prod(shape, dtype=object)), 2**63)
    for compression, data in (("none", memoryview(b"x")), ("zstd", announcing(size_bytes))):
        tensor = Tensor("float32", shape, encoding, compression, data, 1.0)  # type: ignore[arg-type]
        tracemalloc.start()
        with pytest.raises(TooLarge):
            decode_tensor(tensor, LIMIT)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 100_000


def test_the_limit_counts_the_array_not_the_wire() -> None:
    """A uint8 activation becomes float32: four times its bytes are held against the limit."""
    tensor = encode_tensor(np.zeros(1000, np.float32), AFFINE_ZSTD)
    assert decode_tensor(tensor, 4000).nbytes == 4000
    with pytest.raises(TooLarge) as caught:
        decode_tensor(tensor, 3999)
    assert (caught.value.got_bytes, caught.value.limit_bytes) == (4000, 3999)


@pytest.mark.parametrize("scale", [np.nan, np.inf, -np.inf, -1.0, 1e308, 1.4e36])
def test_affine_scales_that_float32_cannot_hold_are_refused(scale: float) -> None:
    """A scale whose 255 steps leave float32 raises BadTensor."""
    with pytest.raises(BadTensor, match="scale"):
        decode_tensor(Tensor("float32", (1,), "uint8", "none", memoryview(b"\xff"), scale), LIMIT)


@pytest.mark.parametrize("zero_point", [-1, 256, 2**62])
def test_affine_zero_points_outside_a_byte_are_refused(zero_point: int) -> None:
    """A zero point is one of the 256 values."""
    with pytest.raises(BadTensor, match="zero point"):
        decode_tensor(Tensor("float32", (1,), "uint8", "none", memoryview(b"\xff"), 1.0, zero_point), LIMIT)


@given(
    st.builds(
        Tensor,
        st.sampled_from(TYPES),
        st.lists(st.integers(1, 65536) | st.integers(1, 3), min_size=1, max_size=8).map(tuple),
        st.sampled_from(["float32", "float16", "uint8", "native"]),
        st.sampled_from(["none", "zstd"]),
        (
            st.binary(max_size=40) | st.integers(0, 2**64 - 1).map(announcing) | st.binary(max_size=9).map(compressed)
        ).map(memoryview),
        st.floats(),
        st.integers(-(2**63), 2**63 - 1),
    )
)
def test_any_description_raises_wire_errors_only(tensor: Tensor) -> None:
    """Whatever a valid message describes, the codec returns an array of that shape or raises a WireError."""
    with contextlib.suppress(WireError):
        back = decode_tensor(tensor, LIMIT)
        assert (back.shape, back.dtype.name) == (tensor.shape, tensor.dtype)


@given(st.binary(max_size=12), st.integers(0, 60), st.integers(0, 60))
def test_mutated_zstd_frames_raise_wire_errors_only(patch: bytes, start: int, end: int) -> None:
    """A frame with bytes changed decodes to the right length or raises BadTensor."""
    whole = bytes(compressed(np.arange(250, dtype="<i4").tobytes()[:1000]))
    data = memoryview(whole[:start] + patch + whole[max(start, end) :])
    with contextlib.suppress(BadTensor):
        assert decode_tensor(Tensor("int8", (1000,), "native", "zstd", data), LIMIT).nbytes == 1000


def test_uncompressed_activations_are_not_copied() -> None:
    """The array that is decoded lies in the message's own memory and cannot be written."""
    payload = bytes(np.arange(1000, dtype=np.float32))
    back = decode_tensor(Tensor("float32", (1000,), "native", "none", memoryview(payload)), LIMIT)
    assert not back.flags.writeable
    assert back.__array_interface__["data"][0] == np.frombuffer(payload, "u1").__array_interface__["data"][0]
