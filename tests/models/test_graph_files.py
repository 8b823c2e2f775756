"""Broken files: whatever the bytes, one clear error of our own or a part that LiteRT can run."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from models.errors import ModelError, ModelFileError, UnsupportedModel
from models.flatbuffer import decode, encode
from models.graph import Graph
from models.tflite_schema import OPERATORS, TABLES, TENSOR_TYPES, UNIONS
from tests.models import tflite_files as files

FLIPS = 400


def flipped(data: bytes, seed: int) -> bytes:
    """Return the bytes with one to four of them changed."""
    changes, broken = random.Random(seed), bytearray(data)
    for _ in range(changes.choice((1, 1, 1, 2, 4))):
        place = changes.randrange(len(broken))
        broken[place] = changes.randrange(256) if changes.random() < 0.5 else broken[place] ^ 1 << changes.randrange(8)
    return bytes(broken)


@pytest.mark.parametrize("kind", files.RUNNABLE)
def test_reading_and_writing_loses_nothing(kind: str) -> None:
    """A file read and written again holds the same tables."""
    tables = decode(files.RUNNABLE[kind](), "x")
    assert decode(encode(tables, "x"), "x") == tables


def test_writing_is_deterministic() -> None:
    """The same part has the same bytes each time, so that its digest can be compared."""
    assert Graph.read(files.residual()).extract(None, ["add"]) == Graph.read(files.residual()).extract(None, ["add"])


def test_another_reader_accepts_what_was_written() -> None:
    """LiteRT's own generated reader finds the same tensors in a part as ours."""
    part = Graph.read(files.residual()).extract(None, ["add"])
    assert schema.Model.ModelBufferHasIdentifier(part, 0)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(part))
    found = [tensor.name.decode() for tensor in model.subgraphs[0].tensors]
    assert found == [tensor.name for tensor in Graph.read(part).tensors]


@pytest.mark.parametrize("kind", files.RUNNABLE)
def test_every_truncation_is_a_model_file_error(kind: str) -> None:
    """A file cut short anywhere is refused with ModelFileError."""
    data = files.RUNNABLE[kind]()
    whole = Graph.read(data).extract()
    for cut in range(0, len(whole), 7):
        with pytest.raises(ModelFileError):
            Graph.read(whole[:cut])


@pytest.mark.parametrize(
    "data", [b"", b"TFL3", b"\0" * 64, b"\xff" * 64, b"PK\x03\x04" * 20, b"\x1c\0\0\0TFL2" + bytes(64)]
)
def test_other_bytes_are_refused(data: bytes) -> None:
    """Nothing, a zip or another identifier is refused with ModelFileError."""
    with pytest.raises(ModelFileError):
        Graph.read(data)


def test_the_message_says_what_got_expected_and_what_to_do() -> None:
    """The error for a wrong identifier is one line with all four."""
    with pytest.raises(ModelFileError, match=r"its identifier is b'TFL2', expected b'TFL3'; copy or convert it again$"):
        Graph.read(b"\x1c\0\0\0TFL2" + bytes(64))


@pytest.mark.parametrize("kind", files.RUNNABLE)
def test_flipped_bytes_raise_only_our_errors(kind: str) -> None:
    """Reading, listing and extracting from a file with changed bytes works or raises a ModelError."""
    data = files.RUNNABLE[kind]()
    messages = []
    for seed in range(FLIPS):
        try:
            graph = Graph.read(flipped(data, seed))
            for point in graph.cut_points():
                graph.extract(None, [point.index])
                graph.extract([point.index], None)
        except ModelError as error:
            messages.append(str(error))
    assert len(messages) > FLIPS // 10
    assert not any("\n" in message for message in messages)


RUN_FLIPS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from pathlib import Path
from models.engine import Engine
from models.errors import ModelError
from tests.models.test_graph_files import flipped
data, done = Path(sys.argv[1]).read_bytes(), 0
for seed in range(int(sys.argv[2])):
    print(seed, flush=True)
    try:
        engine = Engine(flipped(data, seed), xnnpack=seed % 2 == 0)
        engine.whole()
        for point in engine.graph.cut_points()[::4]:
            engine.head(point.name), engine.tail(point.name)
        done += 1
    except ModelError:
        pass
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print("survived", done, "with", int(status["VmHWM"].split()[0]) // 1024)
"""
MOST_MEMORY_MB = 600


@pytest.mark.parametrize("kind", files.RUNNABLE)
def test_a_file_that_passes_the_checks_does_not_crash_the_runtime(kind: str, tmp_path: Path) -> None:
    """Whatever is not refused runs on LiteRT, which itself crashes on broken files, without ending the process."""
    model = tmp_path / "model.tflite"
    model.write_bytes(files.RUNNABLE[kind]())
    ran = subprocess.run(
        [sys.executable, "-c", RUN_FLIPS, model, str(FLIPS)],
        capture_output=True, text=True, timeout=100, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.returncode == 0, f"seed {ran.stdout.split()[-1]} ended it: {ran.stderr[-500:]}"
    assert int(ran.stdout.split()[-1]) < MOST_MEMORY_MB


def test_a_vector_that_many_point_to_does_not_multiply() -> None:
    """A small file whose tables share one vector again and again is refused before it takes memory."""
    maker = files.Maker()
    picture, out = maker.tensor("picture", (1, 4)), maker.tensor("out", (1, 4))
    maker.operator("ADD", [picture, maker.weights("offset", (4,))], [out], files.add_options())
    maker.ends([picture], [out])
    tables = decode(maker.file(), "x")
    tables["buffers"] = tables["buffers"] + ({"data": memoryview(bytes(4096))},) * 40
    shared = bytearray(encode(tables, "x"))
    assert len(shared) > 40 * 4096
    with pytest.raises(ModelFileError):
        decode(bytes(_all_to_the_first(shared)), "x")


def _all_to_the_first(data: bytearray) -> bytearray:
    """Return the file with every 4096-byte vector moved onto the first, and the rest cut off."""
    length = (4096).to_bytes(4, "little")
    places = [place for place in range(0, len(data), 4) if data[place : place + 4] == length]
    for place in range(0, places[0], 4):
        target = place + int.from_bytes(data[place : place + 4], "little")
        if target in places[1:]:
            data[place : place + 4] = (places[0] - place).to_bytes(4, "little")
    return data[: places[0] + 4 + 4096]


def test_an_operator_that_announces_more_tensors_than_it_has_is_refused() -> None:
    """LiteRT would crash on a SPLIT that promises more outputs than there are."""
    tables = decode(files.split(), "x")
    tables["subgraphs"][0]["operators"][1]["builtin_options"]["num_splits"] = 9
    with pytest.raises(ModelFileError, match="announces 9 tensors and has 2"):
        Graph.read(encode(tables, "x"))


def test_sparse_indices_outside_of_their_tensor_are_refused() -> None:
    """LiteRT would write wherever a sparse tensor's indices point to."""

    def dimension(**fields) -> dict:
        return {"format": 1, **fields}

    def model(last: int) -> bytes:
        tables = decode(files.residual(), "x")
        rows = {"dense_size": 3}
        segments = {"array_segments_type": 1, "array_segments": {"values": (0, 2, 4, 6)}}
        indices = {"array_indices_type": 1, "array_indices": {"values": (0, 1, 2, 3, 4, last)}}
        kernel = next(table for table in tables["subgraphs"][0]["tensors"] if table["name"] == "scores/kernel")
        kernel["sparsity"] = {"traversal_order": (0, 1), "dim_metadata": (rows, dimension(**segments, **indices))}
        tables["buffers"][kernel["buffer"]]["data"] = memoryview(bytes(24))
        return encode(tables, "x")

    assert Graph.read(model(5)).cut_points()
    with pytest.raises(ModelFileError, match="sparse indices outside"):
        Graph.read(model(6))


def test_a_newer_schema_is_refused_by_name() -> None:
    """A field that this version does not know is refused: leaving it out could change the numbers."""
    data = bytearray(files.residual())
    tables = decode(bytes(data), "x")
    tables["operator_codes"][0]["builtin_code"] = 5000
    with pytest.raises(UnsupportedModel, match="unknown code 5000"):
        Graph.read(encode(tables, "x"))


def test_the_schema_is_the_one_that_litert_ships() -> None:
    """Every table has as many fields as LiteRT's generated one, unions and enumerations have the same members."""
    for name, fields in TABLES.items():
        start = getattr(schema, f"{name}Start", None)
        if start is not None:
            counted: list[int] = []
            start(type("Counter", (), {"StartObject": lambda self, count, into=counted: into.append(count)})())
            assert len(fields) == counted[0], name
    for field, union in (("builtin_options", "BuiltinOptions"), ("builtin_options2", "BuiltinOptions2")):
        assert UNIONS[field] == members(union)
    assert UNIONS["details"] == members("QuantizationDetails")
    assert UNIONS["array_indices"] == UNIONS["array_segments"] == members("SparseIndexVector")
    assert members("BuiltinOperator") == OPERATORS
    assert tuple(name.lower() for name in members("TensorType")) == TENSOR_TYPES


def members(name: str) -> tuple[str, ...]:
    """Return the names of a generated enumeration in the order of their values."""
    values = {value: key for key, value in vars(getattr(schema, name)).items() if not key.startswith("_")}
    return tuple(values[value] for value in range(len(values)))
