"""Defaults of the training of spectral models: the number of blocks, and the range of steps."""

BLOCKS_PER_VOLUME = 3000
"""Default number of blocks of each chunk to learn classes from. On later steps of two series, 10752 took 0.0
and 0.9 % fewer bits than 2000, in three to four times the time."""
STEP_RANGE = (0.0015, 0.4)
"""Smallest and largest step, of one quantiser and relative to the range, that the model is fitted for. With
(0.003, 1.2) later steps of a series took 0.6 % more bits over 30 to 60 dB."""
