"""The device: pictures in, frames out."""
