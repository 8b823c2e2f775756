"""What may be chosen, by name: for settings and files alike. Commands read these, so nothing is imported with them."""

from __future__ import annotations

from typing import Literal

Rule = Literal["entropy", "normalised-entropy", "top-probability", "margin"]
"""By which an exit decides."""
CropName = Literal["none", "centre", "region", "face"]
"""What of a picture a network sees."""
Colour = Literal["RGB", "BGR", "grey"]
"""The order of colours that a network takes."""
Scores = Literal["probabilities", "logits"]
"""What a classification gives."""
SamplePart = Literal["train", "validation", "test"]
"""Which pictures are kept apart."""
Part = Literal[SamplePart, "all"]
"""Which of them are asked for."""
Pattern = Literal["regular", "random"]
"""When a fleet takes pictures: at a fixed pace, or as chance has it (Poisson)."""
EngineName = Literal["litert", "tensorflow"]
"""What runs the parts of a model."""
