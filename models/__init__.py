"""Models: read, cut, run, describe."""
