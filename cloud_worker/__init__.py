"""The cloud worker: frames in, results out."""
