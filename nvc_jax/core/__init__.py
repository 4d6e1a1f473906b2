"""Shapes, dtypes, normalisation, byte codecs and threads: what every other package may use."""
