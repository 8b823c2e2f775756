"""The kinds of value that messages are made of, each with its bounds."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from headwater.clock import Stage

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
"""The name of a device, fleet or worker: it stands in topics and keys, so it has no `/`, `+`, `#` or `:`."""
Boot = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}\Z")]
Sequence = Annotated[int, Meta(ge=0, lt=2**40)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Label = Annotated[str, Meta(max_length=256)]
Reason = Annotated[str, Meta(max_length=1024)]
Count = Annotated[int, Meta(ge=0, le=2**62)]
Nanoseconds = Annotated[int, Meta(ge=-(2**62), le=2**62)]
Duration = Annotated[int, Meta(ge=0, le=2**62)]
Stages = Annotated[dict[Stage, Duration], Meta(max_length=16)]
Traceparent = Annotated[str, Meta(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")]
"""Source: W3C Trace Context, section 3.2."""
MAX_DIMENSIONS: Final = 8
MAX_DIMENSION: Final = 65536
Dimension = Annotated[int, Meta(ge=1, le=MAX_DIMENSION)]
Offset = Annotated[int, Meta(ge=0, lt=MAX_DIMENSION)]
TensorType = Literal["float32", "int8", "uint8", "int16", "int32"]
Encoding = Literal["float32", "float16", "uint8", "native"]
Compression = Literal["none", "zstd"]
Report = Literal["all", "positive"]
"""Which frames that are finished on the device are sent: all, or only those with a positive prediction."""
