"""Checkpoints and the codec of any kind of model."""
