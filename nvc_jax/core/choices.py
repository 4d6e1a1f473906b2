"""Names among which a user chooses: the modes of decoding, and the model where none is named.

The command line lists them without importing any model.
"""

MODES = ("crop", "blend")
"""Uses of the margins of decoded blocks: crop them away, or interpolate them between neighbours."""
DEFAULT_MODEL = "nvc-1"
"""Name of the model where the user names none."""


def check_mode(mode: str) -> None:
    """Raise ``ValueError`` unless ``mode`` is one of ``MODES``."""
    if mode not in MODES:
        raise ValueError(f"`mode` (={mode!r}) must be one of {MODES}")


KEPT_PARAMS = ("last", "best")
"""Checkpoints of a training whose parameters it may return."""
