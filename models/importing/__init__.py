"""Bundles of models that a user brings: what the file tells is read, what it does not tell is asked for."""
