"""The ground that every part of Headwater stands on."""

__version__ = "0.1.0"
