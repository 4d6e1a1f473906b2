"""Numbers that say what spectral models are fitted on."""

BLOCKS_PER_VOLUME = 3000
"""Default number of blocks of each chunk to learn classes from.
No measurement of the value is on record."""
STEP_RANGE = (0.0015, 0.4)
"""Smallest and largest step, of one quantiser and relative to the range, that the model is fitted for."""
