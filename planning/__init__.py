"""Predict what a frame costs in time and money wherever it is computed, and choose: pure functions."""
