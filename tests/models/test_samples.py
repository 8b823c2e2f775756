"""Labelled pictures: where they lie, what is known of them, and which part they belong to."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from models.labels import range_of
from models.pictures import DataError, decode_picture, encode_png
from models.samples import labels_in, part_by_content, read_all, read_samples
from models.tasks import Task

STREET = Task("litter", "classification", "litter", ("clean", "dirty"))
FACES = (
    Task("gender", "classification", "gender", ("male", "female")),
    Task("age", "regression", "age", unit="years"),
    Task("age-group", "classification", "age-group", ("0-2", "3-9", "10-19", "20-59", "60+")),
)


def _picture(value: int) -> bytes:
    return encode_png(np.full((4, 6, 3), value, np.uint8))


def _folder(root: Path, names: dict[str, int]) -> Path:
    for name, value in names.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_picture(value))
    return root


def _tar(path: Path, names: dict[str, int], mode: str) -> Path:
    with tarfile.open(path, mode) as tar:
        for name, value in names.items():
            data = _picture(value)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_a_folder_of_labels_gives_numbers_of_labels(tmp_path: Path) -> None:
    """The folder above a picture is its label; what is no picture is passed over."""
    folder = _folder(tmp_path, {"clean/a.png": 1, "dirty/b.png": 2, "dirty/deep/dirty/c.png": 3})
    (folder / "clean" / "notes.txt").write_text("nothing")
    found = {sample.name: sample.targets["litter"] for sample in read_samples(folder, [STREET])}
    assert found == {"clean/a.png": 0, "dirty/b.png": 1, "dirty/deep/dirty/c.png": 1}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_gives_what_its_folder_gives(tmp_path: Path, mode: str) -> None:
    """Pictures are read from inside an archive, packed or not, with the same digest, part and bytes."""
    names = {"clean/a.png": 1, "dirty/b.png": 2}
    plain = read_samples(_folder(tmp_path / "folder", names), [STREET])
    packed = read_samples(_tar(tmp_path / "pictures.tar", names, mode), [STREET])
    assert [(s.name, s.digest, s.part, s.targets) for s in packed] == [
        (s.name, s.digest, s.part, s.targets) for s in plain
    ]
    assert [s.read() for s in packed] == [s.read() for s in plain]
    assert int(decode_picture(packed[1].read())[0, 0, 0]) == 2


def test_names_of_utkface_give_three_targets(tmp_path: Path) -> None:
    """age_gender_race_date is read as gender, years and the group that holds them."""
    folder = _folder(tmp_path, {"3_1_0_2017.jpg.chip.png": 1, "100_0_2_2017.png": 2, "19_0_2_2017.png": 3})
    found = {sample.name: dict(sample.targets) for sample in read_samples(folder, FACES)}
    assert found["3_1_0_2017.jpg.chip.png"] == {"gender": 1, "age": 3.0, "age-group": 1}
    assert found["100_0_2_2017.png"] == {"gender": 0, "age": 100.0, "age-group": 4}
    assert found["19_0_2_2017.png"]["age-group"] == 2


def test_a_table_gives_any_tasks_and_leaves_gaps(tmp_path: Path) -> None:
    """labels.csv has a column for each task; an empty field is a target that is not known."""
    folder = _folder(tmp_path, {"one.png": 1, "sub/two.png": 2})
    (folder / "labels.csv").write_text("file,gender,age,age-group\none.png,female,31.5,20-59\nsub/two.png,,7,\n")
    found = {sample.name: dict(sample.targets) for sample in read_samples(folder, FACES)}
    assert found == {"one.png": {"gender": 1, "age": 31.5, "age-group": 3}, "sub/two.png": {"age": 7.0}}


def test_arrays_of_mnist_are_read(tmp_path: Path) -> None:
    """An .npz keeps its own test part; a tenth of its training pictures is set apart for validation."""
    rng = np.random.default_rng(0)
    digits = Task("digit", "classification", "digit", tuple("0123456789"))
    pictures, labels = rng.integers(0, 256, (300, 5, 5), np.uint8), rng.integers(0, 10, 300)
    np.savez(tmp_path / "mnist.npz", x_train=pictures, y_train=labels, x_test=pictures[:4] ^ 255, y_test=labels[:4])
    found = read_all([tmp_path / "mnist.npz"], [digits])
    assert len(found["test"]) == 4
    assert 10 <= len(found["validation"]) <= 60
    assert len(found["train"]) + len(found["validation"]) == 300
    sample = found["test"][0]
    number = int(Path(sample.name).stem)
    assert sample.targets["digit"] == labels[number]
    assert np.array_equal(decode_picture(sample.read())[..., 0], pictures[number] ^ 255)


def test_parts_follow_the_folders_named_so(tmp_path: Path) -> None:
    """train, validation and test in the path decide; otherwise the content does, about 70, 15 and 15 in a hundred."""
    folder = _folder(tmp_path, {"train/clean/a.png": 1, "validation/dirty/b.png": 2, "test/dirty/c.png": 3})
    assert {s.name: s.part for s in read_samples(folder, [STREET])} == {
        "train/clean/a.png": "train",
        "validation/dirty/b.png": "validation",
        "test/dirty/c.png": "test",
    }
    drawn = [part_by_content(f"{n * 2654435761 % 2**32:08x}") for n in range(4000)]
    assert 0.67 < drawn.count("train") / 4000 < 0.73
    assert 0.13 < drawn.count("test") / 4000 < 0.17


def test_the_outermost_folder_names_the_part_and_a_label_does_not(tmp_path: Path) -> None:
    """A label called train is one, below test/ and without parts; val is validation; a leading folder does no harm."""
    vehicles = Task("vehicle", "classification", "vehicle", ("car", "train"))
    names = {"x/test/train/a.png": 1, "x/train/train/b.png": 2, "x/val/car/c.png": 3, "x/test/car/train.png": 4}
    tar = _tar(tmp_path / "vehicles.tar", names, "w")
    found = {sample.name: sample for sample in read_samples(tar, [vehicles])}
    assert {name: sample.part for name, sample in found.items()} == {
        "x/test/train/a.png": "test",
        "x/train/train/b.png": "train",
        "x/val/car/c.png": "validation",
        "x/test/car/train.png": "test",
    }
    assert labels_in(tar) == ("car", "train")
    plain = read_samples(_folder(tmp_path / "plain", {f"train/{n}.png": n for n in range(60)}), [vehicles])
    assert {sample.part for sample in plain} == {"train", "validation", "test"}
    faces = read_samples(_folder(tmp_path / "faces", {"train/3_1_0_a.png": 1, "val/4_1_0_b.png": 2}), FACES)
    assert [sample.part for sample in faces] == ["train", "validation"]


def test_a_picture_that_is_none_is_named(tmp_path: Path) -> None:
    """What is wrong with the bytes of a picture is said with its name, once."""
    folder = _folder(tmp_path, {"clean/a.png": 1})
    (folder / "clean" / "a.png").write_bytes(b"no picture")
    (sample,) = read_samples(folder, [STREET])
    with pytest.raises(DataError, match=r"^clean/a\.png: 10 B are no picture"), sample.opened() as content:
        decode_picture(content)
    (folder / "clean" / "a.png").unlink()
    with pytest.raises(DataError, match=r"^clean/a\.png cannot be read"), sample.opened():
        pass


def test_a_picture_found_twice_counts_once_and_two_labels_are_refused(tmp_path: Path) -> None:
    """One content is one sample, also over several sources; under two labels it is an error that names both files."""
    folder = _folder(tmp_path / "a", {"clean/a.png": 1, "clean/copy.png": 1, "dirty/b.png": 2})
    assert len(read_samples(folder, [STREET])) == 2
    assert sum(map(len, read_all([folder, folder], [STREET]).values())) == 2
    _folder(folder, {"dirty/again.png": 1})
    with pytest.raises(DataError, match=r"again\.png .* two labels"):
        read_samples(folder, [STREET])


def test_labels_come_from_the_folders(tmp_path: Path) -> None:
    """Without a model the folders name the labels; one folder alone is no classification."""
    folder = _folder(tmp_path, {"train/cat/a.png": 1, "test/dog/b.png": 2})
    assert labels_in(folder) == ("cat", "dog")
    with pytest.raises(DataError, match="has 1 folders"):
        labels_in(_folder(tmp_path / "one", {"cat/a.png": 1}))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing source, an unknown label, a foreign name, a broken table or archive each get one clear line."""
    with pytest.raises(DataError, match="is no folder"):
        read_samples(tmp_path / "nowhere", [STREET])
    with pytest.raises(DataError, match="holds no picture"):
        read_samples(tmp_path, [STREET])
    with pytest.raises(DataError, match="label 'muddy' of litter, expected one of clean, dirty"):
        read_samples(_folder(tmp_path / "a", {"muddy/a.png": 1}), [STREET])
    with pytest.raises(DataError, match="not named age_gender"):
        read_samples(_folder(tmp_path / "b", {"face.png": 1}), FACES)
    with pytest.raises(DataError, match=r"write a labels\.csv"):
        read_samples(_folder(tmp_path / "c", {"x/face.png": 1}), [STREET, Task("mud", "regression", "mud")])
    (tmp_path / "bad.tar").write_bytes(b"no archive at all")
    with pytest.raises(DataError, match="cannot be read as tar"):
        read_samples(tmp_path / "bad.tar", [STREET])
    (tmp_path / "bad.npz").write_bytes(b"no arrays")
    with pytest.raises(DataError, match="expected x_train"):
        read_samples(tmp_path / "bad.npz", [STREET])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("notes.txt", " as tar: got 12 B of something else or damaged, expected a folder of pictures, a .tar"),
        ("picture.png", " as tar: got 12 B of something else or damaged, expected a folder of pictures, a .tar"),
        ("digits.npz", ": got 12 B that are no .npz, expected x_train, y_train, x_test, y_test in one"),
    ],
)
def test_a_file_that_is_no_source_is_one_line(tmp_path: Path, name: str, said: str) -> None:
    """What was got and what is expected is said, without what each unpacker made of it."""
    (tmp_path / name).write_bytes(b"hello, world")
    with pytest.raises(DataError) as refused:
        read_samples(tmp_path / name, [STREET])
    assert str(refused.value).startswith(f"{tmp_path / name} cannot be read{said}")
    assert str(refused.value).endswith("; see --data")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,gender,age\n", "expected also age-group"),
        ("file,gender,age,age-group\n", "says nothing of one.png"),
        ("file,gender,age,age-group\none.png,female,old,20-59\n", "line 2: age is 'old', expected a number"),
        ("file,gender,age,age-group\none.png,female,nan,20-59\n", "age is 'nan', expected a number"),
        ("file,gender,age,age-group\none.png,woman,3,20-59\n", "label 'woman' of gender"),
    ],
)
def test_a_wrong_table_names_line_and_value(tmp_path: Path, table: str, said: str) -> None:
    """What is wrong in a labels.csv is said with its line, what it is and what is expected."""
    folder = _folder(tmp_path, {"one.png": 1})
    (folder / "labels.csv").write_text(table)
    with pytest.raises(DataError, match=said):
        read_samples(folder, FACES)


def test_a_range_holds_both_its_ends() -> None:
    """0-2 holds 0 and 2, 60+ everything from 60; a value in no range is an error."""
    labels = FACES[2].labels
    assert [range_of(age, labels) for age in (0, 2, 3, 59, 60, 116)] == ["0-2", "0-2", "3-9", "20-59", "60+", "60+"]
    with pytest.raises(DataError, match="5 is in none"):
        range_of(5, ("0-2", "60+"))


def test_damaged_archives_are_refused_and_not_read_in_part(tmp_path: Path) -> None:
    """Bytes overwritten inside a packed tar or .npz are one clear line, never fewer pictures without a word."""
    rng = np.random.default_rng(0)
    for number in range(200):
        path = tmp_path / "pictures" / "clean" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(rng.integers(0, 256, (8, 8, 3), np.uint8)))
    np.savez_compressed(
        tmp_path / "digits.npz",
        **{f"x_{part}": rng.integers(0, 256, (50, 9, 9), np.uint8) for part in ("train", "test")},
        **{f"y_{part}": np.zeros(50, int) for part in ("train", "test")},
    )
    for kind in ("gz", "xz"):
        with tarfile.open(tmp_path / f"pictures.tar.{kind}", f"w:{kind}") as tar:
            tar.add(tmp_path / "pictures", "pictures")
    for name in ("pictures.tar.gz", "pictures.tar.xz", "digits.npz"):
        content = bytearray((tmp_path / name).read_bytes())
        middle = len(content) // 2
        content[middle : middle + 40] = bytes(40)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            read_samples(tmp_path / name, [Task("d", "classification", "d", ("0", "clean"))])
    (tmp_path / "empty.npz").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read"):
        read_samples(tmp_path / "empty.npz", [STREET])


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """The mark that some programs put before the first column does not hide it."""
    folder = _folder(tmp_path, {"one.png": 1})
    (folder / "labels.csv").write_text("file,litter\none.png,dirty\n", encoding="utf-8-sig")
    assert [sample.targets for sample in read_samples(folder, [STREET])] == [{"litter": 1}]


def test_folders_serve_a_task_named_like_those_of_faces(tmp_path: Path) -> None:
    """One classification called gender with a folder for each label needs no names as in UTKFace."""
    folder = _folder(tmp_path, {"female/a.png": 1, "male/b.png": 2})
    assert [sample.targets["gender"] for sample in read_samples(folder, FACES[:1])] == [1, 0]
