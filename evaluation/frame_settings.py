"""Which frames simulated devices send: a part of the settings of every command that has some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from headwater.messages import Frame


@dataclass(frozen=True, kw_only=True)
class FrameSettings:
    """A model, where it is cut, and how what comes out travels."""

    bundle: str = "litter"
    """The model: a bundle's name or folder, or a .tflite file."""
    split: str = "image"
    """How far a device would have computed: image, a cut point or device."""
    codec: str | None = None
    """How frames travel; jpeg:90 for pictures and auto for activations when left out."""

    @property
    def codec_name(self) -> str:
        """The codec that was said, or that of the split."""
        from evaluation.simulate_settings import default_codec

        return self.codec or default_codec(self.split)

    def encoded(self, pictures: Sequence[bytes] = ()) -> list[Frame]:
        """Return a frame of each picture (JPEG, PNG), of drawn ones without any. Raises: BundleError, SettingsError."""
        from evaluation.load_run import encoded_frames
        from models.bundle import Bundle

        return encoded_frames(Bundle.load(self.bundle), self.split, self.codec_name, pictures)


PICTURES_OF_LITTER: Final = FrameSettings()
