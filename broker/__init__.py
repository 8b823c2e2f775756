"""The broker: configuration, and one to start where none is given."""
