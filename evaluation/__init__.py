"""Experiments: what a model's cuts cost in bytes and accuracy, what they leak, and the documents' tables repeated."""
