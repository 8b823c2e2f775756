"""Where the device is: from a track, a GPS receiver, a fixed place or a made-up walk."""

from edge.location.address import open_location
from edge.location.place import Location, place

__all__ = ["Location", "open_location", "place"]
