"""Faces: found by mediapipe's detector, outlined by its mesh on LiteRT, cut out upright and tightly."""
