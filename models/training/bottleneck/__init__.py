"""Learned bottlenecks: a few layers laid into a model, so that one more cut point is worth only a few hundred bytes."""
