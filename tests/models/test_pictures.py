"""Pictures on their way into a network: decoding, squeezing, and the input's dtype."""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data as photographs

from models import pictures
from models.jpeg import scans
from models.pictures import DataError, decode_picture, decode_to_fit, encode_jpeg, encode_png, fit, to_input


@dataclass
class Spec:
    dtype: str = "float32"
    scale: float = 0.0
    zero_point: int = 0


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return photographs.chelsea()


def test_fit_squeezes_the_whole_picture(cat: np.ndarray) -> None:
    """A picture of any shape becomes (height, width, 3) and keeps its mean colour."""
    small = fit(cat, 96, 64)
    assert small.shape == (64, 96, 3)
    assert small.dtype == np.uint8
    assert np.abs(small.mean(axis=(0, 1)) - cat.mean(axis=(0, 1))).max() < 0.6


@pytest.mark.parametrize("shape", [(3000, 4000), (1080, 1920), (641, 479), (100, 90), (1, 1), (1000, 3)])
def test_fit_keeps_places(shape: tuple[int, int]) -> None:
    """A ramp stays a ramp: whole-block averaging of odd sizes neither crops nor shifts."""
    rows = np.linspace(0, 255, shape[0])[:, None]
    columns = np.linspace(0, 255, shape[1])[None, :]
    ramp = np.stack(np.broadcast_arrays(rows, columns, np.zeros(shape)), axis=2).round().astype(np.uint8)
    direct = np.asarray(Image.fromarray(ramp).resize((160, 160), Image.Resampling.BILINEAR))
    assert np.abs(fit(ramp, 160, 160).astype(int) - direct).max() <= 2


def test_fit_is_close_to_an_exact_filter(cat: np.ndarray) -> None:
    """Averaging blocks first differs from filtering every pixel by little."""
    large = np.asarray(Image.fromarray(cat).resize((2255, 1500), Image.Resampling.BICUBIC))
    exact = np.asarray(Image.fromarray(large).resize((160, 160), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(fit(large, 160, 160) - exact).mean() < 1.5


def test_fit_gives_the_same_pixels_everywhere(cat: np.ndarray) -> None:
    """The squeeze is integer arithmetic: its result is pinned."""
    digest = hashlib.sha256(fit(cat, 160, 160).tobytes()).hexdigest()
    assert digest[:16] == "e0148f4e1942e31e"


def test_fit_leaves_a_picture_of_the_right_size(cat: np.ndarray) -> None:
    """A picture that has the wanted size comes back equal, as a copy."""
    small = fit(cat, 50, 40)
    again = fit(small, 50, 40)
    assert np.array_equal(small, again)
    assert not np.shares_memory(small, again)


def test_fit_takes_views(cat: np.ndarray) -> None:
    """A turned or mirrored view of an array is squeezed as if it were a copy."""
    view = cat[::-1, ::-1, ::-1]
    assert np.array_equal(fit(view, 30, 30), fit(view.copy(), 30, 30))


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_fit_refuses_other_arrays(bad: np.ndarray) -> None:
    """What is not (H, W, 3) uint8 is refused with its dtype and shape."""
    with pytest.raises(DataError, match=r"expected uint8 of shape \(height, width, 3\)"):
        fit(bad, 10, 10)


def test_float_input_spans_low_to_high() -> None:
    """Pixel 0 becomes low, 255 high, and those between lie on the line."""
    picture = np.arange(256 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    found = to_input(picture, Spec(), -1.0, 1.0)
    assert found.shape == (1, 16, 16, 3)
    assert found.dtype == np.float32
    assert np.allclose(found[0], picture / 127.5 - 1, atol=1e-6)


def test_quantised_input_of_exact_steps_loses_nothing() -> None:
    """With one step per pixel value an int8 input is the pixel minus 128, a uint8 input the pixel itself."""
    picture = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    signed = to_input(picture, Spec("int8", 1 / 128, 0), -1.0, 127 / 128)
    unsigned = to_input(picture, Spec("uint8", 1 / 255, 0), 0.0, 1.0)
    assert np.array_equal(signed[0], picture.astype(int) - 128)
    assert np.array_equal(unsigned[0], picture)


def test_quantised_input_is_cut_at_its_limits() -> None:
    """Values outside what the input's scale can hold become its limits."""
    picture = np.array([[[0, 128, 255]]], np.uint8)
    found = to_input(picture, Spec("int8", 1 / 255, -128), -1.0, 3.0)
    assert found[0, 0, 0].tolist() == [-128, 127, 127]


def test_integer_input_without_scale_is_refused() -> None:
    """An integer input whose file gives no scale cannot be filled."""
    with pytest.raises(DataError, match="without a scale"):
        to_input(np.zeros((2, 2, 3), np.uint8), Spec("int8"), 0.0, 1.0)


def test_colours_are_reordered() -> None:
    """A network may want BGR, or one grey channel."""
    picture = np.array([[[255, 0, 0]]], np.uint8)
    assert to_input(picture, Spec("uint8", 1.0, 0), 0, 255, "BGR")[0, 0, 0].tolist() == [0, 0, 255]
    assert to_input(picture, Spec("uint8", 1.0, 0), 0, 255, "grey")[0, 0, 0].tolist() == [76]


def test_png_is_lossless_and_jpeg_is_close(cat: np.ndarray) -> None:
    """What is encoded comes back: bit for bit as PNG, nearly as JPEG."""
    assert np.array_equal(decode_picture(encode_png(cat)), cat)
    assert np.abs(decode_picture(encode_jpeg(cat, 90)).astype(int) - cat).mean() < 3
    usual = io.BytesIO()
    Image.fromarray(cat[:32, :32]).save(usual, "JPEG", quality=90)
    small = encode_jpeg(cat[:32, :32], 90)
    assert np.array_equal(decode_picture(small), decode_picture(usual.getvalue()))
    assert len(small) < 0.9 * len(usual.getvalue())


def test_large_jpeg_is_decoded_no_larger_than_needed(cat: np.ndarray) -> None:
    """With at_least a JPEG of many pixels comes back reduced, yet not below what was asked."""
    large = saved(Image.fromarray(cat).resize((2400, 1600)), "JPEG")
    assert decode_picture(large, at_least=(320, 320)).shape == (400, 600, 3)
    assert decode_picture(large).shape == (1600, 2400, 3)
    assert np.array_equal(decode_to_fit(large, 160, 160), fit(decode_picture(large, at_least=(320, 320)), 160, 160))


def test_reduced_decoding_minds_the_turned_picture(cat: np.ndarray) -> None:
    """at_least speaks of the upright picture, also where EXIF says that the file lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = saved(Image.fromarray(cat).resize((1600, 800)), "JPEG", exif=exif)
    upright = decode_picture(lying, at_least=(380, 790))
    assert upright.shape == (800, 400, 3)
    assert decode_picture(lying).shape == (1600, 800, 3)


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_exif_orientation_is_applied(orientation: int, corner: tuple[int, int]) -> None:
    """The file's top left pixel lands where its EXIF orientation puts it."""
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode_picture(saved(Image.fromarray(pixels), "PNG", exif=exif))[corner].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LA", "RGBA", "I;16"])
def test_every_kind_of_picture_becomes_rgb(mode: str, cat: np.ndarray) -> None:
    """Grey, palette, CMYK, alpha and 16-bit pictures decode to about the same picture."""
    image = Image.fromarray(cat)
    kind = "JPEG" if mode in {"CMYK", "YCbCr"} else "PNG"
    if mode == "I;16":
        converted = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        converted = image.convert(mode)
    found = decode_picture(saved(converted, kind))
    assert found.shape == cat.shape
    assert found.dtype == np.uint8
    assert abs(found.mean() - cat.mean()) < 12


def test_transparent_parts_become_white() -> None:
    """A fully transparent pixel is shown as a page would show it."""
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert decode_picture(saved(clear, "PNG")).min() == 255


def test_too_many_pixels_are_refused_before_decoding() -> None:
    """The limit is checked on the header; both sizes are named."""
    with pytest.raises(DataError, match="picture of 300x200 is over the limit of 1000 pixels"):
        decode_picture(saved(Image.new("RGB", (300, 200)), "PNG"), max_pixels=1000)


def in_scans(picture: np.ndarray, repeats: int) -> bytes:
    """Return a progressive JPEG whose last scan comes so many times more."""
    whole = saved(Image.fromarray(picture), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * repeats + whole[-2:]


def test_a_jpeg_of_many_scans_is_refused_before_decoding(cat: np.ndarray) -> None:
    """Each scan costs a pass over the picture and few bytes: a hundred are enough for any encoder."""
    assert scans(in_scans(cat, 0)) == 10
    assert decode_picture(memoryview(in_scans(cat, 0))).shape == cat.shape  # as msgspec gives bodies
    with pytest.raises(DataError, match="got over 100 scans, expected at most 100"):
        decode_picture(in_scans(cat, 91))
    assert scans(in_scans(cat, 90)) == 100
    assert scans(in_scans(cat, 100_000)) == 101


def test_what_only_looks_like_a_scan_is_not_counted(cat: np.ndarray) -> None:
    """Neither in what a header holds nor behind the picture's end, where phones put a film."""
    looks = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 500
    whole = saved(Image.fromarray(cat), "JPEG", progressive=True, exif=b"Exif\0\0" + looks) + looks
    assert scans(whole) == 10
    assert scans(saved(Image.fromarray(cat), "JPEG", restart_marker_rows=1)) == 1
    assert scans(b"\xff\xd8" + b"\xff\x02\xff\xff" + looks) == 1, "no frame: nothing is decoded"


@pytest.mark.parametrize("piece", [b"\xff\xe1\x00\x02", b"\xff\xff", b"\xff\x00"])
def test_a_header_without_end_is_refused(piece: bytes, cat: np.ndarray) -> None:
    """A million empty segments, or fill between two, would be read one by one."""
    whole = saved(Image.fromarray(cat), "JPEG")
    with pytest.raises(DataError, match="segments"):
        decode_picture(whole[:2] + piece * 1_000_000 + whole[2:])


def test_what_is_held_is_bounded_after_the_reduction(cat: np.ndarray) -> None:
    """A large JPEG that is reduced as it is decoded passes; one that cannot be, or is held whole, does not."""
    large = Image.fromarray(cat).resize((1600, 1200))
    bounds = {"at_least": (200, 150), "max_decoded": 100_000}
    assert decode_picture(saved(large, "JPEG"), **bounds).shape == (150, 200, 3)
    with pytest.raises(DataError, match="1600x1200 is over the limit of 100000"):
        decode_picture(saved(large, "JPEG", progressive=True), **bounds)
    with pytest.raises(DataError, match="1600x1200 is over the limit of 100000"):
        decode_picture(saved(large, "PNG"), **bounds)
    with pytest.raises(DataError, match="15000x120 is over the limit of 100000"):
        decode_picture(saved(large.resize((15_000, 120)), "JPEG"), **bounds)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "CMYK"])
def test_large_pictures_are_brought_to_rgb_in_strips(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strip by strip gives the very pixels of the whole."""
    image = Image.effect_noise((301, 203), 90)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 201)
    elif mode == "RGBA":
        image = Image.merge("RGBA", (image, image.rotate(90), image.rotate(180), image.rotate(45)))
    else:
        image = image.convert(mode)
    data = saved(image, "JPEG" if mode == "CMYK" else "PNG")
    whole = decode_picture(data)
    monkeypatch.setattr(pictures, "_STRIP_PIXELS", 5000)
    assert np.array_equal(decode_picture(data), whole)


def test_a_decompression_bomb_is_refused() -> None:
    """A small file that announces a giant picture takes no memory."""
    bomb = saved(Image.new("1", (20_000, 20_000)), "PNG")
    with pytest.raises(DataError, match="refused"):
        decode_picture(bomb)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_picture_cut_short_is_refused(kind: str, cat: np.ndarray) -> None:
    """Half a file gives DataError, never half a picture."""
    whole = saved(Image.fromarray(cat), kind)
    for part in (len(whole) // 2, len(whole) // 10, 20, 0):
        with pytest.raises(DataError):
            decode_picture(whole[:part])


def test_formats_with_programs_inside_are_not_opened() -> None:
    """PostScript would start another program: it is no picture here."""
    with pytest.raises(DataError, match="no picture"):
        decode_picture(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


@settings(max_examples=150)
@given(place=st.integers(0, 3000), value=st.integers(0, 255), kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]))
def test_damaged_bytes_give_a_picture_or_one_error(place: int, value: int, kind: str) -> None:
    """Any single wrong byte gives a picture or DataError, nothing else."""
    whole = bytearray(saved(Image.linear_gradient("L").resize((64, 48)).convert("RGB"), kind))
    whole[place % len(whole)] = value
    with contextlib.suppress(DataError):
        assert decode_picture(bytes(whole), max_pixels=1_000_000).ndim == 3
