"""One small message of each kind: the wire tests pin their bytes, docs/asyncapi.yaml shows them."""

from __future__ import annotations

import msgspec

from headwater.messages import (
    Activation,
    Box,
    Clock,
    Considered,
    Dead,
    Decision,
    Finished,
    FinishedCounts,
    Frame,
    FrameId,
    Journey,
    Journeys,
    Link,
    Picture,
    Position,
    Prediction,
    Record,
    Result,
    SettingsApplied,
    SettingsChange,
    Status,
    StoredJourney,
    Tensor,
)

ID = FrameId("cam1", "9f3c2a1b", 17)
DIGEST = "ab" * 32
POSITION = Position(43.46, 11.88, "exif", 5.0)
DIRTY = Prediction("litter", "dirty", None, 0.93, [0.07, 0.93])

ACTIVATION_FRAME = Frame(
    version=1,
    id=ID,
    captured_ns=1_789_990_000_000_000_000,
    sent_ns=1_789_990_000_004_000_000,
    bundle="litter",
    digest=DIGEST,
    split="block_5_add",
    codec="uint8",
    body=Activation(Tensor("float32", (1, 2, 2, 1), "uint8", "none", memoryview(b"\x00\x40\x80\xff"), 0.5, 64)),
    stages_ns={"capture": 1_200_000, "head": 800_000},
    position=POSITION,
    name="DSCN0010.jpg",
)
PICTURE_FRAME = msgspec.structs.replace(
    ACTIVATION_FRAME,
    split="image",
    codec="jpeg",
    body=Picture("jpeg", 2, 1, memoryview(b"\xff\xd8\xff\xd9")),
    position=None,
    name=None,
)
FINISHED_FRAME = msgspec.structs.replace(
    PICTURE_FRAME, split="device", codec="none", body=Finished([DIRTY]), stages_ns={"capture": 1_200_000}
)
BOXES = (Box(230, 57, 174, 174), Box(784, 88, 170, 170))
FACES_FRAME = msgspec.structs.replace(
    ACTIVATION_FRAME,
    bundle="faces",
    body=Activation(Tensor("int8", (2, 1, 1, 2), "native", "none", memoryview(b"\x00\x7f\x80\xff"), 0.5, 4), BOXES),
    position=None,
    name="two_people.jpg",
)
RESULT = Result(
    version=1,
    id=ID,
    worker="host-1234",
    sent_ns=1_789_990_000_004_000_000,
    received_ns=1_789_990_000_005_000_000,
    replied_ns=1_789_990_000_008_000_000,
    stages_ns={"inbox": 100_000, "decode": 50_000, "batch": 10_000, "tail": 2_000_000, "store": 300_000},
    predictions=[DIRTY],
)
FACES_RESULT = msgspec.structs.replace(
    RESULT,
    predictions=[
        Prediction("gender", "female", None, 0.9, [0.1, 0.9], BOXES[0]),
        Prediction("age", None, 31.0, None, [], BOXES[0]),
        Prediction("gender", "male", None, 0.8, [0.8, 0.2], BOXES[1]),
        Prediction("age", None, 44.5, None, [], BOXES[1]),
    ],
)
REFUSAL = msgspec.structs.replace(
    RESULT, stages_ns={}, predictions=[], refused="no bundle has digest abababab; copy it to the workers"
)
JOURNEYS = Journeys(1, [Journey("9f3c2a1b", 17, 1_000_000, 900_000, 950_000, 12_000_000)])
STATUS = Status(
    version=1,
    device="cam1",
    online=True,
    since_ns=1_789_980_000_000_000_000,
    sent_ns=1_789_990_000_000_000_000,
    bundle="litter",
    digest=DIGEST,
    split="block_5_add",
    codec="native+zstd",
    source="folder pictures",
    position=POSITION,
    frames_per_s=4.5,
    bytes_per_frame=5120.0,
    captured=28,
    finished=FinishedCounts(0, 27),
    dropped={"overflow": 1},
    spool_limit_bytes=268_435_456,
    link=Link(51_000_000.0, 1.25),
    last_captured_ns=1_789_990_000_000_000_000,
    last_finished_ns=1_789_990_000_009_000_000,
    resent=2,
    clock=Clock(-3.25, 0.95),
    temperature_c=61.5,
)
SETTINGS = SettingsChange(1, split="block_5_add")
APPLIED = SettingsApplied(
    1, "cam1", "block_5_add", "native+zstd", "all", {"exit1": {"litter": 0.4}}, {"exit1": {"litter": 0.69}}
)
DECISION = Decision(
    1, "cam1", 1_789_990_000_000_000_000, "image", "jpeg:90", "better", 48_000_000.0, 21.5, 1.8, 0.9, 0.4, 20.0, "USD",
    1.5e9, 61.5,
    [
        Considered("image", "jpeg:90", 41.2, 2.1e-7),
        Considered("device", "none", 93.0, 1.2e-7, "52 ms slower, 43% cheaper"),
    ],
)  # fmt: skip
DEAD = Dead(
    version=1,
    reason="frame of 3 B: Input data was truncated",
    error="Malformed",
    topic="headwater/v1/demo/cam1/frame",
    worker="host-1234",
    at_ns=1_789_990_000_005_000_000,
    size_bytes=3,
    sample=b"\x8c\xa7v",
)
RECORD = Record(
    version=1,
    fleet="demo",
    device="cam1",
    boot="9f3c2a1b",
    sequence=17,
    captured_ns=1_789_990_000_000_000_000,
    stored_ns=1_789_990_000_008_000_000,
    bundle="litter",
    digest=DIGEST,
    split="block_5_add",
    codec="native+zstd",
    payload_bytes=4711,
    finished_by="worker",
    worker="host-1234",
    predictions=[DIRTY],
    stages_ns={"capture": 1_200_000},
    position=POSITION,
    name="DSCN0010.jpg",
)
STORED_JOURNEY = StoredJourney("cam1", "9f3c2a1b", 17, 1_000_000, 900_000, 950_000, 12_000_000)

STREAM = {
    "activation": ACTIVATION_FRAME,
    "picture": PICTURE_FRAME,
    "finished": FINISHED_FRAME,
    "faces": FACES_FRAME,
    "result": RESULT,
    "faces_result": FACES_RESULT,
    "refusal": REFUSAL,
    "journeys": JOURNEYS,
}
JSON = {
    "status": STATUS,
    "decision": DECISION,
    "settings": SETTINGS,
    "applied": APPLIED,
    "dead": DEAD,
    "record": RECORD,
    "stored_journey": STORED_JOURNEY,
}
