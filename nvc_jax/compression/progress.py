"""Progress of a long call."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far ``compress`` or ``decompress`` is.

    Attributes:
        done_bytes: of the volume, in its own dtype.
        total_bytes: of the volume, or of this writer's part of it.
        stored_bytes: payload that ``done_bytes`` take in the container.
    """

    done_bytes: int
    total_bytes: int
    stored_bytes: int
