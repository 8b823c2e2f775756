"""The ground that every part of Headwater stands on."""

import functools


@functools.cache
def version() -> str:
    """Return the version that is installed: the newest tag at that moment, and how far the code was from it."""
    from importlib import metadata  # a fifth of what the command line takes to start

    try:
        return metadata.version("headwater")
    except metadata.PackageNotFoundError:
        return "0+unknown"  # run from its folder, never installed
